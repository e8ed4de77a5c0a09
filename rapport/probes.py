"""The HTTP side of a worker and of a sink: /live, /ready, /metrics, and what else a process answers.

`/live` says that the process turns; recovery, a broker that is away and lag never fail it, because a restart mends none
of them. `/ready` says what is still missing. Both are open and name no customer. Everything else needs the token where
one is set. This module must never decide whether a process is well: it asks `Health`.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol
from urllib.parse import urlsplit

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from schemas.errors import UsageError

OPEN = ("/live", "/ready")
"""Asked by orchestrators, which hold no token."""

Answer = Callable[[web.Request], Awaitable[web.Response]]


class Health(Protocol):
    """What a process knows about itself; asked from the server's own thread."""

    def live(self) -> bool:
        """Whether its loop turns."""

    def missing(self) -> Sequence[str]:
        """What keeps it from working, one sentence each; nothing: it is ready."""

    def about(self) -> Mapping[str, str]:
        """What else `/ready` tells; no secret, for it asks for no token."""


def application(
    health: Health, registry: CollectorRegistry, token: str | None, answers: Mapping[str, Answer] | None = None
) -> web.Application:
    """What is served: the probes, the metrics of `registry`, and `answers` by path (GET only)."""

    async def live(_request: web.Request) -> web.Response:
        alive = health.live()
        return as_json({"live": alive}, 200 if alive else 503)

    async def ready(_request: web.Request) -> web.Response:
        missing = list(health.missing())
        return as_json({"ready": not missing, "missing": missing, **health.about()}, 503 if missing else 200)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    served = web.Application(middlewares=[_guard(token)])
    for path, answer in {"/live": live, "/ready": ready, "/metrics": metrics, **(answers or {})}.items():
        served.router.add_get(path, answer)
    return served


def as_json(value: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def _guard(token: str | None) -> Middleware:
    expected = None if token is None else f"Bearer {token}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in OPEN:
            if expected is None:
                # A page in a browser on this machine may have its own name resolve to 127.0.0.1 and read us.
                if not _is_local(request.host):
                    return as_json({"error": "ask by address, or as localhost"}, 403)
            elif not hmac.compare_digest(_shown(request), expected):
                refusal = as_json({"error": "the bearer token is missing or wrong"}, 401)
                refusal.headers["WWW-Authenticate"] = "Bearer"
                return refusal
        return await handler(request)

    return guard


def _shown(request: web.Request) -> bytes:
    return request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")


def _is_local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


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
async def serving(served: web.Application, listening: socket.socket) -> AsyncIterator[None]:
    """Answers within the running loop; answering proves that it turns."""
    runner = web.AppRunner(served, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield
    finally:
        await runner.cleanup()


@contextmanager
def serving_beside(served: web.Application, listening: socket.socket) -> Iterator[None]:
    """Answers from a thread of its own, for a process without an event loop."""
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with serving(served, listening):
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(timeout=5)
        loop.close()
