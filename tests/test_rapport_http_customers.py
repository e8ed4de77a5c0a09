"""Asking other workers for a customer: what one answers is handed on, and one that hangs holds up few."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from urllib.parse import quote

import orjson
import pytest
from starlette.requests import Request
from starlette.routing import Route

from profiles.kinds import HEAD
from profiles.row import Row
from profiles.settings import IdentitySettings
from rapport.http import customers as asking
from rapport.http.application import Json, application
from rapport.http.customers import MAX_HOPS, PATH, Customers, Homes
from rapport.http.serve import bound, serving_beside, url_of
from schemas.keys import partition_of, profile_id


class Elsewhere:
    """A worker that has no partition; all are another one's."""

    partitions = 1

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def store(self, partition: int) -> None:
        return None

    def owner(self, partition: int) -> str:
        return self._owner


class Here(dict[bytes, bytes]):
    """A worker that has one partition of two, and its rows."""

    partitions = 2

    def __init__(self, other: str | None, keys: Iterable[str]) -> None:
        super().__init__({HEAD + key.encode(): Row(key).encode() for key in keys})
        self._other = other

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return ((key, self[key]) for key in sorted(self) if key >= max(prefix, start) and key.startswith(prefix))

    def store(self, partition: int) -> Here | None:
        return self if partition == 0 else None

    def owner(self, partition: int) -> str | None:
        return "http://here" if partition == 0 else self._other


def asked(
    owner: str, *counts: int, query: bytes = b"id=card:1", homes: Homes | None = None
) -> list[tuple[int, object]]:
    """Status and JSON of questions, so many of which are asked at once each time."""

    async def ask() -> list[tuple[int, object]]:
        worker = Customers(homes or Elsewhere(owner), IdentitySettings(), "t", "http://here")
        async with worker.connected():
            request = Request({"type": "http", "query_string": query})
            answers = []
            for count in counts or (1,):
                answers += await asyncio.gather(*(worker.answer(request) for _ in range(count)))
        return [(each.status_code, orjson.loads(each.body)) for each in answers]

    return asyncio.run(ask())


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_what_another_worker_answers_is_handed_on(status: int) -> None:
    seen = []

    async def answer(request: Request) -> Json:
        seen.append((dict(request.query_params), request.headers["authorization"], threading.current_thread().name))
        return Json({"said": status}, status)

    with closing(bound("127.0.0.1", 0)) as listening:
        url = url_of(listening)
        with serving_beside(application([Route(PATH, answer)], "t"), listening):
            found = asked(url)
    assert found == [(status, {"said": status} if status != 404 else {"error": "nobody has this identifier"})]
    assert seen == [({"id": "card:1", "hops": "1"}, "Bearer t", "http")]


def test_a_worker_that_hangs_holds_up_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_ASKED", 3)
    monkeypatch.setattr(asking, "ASK_TIMEOUT", 0.2)
    with closing(bound("127.0.0.1", 0)) as silent:
        found = asked(url_of(silent), 5, 1)
    assert {status for status, _ in found} == {503}
    held_up = ["does not answer" in str(said) for _, said in found]
    assert held_up == [True, True, True, False, False, True]
    assert all("too many questions" in str(said) for (_, said), held in zip(found, held_up, strict=True) if not held)


def test_nobody_is_asked_when_the_chain_is_too_long_or_leads_back() -> None:
    for owner, hops in (("http://there", MAX_HOPS), ("http://here", 0)):
        [(status, said)] = asked(owner, query=b"id=card:1&hops=%d" % hops)
        assert status == 503
        assert "between two workers" in str(said)


def _about(id_: str, hops: int = 0) -> bytes:
    return f"id=profile_id:{id_}&hops={hops}".encode()


def test_a_profile_id_is_looked_for_here_and_then_at_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SLICE", 3)
    keys = [key for key in (f"card:{number}" for number in range(40)) if partition_of(key, 2) == 0]
    seen = []

    async def answer(request: Request) -> Json:
        seen.append(dict(request.query_params))
        found = request.query_params["id"] == f"profile_id:{profile_id('card:there')}"
        return Json({"profile_id": "there"} if found else {"error": "nobody"}, 200 if found else 404)

    with closing(bound("127.0.0.1", 0)) as listening:
        here = Here(url_of(listening), keys)
        with serving_beside(application([Route(PATH, answer)], "t"), listening):
            for key in (keys[0], keys[3], keys[-1]):
                [(status, told)] = asked("", query=_about(profile_id(key).upper()), homes=here)
                assert (status, told["profile_id"]) == (200, profile_id(key))
            assert seen == []
            assert asked("", query=_about(profile_id("card:there")), homes=here) == [(200, {"profile_id": "there"})]
            assert seen.pop() == {"id": f"profile_id:{profile_id('card:there')}", "hops": "1"}
            [(nobody, _)] = asked("", query=_about(profile_id("card:none")), homes=here)
            assert (nobody, len(seen)) == (404, 1)
            [(of_another, _)] = asked("", query=_about(profile_id("card:there"), 1), homes=here)
            assert (of_another, len(seen)) == (404, 1)
    [(status, _)] = asked("", query=_about(profile_id("card:there")), homes=Here(None, keys))
    assert status == 503


def test_few_may_have_all_identifiers_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_LOOKS", 2)
    monkeypatch.setattr(asking, "SLICE", 1)
    keys = [key for key in (f"card:{number}" for number in range(9)) if partition_of(key, 2) == 0]
    answers = asked("", 4, 1, query=_about(profile_id(keys[-1]), 1), homes=Here("http://here", keys))
    assert [status for status, _ in answers].count(503) == 2
    assert answers[-1][0] == 200


@pytest.mark.parametrize("id_", ["x", "../..", "00000000-0000-5000-8000-00000000000g", "a" * 5000, "' OR 1=1"])
def test_what_is_no_profile_id_is_looked_for_as_an_identifier(id_: str) -> None:
    [(status, _)] = asked(
        "http://here", query=b"id=profile_id:" + quote(id_).encode(), homes=Here("http://here", ["card:1"])
    )
    assert status in (404, 503)
