"""What every process answers over HTTP: /live, /ready, /metrics.

`/live` says that the process turns; recovery, a broker that is away and lag never fail it, because a restart mends none
of them. `/ready` says what is still missing. Both are open and name no customer. This module must never decide whether
a process is well: it asks `Health`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rapport.http.application import Json


class Health(Protocol):
    """What a process knows about itself; asked from the server's own thread."""

    def live(self) -> bool:
        """Whether its loop turns."""

    def missing(self) -> Sequence[str]:
        """What keeps it from working, one sentence each; nothing: it is ready."""

    def about(self) -> Mapping[str, str]:
        """What else `/ready` tells; no secret, for it asks for no token."""


def probes(health: Health, registry: CollectorRegistry) -> list[Route]:
    """The routes of the probes and of the metrics of `registry`."""

    async def live(_request: Request) -> Response:
        alive = health.live()
        return Json({"live": alive}, 200 if alive else 503)

    async def ready(_request: Request) -> Response:
        missing = list(health.missing())
        return Json({"ready": not missing, "missing": missing, **health.about()}, 503 if missing else 200)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [Route("/live", live), Route("/ready", ready), Route("/metrics", metrics)]
