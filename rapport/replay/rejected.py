"""Refused input, looked at and tried again. It reads what was published; the originals are never changed."""

from __future__ import annotations

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
from schemas.rejection import READ

if TYPE_CHECKING:
    from rapport.replay import cluster as cluster_replay
    from stream.kafka.cluster import Cluster

ALL = 1 << 62


@dataclass(frozen=True, slots=True)
class Refused:
    """One refusal with its original, which above 64 KiB is only the beginning of it."""

    id: str
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
    """The newest refusals without their originals."""
    found = queries.rows(data, "rejected", {"ids": None, "limit": limit, "with_payload": False})
    return [{name: value for name, value in row.items() if name != "payload"} for row in found]


def one(data: Path, id_: str) -> Refused:
    """The refusal whose id starts so. Raises UnknownRefusal."""
    found = _with_originals(data, [id_])
    if len(found) != 1:
        raise UnknownRefusal(
            f"{len(found) or 'no'} refused inputs have an id that starts with {id_!r}; ids: rapport rejected list"
        )
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


def _originals(data: Path, ids: Sequence[str]) -> tuple[list[Source], int]:
    """By source, the oldest first, and how many are no whole events."""
    found = _with_originals(data, ids or None)
    for id_ in ids:
        if not any(each.id.startswith(id_) for each in found):
            raise UnknownRefusal(f"no refused input has an id that starts with {id_!r}; ids: rapport rejected list")
    originals: dict[str, list[bytes]] = {}
    for each in reversed(found):
        if each.whole:
            originals.setdefault(each.source, []).append(each.original)
    return [kept(lines, source) for source, lines in originals.items()], sum(not each.whole for each in found)


def _with_originals(data: Path, ids: Sequence[str] | None) -> list[Refused]:
    found = queries.rows(data, "rejected", {"ids": ids, "limit": ALL, "with_payload": True})
    return [Refused(original=row.pop("payload"), **row) for row in found]
