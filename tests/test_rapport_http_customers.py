"""Asking other workers for a customer: what one answers is handed on, and one that hangs holds up few."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing

import orjson
import pytest
from starlette.requests import Request
from starlette.routing import Route

from profiles.settings import IdentitySettings
from rapport.http import customers as asking
from rapport.http.application import Json, application
from rapport.http.customers import MAX_HOPS, PATH, Customers
from rapport.http.serve import bound, serving_beside, url_of


class Elsewhere:
    """A worker that has no partition; all are another one's."""

    partitions = 1

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def store(self, partition: int) -> None:
        return None

    def owner(self, partition: int) -> str:
        return self._owner


def asked(owner: str, *counts: int, query: bytes = b"id=card:1") -> list[tuple[int, object]]:
    """Status and JSON of questions, so many of which are asked at once each time."""

    async def ask() -> list[tuple[int, object]]:
        worker = Customers(Elsewhere(owner), IdentitySettings(), "t", "http://here")
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
