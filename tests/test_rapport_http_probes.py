"""What a process answers over HTTP: probes, metrics, and who may ask."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson
import pytest
from prometheus_client import CollectorRegistry, Gauge
from starlette import requests
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rapport.http.application import Json, application
from rapport.http.probes import probes
from rapport.http.serve import bound, serving_beside, url_of
from schemas.errors import UsageError

TOKEN = "s3cret-ü"


@dataclass
class Self:
    """A process that says of itself what a test wants."""

    alive: bool = True
    lacks: list[str] = field(default_factory=list)

    def live(self) -> bool:
        return self.alive

    def missing(self) -> Sequence[str]:
        return self.lacks

    def about(self) -> Mapping[str, str]:
        return {"plan": "abc"}


class Answer(NamedTuple):
    status: int
    body: bytes


class Served(NamedTuple):
    health: Self
    port: int

    def get(self, path: str, **headers: str | bytes) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            sent = {key: value.encode() if isinstance(value, str) else value for key, value in headers.items()}
            connection.request("GET", path, headers=sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())


@contextmanager
def served(token: str | None = None) -> Iterator[Served]:
    async def customer(request: Request) -> Response:
        return Json({"customer": request.query_params.get("id", True)})

    registry = CollectorRegistry()
    Gauge("rapport_test", "Test.", registry=registry).set(7)
    health = Self()
    listening = bound("127.0.0.1", 0)
    port = listening.getsockname()[1]
    routes = [*probes(health, registry), Route("/profile", customer)]
    with serving_beside(application(routes, token), listening):
        yield Served(health, port)


def test_readiness_says_what_is_missing_and_never_touches_liveness() -> None:
    with served() as process:
        process.health.lacks = ["partition 3 is recovering: 5 of 9 rows"]
        ready = process.get("/ready")
        assert (ready.status, orjson.loads(ready.body)) == (
            503,
            {"ready": False, "missing": ["partition 3 is recovering: 5 of 9 rows"], "plan": "abc"},
        )
        assert process.get("/live").status == 200
        process.health.lacks = []
        assert process.get("/ready") == Answer(200, b'{"ready":true,"missing":[],"plan":"abc"}')


def test_a_loop_that_stands_still_is_not_alive() -> None:
    with served() as process:
        process.health.alive = False
        assert process.get("/live").status == 503


def test_metrics_are_those_of_the_registry_alone() -> None:
    with served() as process:
        lines = process.get("/metrics").body.decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["rapport_test 7.0"]


def test_probes_are_open_and_all_else_needs_the_token() -> None:
    with served(TOKEN) as process:
        assert {path: process.get(path).status for path in ("/live", "/ready", "/metrics", "/profile", "/other")} == {
            "/live": 200,
            "/ready": 200,
            "/metrics": 401,
            "/profile": 401,
            "/other": 401,
        }
        for wrong in (TOKEN, f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ", "", b"Bearer \xff\xfe"):
            assert process.get("/profile", Authorization=wrong).status == 401
        assert process.get("/profile", Authorization=f"Bearer {TOKEN}") == Answer(200, b'{"customer":true}')
        assert process.get("/metrics", Authorization=f"Bearer {TOKEN}").status == 200


def test_a_query_is_not_even_decoded_for_whoever_has_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "/profile?id=a"
    with served(TOKEN) as process:
        assert process.get(asked, Authorization=f"Bearer {TOKEN}") == Answer(200, b'{"customer":"a"}')
        monkeypatch.delattr(requests, "QueryParams")
        assert process.get(asked).status == 401
        assert process.get("/live?id=a").status == 200
        assert process.get(asked, Authorization=f"Bearer {TOKEN}").status == 500


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example:8080", 403),
        ("10.0.0.1", 403),
        ("", 403),
        ("[::", 403),
    ],
)
def test_without_a_token_a_name_that_was_bent_to_loopback_gets_nothing(host: str, status: int) -> None:
    with served() as process:
        assert process.get("/profile", Host=host).status == status
        assert process.get("/live", Host=host).status == 200


def test_of_two_names_for_this_server_none_is_believed() -> None:
    with served() as process, closing(http.client.HTTPConnection("127.0.0.1", process.port, timeout=5)) as connection:
        connection.putrequest("GET", "/profile", skip_host=True)
        connection.putheader("Host", "localhost")
        connection.putheader("Host", "evil.example")
        connection.endheaders()
        assert connection.getresponse().status == 403


def test_an_unknown_path_is_told_which_there_are() -> None:
    with served() as process:
        for path in ("/other", "/live/", "//live", "/"):
            assert process.get(path) == Answer(404, b'{"error":"there are /live, /ready, /metrics, /profile"}')


def test_a_path_is_open_as_it_is_routed() -> None:
    """However it is written: what is open and what is answered are the same path."""
    with served(TOKEN) as process:
        assert process.get("/%6Cive").status == 200
        assert {
            process.get(path).status for path in ("/live/../metrics", "/live%2F..%2Fprofile", "/live;/profile")
        } == {401}


def test_a_port_that_is_taken_is_told_in_a_sentence() -> None:
    with closing(bound("127.0.0.1", 0)) as taken, pytest.raises(UsageError, match="choose another port"):
        bound("127.0.0.1", taken.getsockname()[1])


def test_the_address_that_others_are_told_can_be_reached() -> None:
    with closing(bound("127.0.0.1", 0)) as one, closing(bound("0.0.0.0", 0)) as every:
        assert url_of(one) == f"http://127.0.0.1:{one.getsockname()[1]}"
        assert "0.0.0.0" not in url_of(every)


def test_serving_beside_leaves_nothing_running() -> None:
    with served() as process:
        port = process.port
    with pytest.raises(ConnectionRefusedError), closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", "/live")
