"""The rows beside a component: traits and settled history; `orders` has orders. Each kind has one commutative merge.

Pure functions from old row and event (or other row) to new row. `None` stands for a row that does not exist yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import islice
from operator import itemgetter
from typing import Any

import orjson

from profiles.totals import Line, keep_newest, lines_of
from schemas.messages import Event

RECENT_ENTRIES = 50
"""How many recent events a profile shows."""
MAX_HISTORY = 256
"""The most history entries a component keeps for rules."""
MAX_ROW_BYTES = 60 * 1024
"""Where a row is trimmed, leaving room under 64 KiB for its key and envelope."""

Entry = list[Any]
"""[occurred_at, message id, type, name, channel, sequence, signals?]"""


# --- traits ---------------------------------------------------------------------------------------------------------


def fold_traits(row: bytes | None, event: Event) -> bytes:
    """Traits of an identify call: per name the newest `occurred_at` wins, then the larger sequence, then message id.

    A trait is [value, occurred_at, message id, source, sequence].
    """
    traits: dict[str, list[Any]] = orjson.loads(row) if row else {}
    for name, value in event.body["traits"].items():
        stated = [value, event.occurred_at, event.message_id, event.source, event.sequence]
        known = traits.get(name)
        if known is None or _said(stated) > _said(known):
            traits[name] = stated
    return _capped_traits(traits)


def merge_traits(mine: bytes, other: bytes) -> bytes:
    traits: dict[str, list[Any]] = orjson.loads(mine)
    for name, theirs in orjson.loads(other).items():
        known = traits.get(name)
        if known is None or _said(theirs) > _said(known):
            traits[name] = theirs
    return _capped_traits(traits)


def _said(trait: list[Any]) -> tuple[int, int, str]:
    """When a trait was said; 0.1.0 stored no sequence."""
    return trait[1], trait[4] if len(trait) > 4 else 0, trait[2]


def _capped_traits(traits: dict[str, list[Any]]) -> bytes:
    """A trait row over the cap loses the traits set longest ago."""
    row = orjson.dumps(traits)
    while len(row) > MAX_ROW_BYTES and len(traits) > 1:
        keep_newest(traits, len(traits) - 1 - len(traits) // 8, 1)
        row = orjson.dumps(traits)
    return row


# --- settled history ------------------------------------------------------------------------------------------------


def entry_of(line: Line) -> Entry:
    """What history keeps of a component's line."""
    return line[: 7 if len(line) > 6 and line[6] else 6]


Wanted = Callable[[], Collection[str]]
"""Message ids of the entries that may not be lost; asked for once something must be."""


def settle(row: bytes | None, tail: Iterable[Line], horizon: int, wanted: Wanted) -> tuple[bytes, int, int, int]:
    """Merges a tail's lines into the settled history.

    Keeps the newest RECENT entries and, up to HISTORY in all, the entries with signals not older than `horizon` (an
    instant). Where that is too much, the oldest that nobody wants go first; what is wanted stays, however much it is.
    Returns the row, how many kept entries carry signals, how many were lost to the cap, and when the newest entry with
    signals that was not kept occurred (0 where all were).
    """
    entries: list[Entry] = lines_of(row) if row else []
    entries += map(entry_of, tail)
    entries.sort(key=stamp)
    older, recent = entries[:-RECENT_ENTRIES], entries[-RECENT_ENTRIES:]
    older = [entry for entry in older if len(entry) > 6 and entry[0] >= horizon]
    over = len(older) + len(recent) - MAX_HISTORY
    kept = older + recent
    settled = orjson.dumps(kept)
    if over > 0 or len(settled) > MAX_ROW_BYTES:
        needed = wanted()
        kept = _without(older, over, needed) + recent if over > 0 else kept
        settled = orjson.dumps(kept)
        while len(settled) > MAX_ROW_BYTES:
            fewer = _without(kept, 1 + len(kept) // 8, needed)
            if len(fewer) == len(kept):
                break
            kept = fewer
            settled = orjson.dumps(kept)
    held = set(map(id, kept))
    dropped = [entry[0] for entry in entries if len(entry) > 6 and id(entry) not in held]
    signals = sum(len(entry) > 6 for entry in kept)
    return settled, signals, sum(at >= horizon for at in dropped), dropped[-1] if dropped else 0


def _without(entries: list[Entry], count: int, wanted: Collection[str]) -> list[Entry]:
    """The entries less so many, the oldest that nobody wants."""
    spare = (entry for entry in entries if entry[1] not in wanted)
    gone = set(map(id, islice(spare, count)))
    return [entry for entry in entries if id(entry) not in gone]


def merge_history(mine: bytes, other: bytes) -> bytes:
    """The union of two settled histories; the next `settle` trims it."""
    return orjson.dumps(sorted(lines_of(mine) + lines_of(other), key=stamp))


stamp: Callable[[Entry], tuple[int, int, str]] = itemgetter(0, 5, 1)
"""What history is sorted by: time, sequence, message id."""
