"""`/profile?id=TYPE:VALUE` of a worker: a customer as the rows of a lane tell it, from whichever worker holds them.

Any worker may be asked. The home of an identifier is a partition; its row may point to another home, perhaps on another
worker, which is asked in turn. Only committed rows are read, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

import aiohttp

from profiles import view
from profiles.identifiers import normalized
from profiles.rows import Rows, Store
from profiles.settings import IdentitySettings
from rapport.http.server import Answer, Question, as_json
from schemas.errors import RowError
from schemas.keys import key_of, partition_of

PATH = "/profile"
HOPS = 8
"""Pointers followed before a customer counts as on the move; a chain is cut short when the linker's orders arrive."""
PATIENCE = 2.0
"""Seconds another worker may take to answer."""
MOVING = "this customer is being merged or split right now: ask again"
NOBODY = as_json({"error": "nobody has this identifier"}, 404)


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

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Other workers can be asked while it is entered."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as self._others:
            yield

    def answer(self, question: Question) -> Answer | Awaitable[Answer]:
        """200 and `profiles.view.profile`; 400, 404 or 503 and `{"error"}`. A 503 passes: ask again."""
        asked = question.parameters()
        type_, _, value = asked.get("id", "").partition(":")
        hops = asked.get("hops", "0")
        if not (type_.strip() and value.strip() and hops.isascii() and hops.isdigit() and len(hops) < 3):
            return as_json({"error": "ask for /profile?id=TYPE:VALUE, for example id=email:ann@example.com"}, 400)
        made = int(hops)
        keys = self._meant(key_of(type_.strip(), value.strip()), made)
        found = self._first(keys, made)
        return self._beyond(found, keys) if isinstance(found, _Elsewhere) else found

    def _meant(self, key: str, hops: int) -> Iterator[str]:
        """What may be looked for: the identifier as it was given, then as a customer's would be kept."""
        yield key
        if hops == 0:
            meant = normalized(key, self._identity)
            if meant is not None and meant != key:
                yield meant

    def _first(self, keys: Iterator[str], hops: int) -> Answer | _Elsewhere:
        """The first of them that somebody has, as far as that can be said here."""
        for key in keys:
            found = self._find(key, hops)
            if isinstance(found, _Elsewhere) or found.status != 404:
                return found
        return NOBODY

    async def _beyond(self, found: Answer | _Elsewhere, keys: Iterator[str]) -> Answer:
        """As `_first`, wherever it is."""
        while isinstance(found, _Elsewhere):
            told = await self._ask(found)
            if told.status != 404:
                return told
            found = self._first(keys, 0)
        return found

    def _find(self, key: str, hops: int) -> Answer | _Elsewhere:
        while hops <= HOPS:
            partition = partition_of(key, self._homes.partitions)
            store = self._homes.store(partition)
            if store is None:
                return _Elsewhere(partition, key, hops + 1)
            rows = Rows(store)
            try:
                row = rows.find(key)
                if row is None:
                    return NOBODY
                if row.to is None:
                    return as_json(view.profile(rows, row))
            except RowError as error:
                return as_json({"error": str(error)}, 500)
            key, hops = row.to, hops + 1
        return as_json({"error": MOVING}, 503)

    async def _ask(self, there: _Elsewhere) -> Answer:
        partition, key, hops = there
        owner = self._homes.owner(partition)
        if owner is None or owner == self._own_url or hops > HOPS:
            return as_json({"error": f"partition {partition} is between two workers or recovering: ask again"}, 503)
        assert self._others is not None
        try:
            async with self._others.get(owner + PATH, params={"id": key, "hops": str(hops)}) as told:
                return Answer(await told.read(), told.status)
        except (aiohttp.ClientError, TimeoutError):
            return as_json({"error": f"the worker at {owner}, which has partition {partition}, does not answer"}, 503)
