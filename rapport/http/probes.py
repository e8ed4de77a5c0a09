"""The HTTP side of a worker and of a sink: /live, /ready, /metrics, and what else a process answers.

`/live` says that the process turns; recovery, a broker that is away and lag never fail it, because a restart mends none
of them. `/ready` says what is still missing. Both are open and name no customer. Everything else needs the token where
one is set. This module must never decide whether a process is well: it asks `Health`.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from rapport.http.server import Answer, Answering, Question, as_json

OPEN = ("/live", "/ready")
"""Asked by orchestrators, which hold no token."""


class Health(Protocol):
    """What a process knows about itself; asked from the server's own thread."""

    def live(self) -> bool:
        """Whether its loop turns."""

    def missing(self) -> Sequence[str]:
        """What keeps it from working, one sentence each; nothing: it is ready."""

    def about(self) -> Mapping[str, str]:
        """What else `/ready` tells; no secret, for it asks for no token."""


def application(
    health: Health, registry: CollectorRegistry, token: str | None, answers: Mapping[str, Answering] | None = None
) -> Answering:
    """What is served: the probes, the metrics of `registry`, and `answers` by path."""

    def live(_question: Question) -> Answer:
        alive = health.live()
        return as_json({"live": alive}, 200 if alive else 503)

    def ready(_question: Question) -> Answer:
        missing = list(health.missing())
        return as_json({"ready": not missing, "missing": missing, **health.about()}, 503 if missing else 200)

    def metrics(_question: Question) -> Answer:
        return Answer(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    paths = {"/live": live, "/ready": ready, "/metrics": metrics, **(answers or {})}
    expected = None if token is None else f"Bearer {token}".encode()

    def answering(question: Question) -> Answer | Awaitable[Answer]:
        if question.path not in OPEN and (refusal := _refusal(question, expected)):
            return refusal
        answer = paths.get(question.path)
        return as_json({"error": f"there are {', '.join(paths)}"}, 404) if answer is None else answer(question)

    return answering


def _refusal(question: Question, expected: bytes | None) -> Answer | None:
    """What somebody is told who may not ask."""
    if expected is None:
        # A page in a browser on this machine may have its own name resolve to 127.0.0.1 and read us.
        if not _is_local(question.headers.get("host", "")):
            return as_json({"error": "ask by address, or as localhost"}, 403)
    elif not hmac.compare_digest(_shown(question), expected):
        return as_json({"error": "the bearer token is missing or wrong"}, 401, {"WWW-Authenticate": "Bearer"})
    return None


def _shown(question: Question) -> bytes:
    return question.headers.get("authorization", "").encode("utf-8", "surrogateescape")


def _is_local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
