"""Whether a store and its lake are of one day, and how both go on where they are not.

The store counts the outputs of each topic and forgets one once the lake has it. So a lake ends at the first output that
still waits in the store at the earliest, and behind the last one at the latest. Anything else means that one of the two
was deleted, or restored from a backup of another day, and what was taken then would be in one and not in the other.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow.compute as pc

from profiles.linker import NUMBER
from schemas.errors import DataFolderError
from schemas.topics import OUTPUTS
from sinks.columns.rows import unpacked
from sinks.lake import durable, manifest, parquet
from stream.embedded.store import LAKE, STATE, STORE, LocalStore

ALIGNED_AT = "aligned_at"
"""In the engine's state: when its offsets were set last. What the lake took before counts as taken."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A topic whose outputs are not the same in store and lake."""

    topic: str
    lake_is_newer: bool
    outputs: int
    """So many are in the newer one alone."""


class DifferentDays(DataFolderError):
    """A store and its lake are of different days: nothing may be taken before somebody has decided what to do."""

    def __init__(self, folder: Path, found: Sequence[Gap]) -> None:
        self.gaps = tuple(found)
        remedy = f"`rapport doctor --set-offsets --data {shlex.quote(str(folder))}`"
        super().__init__(
            f"{folder}: {summary(found)}: one was deleted, or restored from a backup of another day. Restore both from"
            f" one backup, or run {remedy}, which says what is lacking then."
        )


def check(folder: Path, store: LocalStore) -> None:
    """Raises DifferentDays where the store and the lake of a data folder are."""
    if found := gaps(store, folder / LAKE):
        raise DifferentDays(folder, found)


def check_store(folder: Path) -> None:
    """Raises DifferentDays where a lake has lost its store, before a new one is made."""
    if (folder / STORE).exists() or manifest.of_kafka(folder / LAKE):
        return
    if found := [Gap(topic, True, end) for topic, end in ends(folder / LAKE).items() if end]:
        raise DifferentDays(folder, found)


def gaps(store: LocalStore, lake_root: Path, before: Mapping[str, int] | None = None) -> list[Gap]:
    """What one of the two has and the other lacks. Raises FolderTooNew or DataFolderError.

    `before`: the ends of the lake before the store was opened, where somebody may be writing both.
    """
    outputs = _state(store).get("outputs", {})
    found = []
    for topic, end in ends(lake_root).items():
        last = outputs.get(topic, 0)
        first = next((offset for offset, _ in waiting(store, topic)), last)
        end_before = end if before is None else before[topic]
        if end_before > last:
            found.append(Gap(topic, True, end_before - last))
        elif end < first:
            found.append(Gap(topic, False, first - end))
    return found


def align(folder: Path, now: int) -> list[Gap]:
    """Sets the offsets of the store so that it goes on behind the lake, and returns what each lacks of the other.

    Nothing is taken out of either. Raises FolderBusy, FolderTooNew, FolderUnwritable or DataFolderError.
    """
    if not (folder / STORE).exists() and not any(ends(folder / LAKE).values()):
        return []
    store = LocalStore(folder)
    try:
        found = gaps(store, folder / LAKE)
        if found:
            _set(store, folder / LAKE, now)
        store.close()
    except BaseException as error:
        store.release(error)
        raise
    return found


def waiting(store: LocalStore, topic: str) -> Iterator[tuple[int, bytes]]:
    """The outputs that no Parquet file holds yet, packed, by the offset of their first."""
    for key, stored in store.scan_log(topic.encode() + b"/"):
        yield int.from_bytes(key[-8:], "big"), stored


def at(topic: str, offset: int) -> bytes:
    """Where outputs wait, by the offset of their first."""
    return topic.encode() + b"/" + offset.to_bytes(8, "big")


def _set(store: LocalStore, lake_root: Path, now: int) -> None:
    state = _state(store)
    outputs = state.setdefault("outputs", {})
    log: dict[bytes, bytes | None] = {}
    moved: dict[bytes, bytes] = {}
    for topic, end in ends(lake_root).items():
        held = [*waiting(store, topic)]
        log |= dict.fromkeys(at(topic, offset) for offset, _ in held)
        next_ = end
        for offset, stored in held:
            if end < held[0][0] or offset >= end:
                moved[at(topic, next_)] = stored
                next_ += unpacked(topic, stored).num_rows
        outputs[topic] = next_
    number = max(int(store.get(NUMBER) or 0), _last_decision(lake_root))
    rows = {STATE: orjson.dumps({**state, ALIGNED_AT: now}), NUMBER: b"%d" % number}
    store.commit(rows, {**log, **moved})


def _last_decision(lake_root: Path) -> int:
    """The highest number that the lake knows: numbers are never given twice."""
    files = [file for each in manifest.load_all(lake_root, "identity") for file in each.files]
    with durable.as_folder_error(lake_root):
        return int(pc.max(parquet.read(lake_root, "identity", files)["decision"]).as_py()) if files else 0


def ends(lake_root: Path) -> dict[str, int]:
    """The next offset of each topic. Raises FolderTooNew or DataFolderError."""
    return {topic: manifest.load(lake_root, topic, 0).next_offset for topic in OUTPUTS}


def _state(store: LocalStore) -> dict[str, Any]:
    state: dict[str, Any] = orjson.loads(store.get(STATE) or b"{}")
    return state


def summary(found: Sequence[Gap]) -> str:
    """Which is newer, and by what."""
    sides = []
    for newer, older, lake_is_newer in (("lake", "store", True), ("store", "lake", False)):
        if of_side := [each for each in found if each.lake_is_newer is lake_is_newer]:
            sides.append(f"the {newer} is newer, by {counted(of_side)} that the {older} lacks")
    return " and ".join(sides)


def counted(found: Sequence[Gap]) -> str:
    """`15 events, 2 triggers`."""
    names = {
        "facts": "events",
        "identity": "identity decisions",
        "decisions": "rule decisions",
        "rejected": "rejections",
    }
    return ", ".join(f"{each.outputs:,} {names.get(each.topic, each.topic)}" for each in found)
