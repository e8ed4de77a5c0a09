"""What runs the applications: whatever a client does or leaves undone, others are answered, and the end comes soon."""

from __future__ import annotations

import asyncio
import gc
import http.client
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rapport.http import serve
from rapport.http.application import Json, application
from rapport.http.serve import bound, serving, serving_beside

LARGE = b"x" * 4_000_000
MUCH = 64 << 20
"""Bytes; far more than the kernel keeps for a connection."""
ASK = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Served:
    """A server that keeps what it was asked, and lets a test say when a slow answer is there."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go_on = threading.Event()
        self.port = 0
        self.app = application([Route("/{name}", self.answer), Route("/{name}/{more}", self.answer)], token=None)

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        self.asked.append(path)
        if path == "/large":
            return Response(LARGE)
        if path == "/headers":
            return Json(request.headers.items())
        if path == "/broken":
            raise ZeroDivisionError
        if path == "/slow":
            try:
                while not self.go_on.is_set():
                    await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                self.asked.append("given up")
                raise
        return Json({"path": path})

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def get(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as client:
            client.request(method, path)
            answer = client.getresponse()
            return answer.status, answer.read()

    def told(self, sent: bytes) -> bytes:
        """All it says until it closes."""
        with self.connected() as client:
            client.sendall(sent)
            return everything(client)


def answer(client: socket.socket) -> tuple[int, bytes]:
    """The next one; its head and its body may come apart."""
    with closing(http.client.HTTPResponse(client)) as response:
        response.begin()
        return response.status, response.read()


def everything(client: socket.socket) -> bytes:
    said = b""
    while part := client.recv(65_536):
        said += part
    return said


@contextmanager
def served() -> Iterator[Served]:
    made = Served()
    listening = bound("127.0.0.1", 0)
    made.port = listening.getsockname()[1]
    with serving_beside(made.app, listening):
        yield made


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as made:
        yield made


@pytest.fixture(scope="module")
def one_server() -> Iterator[Served]:
    with served() as made:
        yield made


def until(there) -> None:
    end = time.monotonic() + 10
    while not there():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_connection_is_asked_again_and_again_and_not_told_who_answers(one_server: Served) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", one_server.port, timeout=10)) as client:
        for number in range(3):
            client.request("GET", f"/{number}", headers={"Cookie": "c" * 9_000})
            answer = client.getresponse()
            assert (answer.status, answer.read()) == (200, b'{"path":"/%d"}' % number)
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["Date"].endswith("GMT")
            assert "Server" not in answer.headers


def test_the_head_alone_has_no_body(one_server: Served) -> None:
    said = one_server.told(b"HEAD /large HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert b"\r\ncontent-length: 4000000\r\n" in said
    assert said.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_only_get_is_answered(server: Served, method: str) -> None:
    assert server.get("/a", method) == (405, b'{"error":"only GET is answered"}')
    assert server.asked == []


def test_a_refusal_arrives_though_its_client_goes_on_sending(one_server: Served) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    with one_server.connected() as client:
        client.sendall(head + b"x" * 1_000_000 + ASK % b"/b")
        with client.makefile("rb") as said:
            assert said.readline() == b"HTTP/1.1 405 Method Not Allowed\r\n"
            assert [line for line in iter(said.readline, b"\r\n") if line.startswith(b"HTTP/1.1")] == []


def test_a_trailer_is_no_header(one_server: Served) -> None:
    head = b"GET /headers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    said = one_server.told(head + b"0\r\nHost: evil.example\r\nAuthorization: Bearer x\r\n\r\n")
    assert orjson.loads(said.partition(b"\r\n\r\n")[2]) == [
        ["host", "localhost"],
        ["transfer-encoding", "chunked"],
        ["connection", "close"],
    ]


def test_questions_sent_at_once_are_answered_in_their_order_and_a_slow_one_keeps_nobody_else(server: Served) -> None:
    last = b"GET /3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with server.connected() as client:
        client.sendall(b"".join(ASK % path for path in (b"/1", b"/slow", b"/2")) + last)
        until(lambda: "/slow" in server.asked)
        assert server.get("/other")[0] == 200
        server.go_on.set()
        said = everything(client)
    assert server.asked == ["/1", "/slow", "/other", "/2", "/3"]
    bodies = [part.partition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b'{"path":"/%b"}' % name for name in (b"1", b"slow", b"2", b"3")]


def test_who_does_not_read_is_asked_no_further(server: Served) -> None:
    number = serve.MAX_PIPELINED
    with server.connected() as client:
        client.sendall((ASK % b"/large") * number)
        until(lambda: server.asked)
        assert server.get("/other")[0] == 200
        time.sleep(0.2)
        assert server.asked.count("/large") < number / 2, "answers gather in memory"
        wanted, got = number * len(LARGE), 0
        while got < wanted:
            got += len(client.recv(1 << 20))
    assert server.asked.count("/large") == number


def test_who_asks_on_without_reading_is_cut_off(server: Served) -> None:
    with server.connected() as client:
        client.settimeout(5)
        sent = 0
        with suppress(ConnectionError):
            while sent < MUCH:
                sent += client.send((ASK % b"/large") * 1_000)
        assert sent < MUCH
    assert server.get("/other")[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/7.5\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_the_connection_closed(one_server: Served, sent: bytes) -> None:
    assert one_server.told(sent).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert one_server.get("/other")[0] == 200


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", ASK % b"/a", b"GET /a HTTP/1.1\r\n"]))
def test_no_bytes_keep_others_from_being_answered(one_server: Served, sent: bytes, before: bytes) -> None:
    with one_server.connected() as client:
        client.sendall(before + sent)
    assert one_server.get("/other")[0] == 200


def test_who_wants_another_protocol_is_answered_in_this_one(one_server: Served) -> None:
    for wanted in (b"h2c", b"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="):
        with one_server.connected() as client:
            client.sendall(b"GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % wanted)
            assert answer(client) == (200, b'{"path":"/a"}')


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"a" * 20_000,
        b"GET / HTTP/1.1\r\nA: b\r\n" + b"B: c\r\n" * 4_000,
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"x" * 20_000,
    ],
)
def test_a_head_has_an_end(server: Served, endless: bytes) -> None:
    assert b"HTTP/1.1 400 Bad Request\r\n" in server.told(endless)
    assert server.asked == []


def test_silence_ends_a_connection(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "IDLE_TIMEOUT", 0.2)
    assert server.told(b"") == b""
    assert server.told(b"GET /a HTTP/1.1\r\nHost:") == b""
    assert server.told(ASK % b"/a").endswith(b'{"path":"/a"}')
    with server.connected() as client:
        client.sendall((ASK % b"/large") * 10)
        time.sleep(0.5)
        with suppress(ConnectionError):
            assert len(everything(client)) < 10 * len(LARGE)


def test_whoever_was_answered_may_be_silent_anew(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "IDLE_TIMEOUT", 1.5)
    with server.connected() as client:
        assert server.get("/other")[0] == 200  # whoever came before is there by now
        monkeypatch.setattr(serve, "IDLE_TIMEOUT", 60)
        for _ in range(2):
            client.sendall(ASK % b"/a")
            assert answer(client) == (200, b'{"path":"/a"}')
            time.sleep(1.6)


def test_a_body_does_not_wait_until_its_head_is_acknowledged() -> None:
    with closing(bound("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_head_that_comes_slowly_is_not_waited_for_however_often_a_byte_comes(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "IDLE_TIMEOUT", 0.2)
    with server.connected() as client:
        client.sendall(b"GET /a HTTP/1.1\r\nA: ")
        with suppress(ConnectionError):
            for _ in range(1_000):
                client.sendall(b"a")
                time.sleep(0.01)
            pytest.fail("it is still heard")


def test_the_one_who_is_silent_longest_makes_room(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "MAX_CONNECTIONS", 5)
    with ExitStack() as held:
        asking = held.enter_context(server.connected())
        asking.sendall(ASK % b"/slow")
        until(lambda: server.asked)
        silent = [held.enter_context(server.connected()) for _ in range(20)]
        assert server.get("/other")[0] == 200
        for each in silent[:16]:
            assert everything_or_reset(each) == b""
        server.go_on.set()
        assert answer(asking) == (200, b'{"path":"/slow"}')


def everything_or_reset(client: socket.socket) -> bytes:
    with suppress(ConnectionResetError):
        return everything(client)
    return b""


def test_what_fails_is_told_and_logged_once(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    assert server.get("/broken") == (500, b'{"error":"this failed; the log says why"}')
    assert server.get("/other")[0] == 200
    assert [record.message for record in caplog.records] == ["/broken cannot be answered"]
    assert "ZeroDivisionError" in caplog.text


def test_a_client_that_leaves_while_it_waits_is_forgotten(server: Served) -> None:
    with server.connected() as client:
        client.sendall(ASK % b"/slow")
        until(lambda: server.asked)
    server.go_on.set()
    assert server.get("/other")[0] == 200


def test_a_connection_leaves_nothing_behind_and_its_loss_is_no_news(
    server: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker collects cycles about never."""

    def known() -> int:
        return sum(isinstance(each, serve.Connection | Request) for each in gc.get_objects())

    def left_without_reading(asked: bytes) -> None:
        with server.connected() as client:
            client.sendall(asked)
            until(lambda: server.asked)
        server.asked.clear()

    gc.collect()
    gc.disable()
    try:
        before = known()
        for _ in range(20):
            server.get("/a")
            server.get("/a", "POST")
            server.told(b"\x00")
            left_without_reading(ASK % b"/large")
            left_without_reading((ASK % b"/large") * 10)
            left_without_reading((ASK % b"/large") * 100)
        until(lambda: known() == before)
    finally:
        gc.enable()
    assert caplog.text == ""


