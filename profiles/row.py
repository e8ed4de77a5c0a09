"""The row of an identifier: its codec, and what can be told of a stored row, or added to it, without decoding it.

Most rows are read for one event, which is one line more at their end (`append`). A row is lines: what seldom changes,
a list whose first element is the version of the layout; what changes with every event; then, at a root, its own
component: what rules need, its totals, its tail.

    [2, to, own flags, [members], {member: flags}, {asked: at}, ...]
    wake,since,latest
    [signals,trimmed,forgotten]
    totals
    one line an event

Flags say which kinds of rows lie beside a component (`kinds.BESIDE`); null where that is not known. Layout 1 had no own
flags and a list in place of the second object: there nothing is known; its lines had no sequence. What a later version
appends is kept. This module never touches a store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from profiles.component import MAX_TAIL_BYTES, MAX_TAIL_LINES, Component
from profiles.facets import MAX_ROW_BYTES
from profiles.layout import versioned
from profiles.totals import MAX_TOTALS_BYTES, kept

LAYOUT = 2
MAX_FRAME_BYTES = MAX_ROW_BYTES - MAX_TOTALS_BYTES - MAX_TAIL_BYTES
AT_REST = b"0,0,0"
"""The second line of a row that no timer and no rule concerns."""
_ROOT_1, _ROOT_2 = b"[1,null,", b"[2,null,"
_ROOTS = (_ROOT_1, _ROOT_2)
"""How a row begins that did not move."""
_READABLE = (b"[1,", b"[2,")
_OWN_FLAGS = len(_ROOT_2)
_LINES_BEFORE_TAIL = 3
"""Line ends of a row whose component has an empty tail."""


class Row:
    """One identifier, decoded: a root with its members, or moved to another row."""

    __slots__ = (
        "asked",
        "component",
        "extra",
        "frame",
        "key",
        "latest",
        "members",
        "own",
        "parts",
        "since",
        "stored_times",
        "to",
        "wake",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.to: str | None = None
        self.members: frozenset[str] = frozenset()
        """Other identifiers whose components belong to this root."""
        self.own: int | None = 0
        """Flags of what lies beside the identifier's own component; None where nobody has looked."""
        self.parts: dict[str, int | None] = {}
        """Members of which a component is here, and the flags of each: nobody need look for the others."""
        self.asked: dict[str, int] = {}
        """Key of another identifier -> when the linker was last asked about the pair."""
        self.component: Component | None = None
        """The identifier's own component while it is a root."""
        self.wake = 0
        """When the earliest open timer is due; 0 is never."""
        self.since = 0
        """No open window was armed before this; 0 where none is open."""
        self.latest = 0
        """When the newest event occurred that meant something to a rule."""
        self.stored_times = (0, 0, 0)
        """As they are stored; whoever changes one of the three marks the row (`Rows.keep`)."""
        self.extra: Sequence[Any] = ()
        self.frame: bytes | None = None
        """The first line as it is stored; None once something in it may have changed."""

    @classmethod
    def decode(cls, key: str, stored: bytes) -> Row:
        """Raises RowError where a later version stored it."""
        readable(stored)
        self = cls.__new__(cls)
        self.key = key
        self.frame, times, *component = stored.split(b"\n", 2)
        self.component = Component.of(component[0]) if component else None
        layout, self.to, *rest = orjson.loads(self.frame)
        if layout == 1:
            members, parts, self.asked, *self.extra = rest
            self.own = None if component else 0
            self.parts = dict.fromkeys(parts)
        else:
            self.own, members, self.parts, self.asked, *self.extra = rest
        self.members = frozenset(members)
        if times == AT_REST:
            self.wake = self.since = self.latest = 0
        else:
            self.wake, self.since, self.latest = map(int, times.split(b","))
        self.stored_times = self.times
        return self

    @property
    def times(self) -> tuple[int, int, int]:
        """`wake`, `since` and `latest`."""
        return self.wake, self.since, self.latest

    def flags(self, member: str) -> int | None:
        """What lies beside a member's component here; None where nobody has looked."""
        return self.own if member == self.key else self.parts.get(member, 0)

    def flag(self, member: str, flags: int) -> None:
        """Keeps what lies beside a member's component. Only for rows that are marked as changed."""
        if member == self.key:
            self.own = flags
        else:
            self.parts[member] = flags

    def encode(self) -> bytes:
        """The stored row. What takes too much room loses whom it asked about; members are never trimmed."""
        if self.frame is None:
            self.frame = self._frame()
            if len(self.frame) > MAX_FRAME_BYTES:
                self.asked = {}
                self.frame = self._frame()
        if self.component is None:
            return b"%b\n%d,%d,%d" % (self.frame, *self.times)
        return b"%b\n%d,%d,%d\n%b" % (self.frame, *self.times, self.component.encode())

    def _frame(self) -> bytes:
        members = sorted(self.members) if self.members else ()
        return kept(orjson.dumps([LAYOUT, self.to, self.own, members, self.parts, self.asked, *self.extra]))


# --- stored rows ----------------------------------------------------------------------------------------------------


def readable(stored: bytes) -> None:
    """Raises RowError where a later version stored the row."""
    if not stored.startswith(_READABLE):
        versioned(stored.partition(b"\n")[0], LAYOUT)


def moved_to(stored: bytes) -> str | None:
    """`Row.to` of a stored row."""
    if stored.startswith(_ROOTS):
        return None
    to: str | None = orjson.loads(stored.partition(b"\n")[0])[1]
    return to


def surely_holds(stored: bytes, key: str) -> bool:
    """Whether a stored row has another identifier as a member; where it says no, only a decoded row knows.

    Its members are the first list of JSON strings in it, and a key between quotes can be nothing but one of them; where
    a string of the list itself holds what looks like the list's end, what lies behind is not seen.
    """
    if stored.startswith(_ROOT_2):
        end = stored.find(b"],{")
    elif stored.startswith(_ROOT_1):
        end = stored.find(b"],[")
    else:
        return False
    return stored.find(orjson.dumps(key), 0, end) > 0


def own_flags(stored: bytes) -> int | None:
    """`Row.own` of a stored root."""
    flags = stored[_OWN_FLAGS : stored.index(b",", _OWN_FLAGS)]
    return None if stored.startswith(_ROOT_1) or flags == b"null" else int(flags)


def appended(stored: bytes, line: bytes) -> bytes | None:
    """A stored root with one event's line more in its component; None where the row must be decoded for that.

    Lines of today are not for readers of layout 1, who would take the sequence for something else.
    """
    if not stored.startswith(_ROOT_2):
        return None
    lines = stored.count(b"\n") - _LINES_BEFORE_TAIL
    if not 0 <= lines < MAX_TAIL_LINES or len(stored) + len(line) >= MAX_TAIL_BYTES:
        return None
    return b"%b\n%b" % (stored, line)
