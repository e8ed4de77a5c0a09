"""The HTTP server by itself: whatever a client sends or leaves unread, others are answered."""

from __future__ import annotations

import asyncio
import gc
import http.client
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.http import server as serving
from rapport.http.server import Answer, Question, as_json, bound, serving_beside

LARGE = b"x" * 1_000_000
MUCH = 64 << 20
"""Bytes; far more than the kernel keeps for a connection."""
ASK = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Served:
    """A server that keeps what it was asked, and lets a test say what happens meanwhile."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.meanwhile: dict[str, Callable[[], None]] = {}
        self.go_on = threading.Event()
        self.port = 0

    def answer(self, question: Question) -> Answer | Awaitable[Answer]:
        self.asked.append(question.path)
        if question.path == "/large":
            return Answer(LARGE)
        if question.path == "/huge":
            return Answer(16 * LARGE)
        if question.path == "/headers":
            return as_json(dict(question.headers))
        if question.path == "/broken":
            raise ZeroDivisionError
        if question.path.startswith("/slow"):
            return self.slow(question)
        if question.path in self.meanwhile:
            self.meanwhile[question.path]()
        return as_json({"path": question.path, "query": question.parameters()})

    async def slow(self, question: Question) -> Answer:
        try:
            while not self.go_on.is_set():
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.asked.append("given up")
            raise
        if question.path == "/slow-broken":
            raise ZeroDivisionError
        if question.path == "/slow-cancelled":
            raise asyncio.CancelledError
        return as_json({"path": question.path})

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
    with serving_beside(made.answer, listening):
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


def test_a_connection_is_asked_again_and_again(server: Served) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as client:
        for number in range(3):
            client.request("GET", f"/{number}", headers={"Cookie": "c" * 9_000})
            answer = client.getresponse()
            assert (answer.status, answer.read()) == (200, b'{"path":"/%d","query":{}}' % number)
            assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
            assert answer.headers["Date"].endswith("GMT")


def test_the_head_alone_has_no_body(server: Served) -> None:
    said = server.told(b"HEAD /large HTTP/1.0\r\n\r\n")
    assert b"\r\nContent-Length: 1000000\r\n" in said
    assert said.endswith(b"\r\n\r\n")


def test_a_query_is_decoded_and_the_first_of_two_counts(server: Served) -> None:
    assert server.get("/a?id=email:ann%2Bx%40example.com&id=2&empty=&plus=a+b&%C3%BC=%FF") == (
        200,
        '{"path":"/a","query":{"ü":"\N{REPLACEMENT CHARACTER}","plus":"a b","empty":"",'
        '"id":"email:ann+x@example.com"}}'.encode(),
    )


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_only_get_is_answered(server: Served, method: str) -> None:
    assert server.get("/a", method) == (405, b'{"error":"only GET is answered"}')
    assert server.asked == []


def test_a_refusal_arrives_though_its_client_goes_on_sending(server: Served) -> None:
    for _ in range(10):
        said = server.told(b"POST /a HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)
        assert said.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")


def test_nobody_is_told_to_send_a_body(server: Served) -> None:
    said = server.told(b"GET /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 417 Expectation Failed\r\n")


def test_blanks_around_a_value_are_none_of_it_and_a_trailer_is_no_header(server: Served) -> None:
    head = b"GET /headers HTTP/1.1\r\nA: \t b \t\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert server.told(head + b"0\r\nHost: h\r\n\r\n").endswith(
        b'{"a":"b","transfer-encoding":"chunked","connection":"close"}'
    )


def test_questions_sent_at_once_are_answered_in_their_order_one_from_elsewhere_among_them(server: Served) -> None:
    with server.connected() as client:
        client.sendall(b"".join(ASK % path for path in (b"/1", b"/slow", b"/2")) + b"GET /3 HTTP/1.0\r\n\r\n")
        until(lambda: "/slow" in server.asked)
        assert server.get("/other")[0] == 200
        server.go_on.set()
        said = everything(client)
    assert server.asked == ["/1", "/slow", "/other", "/2", "/3"]
    bodies = [part.partition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 OK")[1:]]
    paths = [b'{"path":"/1","query":{}}', b'{"path":"/slow"}', b'{"path":"/2","query":{}}', b'{"path":"/3","query":{}}']
    assert bodies == paths


def test_others_have_their_turn_between_two_questions_of_one_client(server: Served) -> None:
    with server.connected() as one, server.connected() as other:
        other.sendall(ASK % b"/ready")
        other.recv(1_000)
        server.meanwhile["/first"] = lambda: other.sendall(ASK % b"/other")
        one.sendall(b"".join(ASK % path for path in (b"/first", b"/second", b"/third", b"/fourth")))
        until(lambda: len(server.asked) == 6)
    assert server.asked.index("/other") < server.asked.index("/third")


def test_who_does_not_read_is_asked_no_further(server: Served) -> None:
    with server.connected() as client:
        client.sendall((ASK % b"/large") * 200)
        until(lambda: server.asked)
        assert server.get("/other")[0] == 200
        time.sleep(0.2)
        assert server.asked.count("/large") < 20, "answers gather in memory"
        wanted, got = 200 * len(LARGE), 0
        while got < wanted:
            got += len(client.recv(1 << 20))
    assert server.asked.count("/large") == 200


def test_nothing_is_answered_behind_the_last_answer(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    said = server.told(b"GET /huge HTTP/1.0\r\n\r\n" + ASK % b"/a")
    assert len(said.partition(b"\r\n\r\n")[2]) == 16 * len(LARGE)
    assert server.asked == ["/huge"]
    assert caplog.text == ""


def test_who_asks_on_without_reading_has_to_wait(server: Served) -> None:
    with server.connected() as client:
        client.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError):
            while sent < MUCH:
                sent += client.send((ASK % b"/large") * 1_000)
        assert sent < MUCH
    assert server.get("/other")[0] == 200


def test_a_client_whose_answer_was_looked_for_can_go_on_asking(server: Served) -> None:
    with server.connected() as client:
        client.sendall(ASK % b"/slow")
        until(lambda: server.asked)
        server.go_on.set()
        assert client.recv(1_000).endswith(b'{"path":"/slow"}')
        client.sendall(ASK % b"/a")
        assert client.recv(1_000).endswith(b'{"path":"/a","query":{}}')


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/7.5\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_the_connection_closed(server: Served, sent: bytes) -> None:
    assert server.told(sent).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert server.get("/other")[0] == 200


def test_a_refusal_comes_after_the_answers_to_what_was_asked_before(server: Served) -> None:
    said = server.told(ASK % b"/a" + b"\x00" + ASK % b"/b")
    assert [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]
    assert server.asked == ["/a"]


def test_who_wants_another_protocol_is_answered_in_this_one(server: Served) -> None:
    said = server.told(b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.endswith(b'{"path":"/a","query":{}}')


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"a" * 20_000,
        b"GET / HTTP/1.1\r\nA: b\r\n" + b"B: c\r\n" * 4_000,
        b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 20_000,
    ],
)
def test_a_question_has_an_end(server: Served, endless: bytes) -> None:
    assert server.told(endless).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert server.asked == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", ASK % b"/a", b"GET /a HTTP/1.1\r\n"]))
def test_no_bytes_keep_others_from_being_answered(one_server: Served, sent: bytes, before: bytes) -> None:
    with one_server.connected() as client:
        client.sendall(before + sent)
    assert one_server.get("/other")[0] == 200


def test_silence_ends_a_connection(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SILENCE", 0.2)
    assert server.told(b"") == b""
    assert server.told(b"GET /a HTTP/1.1\r\nHost:") == b""
    assert server.told(ASK % b"/a").endswith(b'{"path":"/a","query":{}}')


@pytest.mark.parametrize("path", ["/broken", "/slow-broken"])
def test_what_fails_is_told_and_logged(server: Served, caplog: pytest.LogCaptureFixture, path: str) -> None:
    server.go_on.set()
    assert server.get(path) == (500, b'{"error":"this failed; the log says why"}')
    assert "ZeroDivisionError" in caplog.text
    assert server.get("/other")[0] == 200


def test_a_client_that_leaves_while_its_answer_is_looked_for_is_forgotten(server: Served) -> None:
    with server.connected() as client:
        client.sendall(ASK % b"/slow")
        until(lambda: server.asked)
    server.go_on.set()
    assert server.get("/other")[0] == 200


def test_an_answer_that_is_given_up_ends_its_connection(server: Served) -> None:
    server.go_on.set()
    assert server.told(ASK % b"/slow-cancelled") == b""


def test_a_connection_leaves_nothing_behind(server: Served) -> None:
    """A worker collects cycles about never."""

    def known() -> int:
        return sum(isinstance(each, serving._Connection) for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = known()
        for _ in range(20):
            server.get("/a")
        until(lambda: known() == before)
    finally:
        gc.enable()


def test_a_client_that_catches_up_is_told_the_last_answer_in_peace(caplog: pytest.LogCaptureFixture) -> None:
    """It reads all that the kernel holds in one turn of the loop: then the rest of an answer goes out at once."""

    async def read(listening: socket.socket) -> int:
        loop, got = asyncio.get_running_loop(), 0
        with socket.create_connection(listening.getsockname()) as client:
            client.setblocking(False)
            await loop.sock_sendall(client, ASK % b"/sized" + b"GET /a HTTP/1.0\r\n\r\n")
            for _ in range(5):
                await asyncio.sleep(0)
            while True:
                with suppress(BlockingIOError):
                    while part := client.recv(1 << 22):
                        got += len(part)
                    return got
                await asyncio.sleep(0)

    async def several() -> None:
        listening = bound("127.0.0.1", 0)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        size = 0

        def answer(question: Question) -> Answer:
            return Answer(b"x" * size if question.path == "/sized" else b"")

        async with serving.serving(answer, listening):
            for size in range(300_000, 4_000_000, 40_000):
                assert await read(listening) > size

    asyncio.run(several())
    assert caplog.text == ""


def test_who_comes_in_while_it_ends_is_turned_away() -> None:
    async def ended() -> bytes:
        loop, listening = asyncio.get_running_loop(), bound("127.0.0.1", 0)
        with socket.socket() as client:
            client.setblocking(False)
            async with serving.serving(Served().answer, listening):
                await loop.sock_connect(client, listening.getsockname())
            async with asyncio.timeout(5):
                return await loop.sock_recv(client, 10)

    assert asyncio.run(ended()) == b""


def test_the_end_waits_for_what_is_looked_for_and_for_nobody_who_is_silent() -> None:
    with served() as server:
        silent, asking = server.connected(), server.connected()
        asking.sendall(ASK % b"/slow")
        until(lambda: server.asked)
        threading.Timer(0.1, server.go_on.set).start()
    with silent, asking:
        assert silent.recv(10) == b""
        said = everything(asking)
    assert b"\r\nConnection: close\r\n" in said
    assert said.endswith(b'{"path":"/slow"}')


def test_the_end_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "FAREWELL", 0.1)
    with served() as server:
        asking = server.connected()
        asking.sendall(ASK % b"/slow")
        until(lambda: server.asked)
    with asking:
        assert everything(asking) == b""
    assert server.asked == ["/slow", "given up"]