def test_it_takes_no_signals_away() -> None:
    async def within() -> None:
        before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        async with serving(Served().app, bound("127.0.0.1", 0)):
            await asyncio.sleep(0.05)
            assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before

    asyncio.run(within())


def test_who_comes_in_while_it_ends_is_turned_away() -> None:
    async def ended() -> bytes:
        loop, listening = asyncio.get_running_loop(), bound("127.0.0.1", 0)
        with socket.socket() as client:
            client.setblocking(False)
            async with serving(Served().app, listening):
                await asyncio.sleep(0.05)
                await loop.sock_connect(client, listening.getsockname())
            async with asyncio.timeout(5):
                with suppress(ConnectionResetError):
                    return await loop.sock_recv(client, 10)
        return b""

    assert asyncio.run(ended()) == b""


def test_the_end_waits_for_who_is_being_answered_and_for_nobody_who_is_silent() -> None:
    with served() as server:
        silent, asking, halfway = server.connected(), server.connected(), server.connected()
        halfway.sendall(b"GET /a HTT")
        asking.sendall(ASK % b"/slow")
        until(lambda: server.asked)
        threading.Timer(0.1, server.go_on.set).start()
    with silent, asking, halfway:
        assert silent.recv(10) == halfway.recv(10) == b""
        said = everything(asking)
    assert b"\r\nconnection: close\r\n" in said
    assert said.endswith(b'{"path":"/slow"}')


def test_the_end_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(serve, "SHUTDOWN_TIMEOUT", 0.1)
    with served() as server:
        asking, deaf = server.connected(), server.connected()
        asking.sendall(ASK % b"/slow")
        deaf.sendall((ASK % b"/large") * 10)
        until(lambda: len(server.asked) >= 2)
    with asking, deaf:
        assert everything_or_reset(asking).partition(b"\r\n")[0] in (b"", b"HTTP/1.1 500 Internal Server Error")
    assert "given up" in server.asked
    assert caplog.text == ""
    with pytest.raises(ConnectionRefusedError):
        server.connected()
