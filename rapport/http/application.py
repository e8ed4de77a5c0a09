"""The ASGI application of a process: who may ask, and errors as JSON. It must never know what its routes answer."""

from __future__ import annotations

import hmac
import ipaddress
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger("rapport.http")

OPEN = ("/live", "/ready")
"""Asked by orchestrators, which hold no token."""


class Json(JSONResponse):
    """A JSON answer."""

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def application(routes: Sequence[Route], token: str | None) -> Starlette:
    """Serves `routes`. All but those of `OPEN` need the token, unknown paths too; without one, a loopback name."""
    paths = ", ".join(route.path for route in routes)

    async def refused(_request: Request, error: Exception) -> Json:
        assert isinstance(error, HTTPException)
        said = {404: f"there are {paths}", 405: "only GET is answered"}.get(error.status_code, error.detail)
        return Json({"error": said}, error.status_code, error.headers)

    made = Starlette(
        routes=routes,
        middleware=[Middleware(_Guard, token=token)],
        exception_handlers={HTTPException: refused, Exception: _failed},
    )
    made.router.redirect_slashes = False  # its redirect would name whatever host was asked for
    return made


async def _failed(request: Request, error: Exception) -> Json:
    log.error("%s cannot be answered", request.scope["path"], exc_info=error)
    return Json({"error": "this failed; the log says why"}, 500)


class _Guard:
    """Turns away who may not ask, before anything but the path and the headers is looked at."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None if scope["path"] in OPEN else self._refusal(Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, headers: Headers) -> Json | None:
        if self._expected is None:
            # A page in a browser on this machine may have its own name resolve to 127.0.0.1 and read us.
            if not _is_local(headers.getlist("host")):
                return Json({"error": "ask by address, or as localhost"}, 403)
        elif not hmac.compare_digest(headers.get("authorization", "").encode("latin-1"), self._expected):
            return Json({"error": "the bearer token is missing or wrong"}, 401, {"WWW-Authenticate": "Bearer"})
        return None


def _is_local(hosts: Sequence[str]) -> bool:
    """Of two names none is believed."""
    try:
        [host] = hosts
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
