"""Refused input, looked at, tried again and discarded. It reads what was published; the originals are never changed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rapport.customers import queries
from rapport.plan import folder as plan_folder
from rapport.replay.local import Clock, Report, run
from rapport.replay.sources import Source, kept
from rapport.terminal.output import Progress
from schemas.errors import UnknownRefusal
from schemas.messages import Rejected
from schemas.rejection import READ, discarded
from stream.clock import wall_now
from stream.embedded.engine import Engine

if TYPE_CHECKING:
    from rapport.replay import cluster as cluster_replay
    from stream.kafka.cluster import Cluster

ALL = 1 << 62


@dataclass(frozen=True, slots=True)
class Refused:
    """One refusal with its original, which above 64 KiB is only the beginning of it."""

    id: str
    short: str
    """What is left of the id that still names this one only."""
    rejected_at: str
    source: str
    stage: str
    code: str
    field: str
    value: str
    expectation: str
    length: int
    sha256: str
    original: bytes

    @property
    def cut(self) -> bool:
        return len(self.original) < self.length

    @property
    def whole(self) -> bool:
        """Whether the original is an event to be tried again: neither cut nor a row of a table."""
        return not self.cut and self.stage != READ

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "original": self.original.decode("utf-8", "backslashreplace"), "cut": self.cut}


def newest(data: Path, limit: int) -> list[dict[str, Any]]:
    """The newest refusals without their originals; `short` is what is left of an id that still names one only."""
    return _listed(data, limit=limit)


def summary(data: Path) -> list[dict[str, Any]]:
    """How often each cause is the cause, with an example."""
    return queries.rows(data, "rejected_summary")


def one(data: Path, id_: str) -> Refused:
    """The refusal with this id, or whose id starts so. Raises UnknownRefusal."""
    found = _with_originals(data, [id_])
    if len(found) > 1:
        named = ", ".join(each.short for each in found[:5]) + (" ..." if len(found) > 5 else "")
        raise UnknownRefusal(f"{len(found):,} refused inputs have an id that starts with {id_!r}; name one: {named}")
    return found[0]


def replay(data: Path, plan: Path | None, ids: Sequence[str], progress: Progress) -> tuple[Report, int]:
    """Takes originals in again. Returns the report and how many originals are no whole events, so could not be
    taken.

    What is refused for the same reason again is not recorded again. Raises UnknownRefusal for an id nobody has.
    """
    sources, cut = _originals(data, ids)
    loaded = plan_folder.load(plan, data)
    return run(data, loaded, sources, clock=Clock.wall, progress=progress, plan_folder=plan), cut


def send(
    cluster: Cluster, plan: Path | None, ids: Sequence[str], progress: Progress
) -> tuple[cluster_replay.Report, int]:
    """The same into a cluster, whose sinks publish in `cluster.data`. Raises UnknownRefusal and ClusterError."""
    from rapport.replay import cluster as cluster_replay

    sources, cut = _originals(cluster.data, ids)
    return cluster_replay.run(cluster, plan_folder.load(plan), sources, progress, tables=cluster.data), cut


def discard(data: Path, plan: Path | None, ids: Sequence[str], cause: str | None) -> int:
    """Takes refusals out of sight, those with these ids or of a cause, else all. Returns how many these were.

    In the lake they stay, and a record beside them says that they were discarded: the same input refused once more is
    not listed anew. Raises UnknownRefusal for an id nobody has.
    """
    records = _discards(data, ids, cause)
    if records:
        with Engine.open(data, plan_folder.load(plan, data)) as engine:
            engine.take(records)
            engine.publish()
    return len(records)


def send_discard(cluster: Cluster, ids: Sequence[str], cause: str | None) -> int:
    """The same for a cluster, whose sinks publish in `cluster.data` some seconds later. Raises also ClusterError."""
    from stream.kafka.producer import feeding

    records = _discards(cluster.data, ids, cause)
    if records:
        with feeding(cluster, secrets.token_hex(8)) as feed:
            feed.send(records)
            feed.finish()
    return len(records)


def _discards(data: Path, ids: Sequence[str], cause: str | None) -> list[Rejected]:
    now = wall_now()
    return [discarded(row["id"], row["code"], row["source"], now) for row in _listed(data, ids=ids, cause=cause)]


def _originals(data: Path, ids: Sequence[str]) -> tuple[list[Source], int]:
    """By source, the oldest first, and how many are no whole events."""
    found = _with_originals(data, ids)
    originals: dict[str, list[bytes]] = {}
    for each in reversed(found):
        if each.whole:
            originals.setdefault(each.source, []).append(each.original)
    return [kept(lines, source) for source, lines in originals.items()], sum(not each.whole for each in found)


def _with_originals(data: Path, ids: Sequence[str]) -> list[Refused]:
    return [Refused(original=row.pop("payload"), **row) for row in _listed(data, ids=ids, with_payload=True)]


def _listed(
    data: Path, *, ids: Sequence[str] = (), cause: str | None = None, limit: int = ALL, with_payload: bool = False
) -> list[dict[str, Any]]:
    """The newest first, each id once. Raises UnknownRefusal for an id that nobody has."""
    asked = {"ids": ids or None, "cause": cause, "limit": limit, "with_payload": with_payload}
    found: dict[str, dict[str, Any]] = {}
    for row in queries.rows(data, "rejected", asked):
        found.setdefault(row["id"], row if with_payload else {name: row[name] for name in row if name != "payload"})
    named: set[str] = set()
    for id_ in ids:
        whole = {row["id"] for row in found.values() if id_ in (row["id"], row["short"])}
        begun = whole or {each for each in found if each.startswith(id_)}
        if not begun:
            raise UnknownRefusal(f"no refused input has an id that starts with {id_!r}; ids: rapport rejected list")
        named |= begun
    return [row for row in found.values() if not ids or row["id"] in named]
