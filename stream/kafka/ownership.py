"""What a process may own of a cluster: the lane of a partition, or the linker's."""

from __future__ import annotations

from dataclasses import dataclass

from stream.core.effects import LINKS
from stream.core.home import INTERNAL
from stream.core.owners import EVENTS


@dataclass(frozen=True, slots=True)
class Ownership:
    """What a lane owns."""

    name: str
    """As in transactional ids and folders: `lane-3`, `linker`."""
    partition: int
    inputs: tuple[str, ...]
    rows: str
    """The topic of its changelog."""


LINKER = Ownership("linker", 0, (LINKS.topic,), "linker-rows")


def home(partition: int) -> Ownership:
    """The lane of a partition."""
    return Ownership(f"lane-{partition}", partition, (EVENTS, INTERNAL), "rows")
