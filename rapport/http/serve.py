"""Runs an ASGI application with uvicorn: inside the loop of a process, or from a thread beside it.

uvicorn bounds neither the head of a request nor how long a client may take to send one, so `Connection` does. This
module must never know what is answered, and it leaves signals and logs to the process.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import uvicorn
from httptools import HttpParserError
from starlette.types import ASGIApp
from uvicorn.loops.auto import auto_loop_factory
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from schemas.errors import UsageError

MAX_CONNECTIONS = 500
"""Open at a time. A process has 1,024 files by default, and RocksDB and Kafka need theirs."""
MAX_PIPELINED = 16
"""Requests that wait on a connection for the one before."""
MAX_HEAD_BYTES = 16 * 1024
"""Of a request, all but its body; give or take what one read brings."""
IDLE_TIMEOUT = 75
"""Seconds within which a client has to have asked and read its answer, since it connected or since the last answer."""
SHUTDOWN_TIMEOUT = 1
"""Seconds that requests get to be answered when the server ends."""

T = TypeVar("T")


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with bounds on what a client can make it hold, and for how long.

    Tested against the pinned version: part of what it overrides is private to uvicorn.
    """

    transport: asyncio.Transport
    _answering: RequestResponseCycle | None = None
    """The request being answered, or the last one. uvicorn only knows the newest, which may wait behind it."""
    _deadline: asyncio.TimerHandle
    _idle_since: float
    _head_bytes = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_more()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        self._forget_answer()
        super().connection_lost(exc)
        # What uvicorn keeps of a lost connection knows it, and a worker collects cycles seldom.
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        self.cycle = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response(f"The head of a request has at most {MAX_HEAD_BYTES:,} bytes.")

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            self._forget_answer()
            super().send_400_response(msg)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # behind a chunked body come trailers, which uvicorn would take for headers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            self.abort()
            raise HttpParserError("too many requests at once")
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes, self._in_head = 0, True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._deadline.cancel()
        self._expect_more()
        super().on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _expect_more(self) -> None:
        self._idle_since = time.perf_counter()  # a loop's own clock stands still within a turn
        self._deadline = self.loop.call_later(IDLE_TIMEOUT, self.abort)

    def _make_room(self) -> None:
        """Closes the connection that has been idle longest, so that a probe gets in however many say nothing."""
        ours = (each for each in self.connections if isinstance(each, Connection) and not each.transport.is_closing())
        idle = (each for each in ours if each._answering is None or each._answering.response_complete)
        min(idle, key=lambda each: each._idle_since).abort()

    def abort(self) -> None:
        """Closes at once, whatever is not answered or not read."""
        self._forget_answer()
        self.transport.abort()

    def _forget_answer(self) -> None:
        """What is still being answered is written to nobody."""
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them to the process, which knows what else has to end."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Also closes what was not answered, or not read, in time."""
        await super().shutdown(sockets)
        for each in list(self.server_state.connections):
            if isinstance(each, Connection):
                each.abort()
        await asyncio.sleep(0)


def _server(app: ASGIApp) -> _Server:
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.CRITICAL,  # what fails is logged where it is answered; what strangers send is no news
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_TIMEOUT,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
    )
    return _Server(config)


@asynccontextmanager
async def serving(app: ASGIApp, listening: socket.socket) -> AsyncIterator[None]:
    """Answers within the running loop; answering proves that it turns. Closes `listening` at the end."""
    server = _server(app)
    running = asyncio.create_task(server.serve([listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await running


@contextmanager
def serving_beside(app: ASGIApp, listening: socket.socket) -> Iterator[None]:
    """Answers from a thread of its own, for a process without an event loop. Closes `listening` at the end."""
    server = _server(app)
    thread = threading.Thread(target=run, args=(server.serve([listening]),), name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=5)


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in uvloop's loop where uvloop is installed."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        return runner.run(main)


def bound(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises UsageError where it cannot be had."""
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UsageError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}): choose another port with --http-port; "
            "0 picks a free one."
        ) from error
    # uvicorn writes head and body apart: the body would wait for the client to acknowledge the head, 40 milliseconds.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def url_of(listening: socket.socket) -> str:
    """Where others reach it: its address, or this machine's name where it listens on every address."""
    host, port, *_ = listening.getsockname()
    if ipaddress.ip_address(host).is_unspecified:
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
