"""The HTTP server by itself: whatever a client sends or leaves unread, others are answered."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Awaitable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport import serving
from rapport.serving import Answer, Question, as_json, bound, serving_beside

LARGE = b"x" * 1_000_000
MUCH = 64 << 20
"""Bytes; far more than the kernel keeps for a connection."""
ASK = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Served:
    """A server that keeps what it was asked, and lets a test say what happens meanwhile."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.meanwhile = {"/do": lambda: None}
        self.go_on = threading.Event()
        self.port = 0

    def answer(self, question: Question) -> Answer | Awaitable[Answer]:
        self.asked.append(question.path)
        if question.path == "/large":
            return Answer(LARGE)
        if question.path == "/broken":
            raise ZeroDivisionError
        if question.path.startswith("/slow"):
            return self.slow(question)
        self.meanwhile.get(question.path, bool)()
        return as_json({"path": question.path, "query": dict(question.query)})

    async def slow(self, question: Question) -> Answer:
        try:
            while not self.go_on.is_set():
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.asked.append("given up")
            raise
        if question.path == "/slow-broken":
            raise ZeroDivisionError
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
