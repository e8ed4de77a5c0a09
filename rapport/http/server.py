"""HTTP for short answers out of a busy loop: GET and HEAD.

A question is answered in the very turn of the loop that brings it. A server that wakes a task for each, as aiohttp's,
answers a turn later, and in every turn a worker steps its lanes: of the 2 ms that a customer's profile took at half
load it cost 0.6 at least. Between two questions of one connection others get their turn, and who does not read the
answers is not heard either.

httptools parses. Bodies of requests are read and ignored, and so are trailers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses
from typing import NamedTuple, cast
from urllib.parse import parse_qsl

import httptools
import orjson

from schemas.errors import UsageError

log = logging.getLogger("rapport.http")

QUESTION_BYTES = 16 * 1024
"""What a request may have before it is complete, give or take a reading; so much is read at a time."""
SILENCE = 75.0
"""Seconds a connection is kept that was made, or answered, and has not asked since."""
FAREWELL = 1.0
"""Seconds that answers which are being looked for get when the server ends."""


class Question(NamedTuple):
    """A GET or HEAD request."""

    path: str
    query: bytes
    """As it was sent: to decode it takes a while, and whoever asks may have no right to that."""
    headers: Mapping[str, str]
    """Names in lower case; of a name given twice both values, with a comma between."""

    def parameters(self) -> dict[str, str]:
        """The query, decoded; of a name given twice the first value."""
        return dict(reversed(parse_qsl(self.query.decode(errors="replace"), keep_blank_values=True)))


class Answer(NamedTuple):
    """A response."""

    body: bytes
    status: int = 200
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = {}


Answering = Callable[[Question], Answer | Awaitable[Answer]]
"""What cannot be told at once, as an awaitable."""


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer."""
    return Answer(orjson.dumps(value), status, headers=headers or {})


FAILED = as_json({"error": "this failed; the log says why"}, HTTPStatus.INTERNAL_SERVER_ERROR)
"""Whatever an answer fails with: one question must never end the server, nor leave its client waiting."""


class _Asked(NamedTuple):
    """A request as it waits for its answer, or the refusal of one."""

    question: Question | Answer
    more: bool
    """Whether the connection stays."""
    head: bool = False
    """Whether the body is left out."""


