"""`/profile?id=TYPE:VALUE` of a worker: a customer as the rows of a lane tell it, from whichever worker holds them.

Any worker may be asked. The home of an identifier is a partition; its row may point to another home, perhaps on another
worker, which is asked in turn. Only committed rows are read, and nothing is changed.

A profile id says nothing about where it lies: each worker looks through its identifiers for the one that was born with
it, a slice at a time, so that the loop turns, and for one question at a time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import NamedTuple, Protocol

import aiohttp
from starlette.requests import Request
from starlette.responses import Response

from profiles import view
from profiles.identifiers import normalized
from profiles.kinds import HEAD
from profiles.rows import Rows, Store
from profiles.settings import IdentitySettings
from rapport.http.application import Json
from schemas.errors import RowError
from schemas.keys import key_of, partition_of, profile_id

PATH = "/profile"
MAX_HOPS = 8
"""Pointers followed before a customer counts as on the move; a chain is cut short when the linker's orders arrive."""
ASK_TIMEOUT = 2.0
"""Seconds another worker may take to answer."""
MAX_ASKED = 100
"""Questions to other workers at a time: where one of them hangs, they must not gather here."""
SLICE = 500
"""Identifiers looked at before the loop turns again: a millisecond or two."""
LOOK_TIMEOUT = 30.0
"""Seconds another worker may take to look through all its identifiers."""
MAX_LOOKS = 4
"""Questions about profile ids that may wait for one another."""
PROFILE_ID = "profile_id"
"""In place of a type."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOVING = "this customer is being merged or split right now: ask again"
NOBODY = "nobody has this identifier"


class Homes(Protocol):
    """What a worker knows of the partitions."""

    partitions: int

    def store(self, partition: int) -> Store | None:
        """The committed rows of a lane that is open here; None where it is not."""

    def owner(self, partition: int) -> str | None:
        """URL of the worker that has it; None while nobody has."""


class _Elsewhere(NamedTuple):
    """An identifier whose home is not here."""

    partition: int
    key: str
    hops: int


class Customers:
    """Answers for one worker. `token` is shown to other workers."""

    def __init__(self, homes: Homes, identity: IdentitySettings, token: str | None, own_url: str) -> None:
        self._homes = homes
        self._identity = identity
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._own_url = own_url
        self._others: aiohttp.ClientSession | None = None
        self._asked = 0
        self._looks = 0
        self._looking = asyncio.Lock()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Other workers can be asked while it is entered."""
        async with aiohttp.ClientSession(headers=self._headers) as self._others:
            yield

    async def answer(self, request: Request) -> Response:
        """200 and `profiles.view.profile`; 400, 404 or 503 and `{"error"}`. A 503 passes: ask again."""
        asked = request.query_params
        type_, _, value = asked.get("id", "").partition(":")
        hops = asked.get("hops", "0")
        if not (type_.strip() and value.strip() and hops.isascii() and hops.isdigit() and len(hops) < 3):
            return Json({"error": "ask for /profile?id=TYPE:VALUE, for example id=email:ann@example.com"}, 400)
        if type_.strip() == PROFILE_ID and _UUID.fullmatch(value.strip().lower()):
            return await self._of_profile(value.strip().lower(), int(hops))
        for key in self._meant(key_of(type_.strip(), value.strip()), int(hops)):
            found = self._find(key, int(hops))
            answer = await self._ask(found) if isinstance(found, _Elsewhere) else found
            if answer.status_code != 404:
                return answer
        return Json({"error": NOBODY}, 404)

    def _meant(self, key: str, hops: int) -> Iterator[str]:
        """What may be looked for: the identifier as it was given, then as a customer's would be kept."""
        yield key
        if hops == 0:
            meant = normalized(key, self._identity)
            if meant is not None and meant != key:
                yield meant

    async def _of_profile(self, id_: str, hops: int) -> Response:
        """Whoever has the identifier that was born with a profile id; asked by a person, of all workers."""
        if self._looks >= MAX_LOOKS:
            return Json({"error": "too many questions about profile ids wait for one another: ask again"}, 503)
        self._looks += 1
        try:
            async with self._looking:
                key = await self._born(id_)
        finally:
            self._looks -= 1
        if key is not None:
            found = self._find(key, hops)
            return await self._ask(found) if isinstance(found, _Elsewhere) else found
        answer: Response = Json({"error": NOBODY}, 404)
        owners = {self._homes.owner(each) for each in range(self._homes.partitions) if self._homes.store(each) is None}
        if not owners.isdisjoint((None, self._own_url)):
            answer = Json({"error": "partitions are between two workers or recovering: ask again"}, 503)
        for owner in sorted(owner for owner in owners if owner and owner != self._own_url) if not hops else ():
            told = await self._asked_of(owner, f"{PROFILE_ID}:{id_}", 1, LOOK_TIMEOUT)
            if told.status_code == 200:
                return told
            if told.status_code != 404:
                answer = told
        return answer

    async def _born(self, id_: str) -> str | None:
        """The identifier in an open lane here that was born with a profile id."""
        for partition in range(self._homes.partitions):
            start = b""
            while (store := self._homes.store(partition)) is not None:
                names = [name for name, _ in islice(store.scan(HEAD, start), SLICE)]
                for name in names:
                    key = name[len(HEAD) :].decode()
                    if profile_id(key) == id_:
                        return key
                if len(names) < SLICE:
                    break
                start = names[-1] + b"\0"
                await asyncio.sleep(0)
        return None

    def _find(self, key: str, hops: int) -> Response | _Elsewhere:
        while hops <= MAX_HOPS:
            partition = partition_of(key, self._homes.partitions)
            store = self._homes.store(partition)
            if store is None:
                return _Elsewhere(partition, key, hops + 1)
            rows = Rows(store)
            try:
                row = rows.find(key)
                if row is None:
                    return Json({"error": NOBODY}, 404)
                if row.to is None:
                    return Json(view.profile(rows, row))
            except RowError as error:
                return Json({"error": str(error)}, 500)
            key, hops = row.to, hops + 1
        return Json({"error": MOVING}, 503)

    async def _ask(self, there: _Elsewhere) -> Response:
        partition, key, hops = there
        owner = self._homes.owner(partition)
        if owner is None or owner == self._own_url or hops > MAX_HOPS:
            return Json({"error": f"partition {partition} is between two workers or recovering: ask again"}, 503)
        return await self._asked_of(owner, key, hops, ASK_TIMEOUT)

    async def _asked_of(self, owner: str, id_: str, hops: int, timeout: float) -> Response:
        if self._asked >= MAX_ASKED:
            return Json({"error": "too many questions wait for other workers: ask again"}, 503)
        assert self._others is not None
        self._asked += 1
        asked = {"id": id_, "hops": str(hops)}
        try:
            async with self._others.get(
                owner + PATH, params=asked, timeout=aiohttp.ClientTimeout(total=timeout)
            ) as told:
                return Response(await told.read(), told.status, media_type=told.content_type)
        except (aiohttp.ClientError, TimeoutError):
            return Json({"error": f"the worker at {owner} does not answer"}, 503)
        finally:
            self._asked -= 1