class _Connection(asyncio.BufferedProtocol):
    """One client. It must never hold more than a request that is not complete and what came with the last bytes."""

    _transport: asyncio.Transport
    _timer: asyncio.TimerHandle

    def __init__(self, answering: Answering, everybody: set[_Connection]) -> None:
        self._answering = answering
        self._everybody = everybody
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._asked: deque[_Asked] = deque()
        self._looking: asyncio.Future[None] | None = None
        """Set while an answer is being looked for elsewhere."""
        self._unread = False
        """Whether the client reads more slowly than it is answered."""
        self._ending = False
        self._buffer = memoryview(bytearray(QUESTION_BYTES))
        self._bytes = 0
        """Of a request that is not complete."""
        self._url = b""
        self._headers: dict[str, str] = {}
        self._headed = False
        """Whether the request has all its headers."""

    # --- what asyncio says ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._everybody.add(self)
        self._timer = self._loop.call_later(SILENCE, self.abort)

    def connection_lost(self, _error: Exception | None) -> None:
        self._everybody.discard(self)
        self._timer.cancel()
        self._asked.clear()
        if self._looking is not None:
            self._looking.cancel()
        del self._parser  # it knows this connection, and nobody collects cycles for long in a worker

    def get_buffer(self, _wanted: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        if self._ending:
            return
        self._bytes += count
        try:
            self._parser.feed_data(self._buffer[:count])
        except httptools.HttpParserUpgrade:
            self._ending = True  # it has asked in HTTP/1.1, and goes on in something else
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1")
        if self._bytes > QUESTION_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"ask in less than {QUESTION_BYTES:,} bytes")
        self._next()
        if self._asked or self._looking is not None:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._unread = True

    def resume_writing(self) -> None:
        self._unread = False
        self._loop.call_soon(self._next)  # asyncio is in the middle of writing

    # --- what the parser says ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url, self._headers, self._headed = b"", {}, False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headed:
            return
        known, said = name.decode("latin-1").lower(), value.strip(b" \t").decode("utf-8", "surrogateescape")
        self._headers[known] = f"{self._headers[known]}, {said}" if known in self._headers else said

    def on_headers_complete(self) -> None:
        self._headed = True
        if self._parser.get_method() not in (b"GET", b"HEAD"):
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered", {"Allow": "GET, HEAD"})
        elif "expect" in self._headers:
            self._refuse(HTTPStatus.EXPECTATION_FAILED, "no body is expected")

    def on_message_complete(self) -> None:
        self._bytes = 0
        url = httptools.parse_url(self._url)
        question = Question((url.path or b"/").decode(errors="replace"), url.query or b"", self._headers)
        self._asked.append(_Asked(question, self._parser.should_keep_alive(), self._parser.get_method() == b"HEAD"))

    def _refuse(self, status: HTTPStatus, why: str, headers: Mapping[str, str] | None = None) -> None:
        """Behind the answers to what came before; nothing else is answered any more."""
        self._ending = True
        self._asked.append(_Asked(as_json({"error": why}, status, headers), more=False))

    # --- answering --------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Closes once what has been asked is answered."""
        self._ending = True
        if not self._asked and self._looking is None:
            self._transport.close()

    def abort(self) -> None:
        """Closes at once, whatever is not answered or not read."""
        self._transport.abort()

    def _next(self) -> None:
        """Answers the first of those that wait."""
        if not self._asked or self._looking is not None or self._unread or self._transport.is_closing():
            return
        asked = self._asked.popleft()
        answer = asked.question if isinstance(asked.question, Answer) else self._answer(asked.question)
        if isinstance(answer, Answer):
            self._say(answer, asked)
        else:
            self._looking = asyncio.ensure_future(self._look(answer, asked))

    def _answer(self, question: Question) -> Answer | Awaitable[Answer]:
        try:
            return self._answering(question)
        except Exception:
            log.exception("%s cannot be answered", question.path)
            return FAILED

    async def _look(self, found: Awaitable[Answer], asked: _Asked) -> None:
        try:
            answer = await found
        except asyncio.CancelledError:
            self.abort()
            raise
        except Exception:
            log.exception("a question cannot be answered")
            answer = FAILED
        self._looking = None
        self._say(answer, asked)

    def _say(self, answer: Answer, asked: _Asked) -> None:
        more = asked.more and not (self._ending and not self._asked)
        lines = [
            f"HTTP/1.1 {answer.status} {responses.get(answer.status, '')}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body)}",
            f"Date: {formatdate(usegmt=True)}",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
            f"Connection: {'keep-alive' if more else 'close'}",
        ]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self._transport.write(head if asked.head else head + answer.body)
        self._timer.cancel()
        self._timer = self._loop.call_later(SILENCE, self.abort)
        if not more:
            self._leave()
        elif self._asked:
            self._loop.call_soon(self._next)
        elif not self._transport.is_reading():
            self._transport.resume_reading()

    def _leave(self) -> None:
        """Says no more, but hears the client out: closing on what it still sends would undo what it was told."""
        self._ending = True
        self._asked.clear()
        self._transport.write_eof()
        self._transport.resume_reading()


# --- where it listens -----------------------------------------------------------------------------------------------


def bound(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises UsageError where it cannot be had."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UsageError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}): choose another port with --http-port; "
            "0 picks a free one."
        ) from error


def url_of(listening: socket.socket) -> str:
    """Where others reach it: its address, or this machine's name where it listens on every address."""
    host, port, *_ = listening.getsockname()
    if ipaddress.ip_address(host).is_unspecified:
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(answering: Answering, listening: socket.socket) -> AsyncIterator[None]:
    """Answers within the running loop; answering proves that it turns."""
    loop = asyncio.get_running_loop()
    everybody: set[_Connection] = set()
    server = await loop.create_server(lambda: _Connection(answering, everybody), sock=listening)
    try:
        yield
    finally:
        server.close()
        await asyncio.sleep(0.01)  # whoever was just let in is here by then
        for each in list(everybody):
            each.end()
        until = loop.time() + FAREWELL
        while everybody and loop.time() < until:
            await asyncio.sleep(0.01)
        for each in list(everybody):
            each.abort()
        await asyncio.sleep(0.01)  # what was looked for is given up


@contextmanager
def serving_beside(answering: Answering, listening: socket.socket) -> Iterator[None]:
    """Answers from a thread of its own, for a process without an event loop."""
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with serving(answering, listening):
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(timeout=5)
        loop.close()
