"""The rows of a lane: typed, cached while decoded, written as bytes.

A lane's store is any mapping from bytes to bytes that can also be scanned by prefix. Keys, by first byte (`\\0` ends an
identifier key, which never contains one):

    i KEY                    an identifier: where its profile lives and, at the root, the members and its own component
    c ROOT \\0 MEMBER         another member's component, beside the root
    h ROOT \\0 MEMBER         settled history of a component
    t ROOT \\0 MEMBER         traits of a component
    o ROOT \\0 MEMBER \\0 ID   one order
    f ROOT \\0 MEMBER \\0 SUM  one fired mark (rule and run key)
    m KEY \\0 MESSAGE         a message id this identifier has seen, and when it was first accepted
    a KEY                    the user whom an alias said an anonymous id, not seen before, to be
    w DUE KEY                a wake: the earliest open timer of a root

Rows but `m` and `w` are JSON. `i` and `c` are lines: what seldom changes, a list whose first element is the version of
the layout; what changes with every event; the component's totals; its tail. The others are as `facets` describes.
What a later version appends is kept. A row is at most 64 KiB; `facets`, `component` and `Row.encode` say what is
trimmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import orjson

from profiles.component import TAIL, TAIL_BYTES, TOTALS_CAP, Component, Signalled, kept, line_of
from profiles.facets import MERGES, ROW_CAP, Entry, entry_of, settle
from schemas.errors import RowError
from schemas.messages import Event, Piece

LAYOUT = 1
FRAME_CAP = ROW_CAP - TOTALS_CAP - TAIL_BYTES
AT_REST = b"0,0,0"
"""The second line of a row that no timer and no rule concerns."""
_THIS_LAYOUT = b"[%d," % LAYOUT
_ROOT = b"[%d,null," % LAYOUT
"""How a row begins that this version stored and that did not move."""
_LINES_BEFORE_TAIL = 3
"""Line ends of a row whose component has an empty tail."""
ASKED = 32
"""Pairs an identifier remembers having asked the linker about."""
PIECE_BYTES = 256 * 1024
CACHED = 131_072
"""Rows kept in memory unless told otherwise, of about 1.3 KB once they were opened."""
SMALL_CACHE = 8_192
LARGE_EVERY = 200
"""Small generations after which a large one is tried again: whoever was strange may have become a regular."""


class Store(Protocol):
    """What a lane's rows are read from. A missing key reads as None."""

    def get(self, key: bytes) -> bytes | None: ...

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
        """Rows whose keys begin so, in order of their keys, those before `start` left out."""


class Row:
    """One identifier: a root with its members, or moved to another row.

    A row that was read stays as it is stored until somebody asks for more than a stored row can tell: most are read
    for one event, which is one line more at their end.
    """

    __slots__ = (
        "asked",
        "component",
        "extra",
        "frame",
        "key",
        "latest",
        "members",
        "parts",
        "since",
        "stored",
        "stored_wake",
        "to",
        "wake",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.stored: bytes | None = None
        """The row as it is stored, for as long as nothing else of it is known."""
        self.to: str | None = None
        self.members: frozenset[str] = frozenset()
        """Other identifiers whose components belong to this root."""
        self.parts: frozenset[str] = frozenset()
        """Those of them of which a component is here: nobody need look for the others."""
        self.asked: dict[str, int] = {}
        """Key of another identifier -> when the linker was last asked about the pair."""
        self.component: Component | None = None
        """The identifier's own component while it is a root."""
        self.wake = 0
        """When the earliest open timer is due; 0 is never."""
        self.stored_wake = 0
        self.since = 0
        """No open window was armed before this; 0 where none is open."""
        self.latest = 0
        """When the newest event occurred that meant something to a rule."""
        self.extra: Sequence[Any] = ()
        self.frame: bytes | None = None
        """The first line as it is stored; None once something in it may have changed."""

    @classmethod
    def decode(cls, key: str, stored: bytes) -> Row:
        """Raises RowError where a later version stored it."""
        if not stored.startswith(_THIS_LAYOUT):
            versioned(stored.partition(b"\n")[0])
        self = cls.__new__(cls)
        self.key = key
        self.stored = stored
        return self

    def __getattr__(self, name: str) -> Any:
        """Python asks this where an attribute is missing: then the row was not opened yet."""
        if self.stored is None:
            raise AttributeError(name)
        self.open()
        return getattr(self, name)

    def open(self) -> None:
        """Decodes the row, unless that was done before."""
        if self.stored is None:
            return
        self.frame, *lines = self.stored.split(b"\n", 2)
        _, self.to, members, parts, self.asked, *self.extra = orjson.loads(self.frame)
        times, *component = lines
        self.members = frozenset(members)
        self.parts = frozenset(parts)
        if times == AT_REST:
            self.wake = self.since = self.latest = 0
        else:
            self.wake, self.since, self.latest = map(int, times.split(b","))
        self.stored_wake = self.wake
        self.component = Component.of(component[0]) if component else None
        self.stored = None

    @property
    def moved_to(self) -> str | None:
        """`to`, which a stored root need not be opened for."""
        if self.stored is not None and self.stored.startswith(_ROOT):
            return None
        return self.to

    def holds(self, key: str) -> bool:
        """Whether another identifier is a member.

        A stored root begins with its members as a list of JSON strings, and a key between quotes can be nothing but one
        of them; where a string of the list itself holds what looks like the list's end, the row is opened.
        """
        stored = self.stored
        if stored is None or not stored.startswith(_ROOT):
            return key in self.members
        return stored.find(orjson.dumps(key), 0, stored.find(b"],[")) > 0 or key in self.members

    def append(self, line: bytes) -> bool:
        """Adds an event's line to the component of a stored root; False where the row must be opened for that."""
        stored = self.stored
        if stored is None or not stored.startswith(_ROOT):
            return False
        lines = stored.count(b"\n") - _LINES_BEFORE_TAIL
        if not 0 <= lines < TAIL or len(stored) + len(line) >= TAIL_BYTES:
            return False
        self.stored = b"%b\n%b" % (stored, line)
        return True

    def encode(self) -> bytes:
        """The stored row. What takes too much room loses whom it asked about; members are never trimmed."""
        if self.stored is not None:
            return self.stored
        if self.frame is None:
            self.frame = self._frame()
            if len(self.frame) > FRAME_CAP:
                self.asked = {}
                self.frame = self._frame()
        times = (self.wake, self.since, self.latest)
        if self.component is None:
            return b"%b\n%d,%d,%d" % (self.frame, *times)
        return b"%b\n%d,%d,%d\n%b" % (self.frame, *times, self.component.encode())

    def _frame(self) -> bytes:
        return kept(orjson.dumps([LAYOUT, self.to, sorted(self.members), sorted(self.parts), self.asked, *self.extra]))


def versioned(line: bytes) -> list[Any]:
    """A list whose first element is the version of its layout. Raises RowError where that is a newer one."""
    head: list[Any] = orjson.loads(line)
    if head[0] > LAYOUT:
        raise RowError(f"A stored row has layout {head[0]}; this Rapport reads up to {LAYOUT}. Upgrade Rapport.")
    return head


def encode_component(component: Component) -> bytes:
    return b"[%d]\n%b" % (LAYOUT, component.encode())


def decode_component(stored: bytes) -> Component:
    head, _, encoded = stored.partition(b"\n")
    versioned(head)
    return Component.of(encoded)


def bundled(pieces: Iterable[Piece]) -> list[tuple[Piece, ...]]:
    """Pieces in the fewest runs that each fit a message."""
    runs: list[tuple[Piece, ...]] = []
    room = 0
    for piece in pieces:
        size = sum(len(text.encode()) for row in piece.rows for text in row)
        if runs and size <= room:
            runs[-1] = (*runs[-1], piece)
        else:
            runs.append((piece,))
            room = PIECE_BYTES
        room -= size
    return runs


def place(kind: bytes, root: str, member: str) -> bytes:
    return kind + root.encode() + b"\0" + member.encode()


class Rows:
    """A lane's rows: reads through to the store, gathers changes until `changes` takes them.

    Decoded rows stay cached across commits, as many as `room` says at the time; nobody else may write the store
    meanwhile. Where most rows had to be read anyway, a small cache does as well and stays in the processor's: then it
    is a small one for a while.
    """

    def __init__(self, store: Store, room: Callable[[], int] = lambda: CACHED) -> None:
        self._store = store
        self._allowed = room
        self._room = room() // 2
        """Rows of a generation."""
        self._read = 0
        """Rows of the young generation that were in no cache."""
        self._small = 0
        """Small generations since the last large one."""
        self._young: dict[str, Row] = {}
        self._old: dict[str, Row] = {}
        self._dirty: dict[str, Row] = {}
        self._components: dict[bytes, Component] = {}
        self._raw: dict[bytes, bytes | None] = {}
        self._ahead: dict[bytes, bytes | None] = {}
        """Stored rows that were read before anybody asked."""

    # --- identifiers ------------------------------------------------------------------------------------------------

    def expect(self, keys: Iterable[str], read: Callable[[list[bytes]], list[bytes | None]]) -> None:
        """Reads rows that will be asked for before the next `encode`; `read` does as the store's `get`, of many."""
        young, old = self._young, self._old
        wanted = [b"i" + key.encode() for key in keys if key not in young and key not in old]
        if wanted:
            self._ahead = dict(zip(wanted, read(wanted), strict=True))

    def find(self, key: str) -> Row | None:
        row = self._young.get(key)
        if row is not None:
            return row
        row = self._old.get(key)
        if row is None:
            name = b"i" + key.encode()
            stored = self._ahead[name] if name in self._ahead else self.get(name)
            if stored is None:
                return None
            row = Row.decode(key, stored)
            self._read += 1
        self._young[key] = row
        return row

    def born(self, key: str) -> Row:
        """A row for an identifier that has none yet."""
        row = self._young[key] = self._dirty[key] = Row(key)
        return row

    def touch(self, row: Row) -> None:
        """Anything of the row is about to change: a row is opened before it is changed, never after."""
        row.open()
        row.frame = None
        self.keep(row)

    def keep(self, row: Row) -> None:
        """A row that was opened has other times now, or another component; who belongs to it is as it was."""
        self._dirty[row.key] = row

    # --- components -------------------------------------------------------------------------------------------------

    def component(self, root: Row, member: str) -> Component | None:
        """A member's component at its root, to read."""
        if member == root.key:
            return root.component
        place_ = place(b"c", root.key, member)
        component = self._components.get(place_)
        if component is None:
            stored = self.get(place_)
            if stored is None:
                return None
            component = decode_component(stored)
        return component

    def own(self, root: Row, member: str) -> Component:
        """A member's component at its root, to change; an empty one where there is none."""
        component = self.component(root, member) or Component()
        if member == root.key:
            root.component = component
            self._dirty[member] = root
        else:
            self._components[place(b"c", root.key, member)] = component
            if member not in root.parts:
                root.parts |= {member}
                self.touch(root)
        return component

    def note(self, root: Row, member: str, event: Event, signals: list[Any] | None) -> Component | None:
        """Counts an event into a member's component at its root; returns the component if it should be settled."""
        if not signals and member == root.key and root.append(line_of(event, None)):
            self._dirty[member] = root
            return None
        component = self.own(root, member)
        component.note(event, signals)
        return component if component.full else None

    def settle(self, root: Row, member: str, component: Component, horizon: int) -> None:
        """Adds a component's tail up, moves it into the settled history, and trims that."""
        where = place(b"h", root.key, member)
        tail = component.settle(root.members)
        self._raw[where], component.signals, lost, forgotten = settle(self.get(where), tail, horizon)
        component.trimmed += lost
        component.forgotten = max(component.forgotten, forgotten)

    def signalled(self, root: Row, member: str, component: Component) -> list[Signalled]:
        """The entries of a component that mean something to rules; decoded once while the component is cached."""
        if component.recalled is None:
            component.recalled = [
                (entry[0], entry[1], entry[5]) for entry in self.history(root, member, component) if len(entry) > 5
            ]
        return component.recalled

    def history(self, root: Row, member: str, component: Component) -> list[Entry]:
        """All entries kept of a component, in no particular order."""
        return [*self.settled(root, member), *map(entry_of, component.lines())]

    def settled(self, root: Row, member: str) -> list[Entry]:
        """Those that are no longer in its tail."""
        stored = self.get(place(b"h", root.key, member))
        entries: list[Entry] = orjson.loads(stored) if stored else []
        return entries

    def members(self, root: Row) -> Iterator[tuple[str, Component]]:
        """Every component that a root holds, its own first."""
        for member in (root.key, *sorted(root.parts)):
            component = self.component(root, member)
            if component is not None:
                yield member, component

    # --- plain rows -------------------------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        if key in self._raw:
            return self._raw[key]
        return self._store.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        self._raw[key] = value

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Plain rows by prefix, uncommitted changes included, in order of their keys."""
        found: dict[bytes, bytes | None] = dict(self._store.scan(prefix))
        found.update((key, value) for key, value in self._raw.items() if key.startswith(prefix))
        return sorted((key, value) for key, value in found.items() if value is not None)

    # --- moving components ------------------------------------------------------------------------------------------

    def take_out(self, root: Row, members: Iterable[str]) -> list[Piece]:
        """Removes members' components and all rows beside them, as pieces of bounded size."""
        return [piece for member in members for piece in self._pieces(root, member)]

    def _pieces(self, root: Row, member: str) -> Iterator[Piece]:
        rows: list[tuple[str, str]] = []
        size = 0
        for name, value in self._lift(root, member):
            length = len(name.encode()) + len(value)
            if size and size + length > PIECE_BYTES:
                yield Piece(member, tuple(rows))
                rows, size = [], 0
            rows.append((name, value.decode()))
            size += length
        if rows:
            yield Piece(member, tuple(rows))

    def _lift(self, root: Row, member: str) -> Iterator[tuple[str, bytes]]:
        component = self.component(root, member)
        if component is None:
            return
        where = place(b"c", root.key, member)
        if member == root.key:
            root.component = None
            self.touch(root)
        else:
            self._components.pop(where, None)
            self._raw[where] = None
            root.parts -= {member}
            self.touch(root)
        for suffix, mark in self._beside("f", root, member):
            yield "f" + suffix.hex(), mark
        yield "c", encode_component(component)
        for kind in ("h", "t"):
            where = place(kind.encode(), root.key, member)
            value = self.get(where)
            if value is not None:
                self._raw[where] = None
                yield kind, value
        for suffix, order in self._beside("o", root, member):
            yield "o" + suffix.decode(), order

    def _beside(self, kind: str, root: Row, member: str) -> Iterator[tuple[bytes, bytes]]:
        """Removes all rows of a kind of which a component may have many, named by the ends of their keys."""
        prefix = place(kind.encode(), root.key, member) + b"\0"
        for key, value in self.scan(prefix):
            self._raw[key] = None
            yield key[len(prefix) :], value

    def put_in(self, root: Row, piece: Piece, horizon: int) -> None:
        """Merges a piece into its member's component at this root."""
        component = self.own(root, piece.member)
        grown = False
        for name, text in piece.rows:
            kind, suffix, value = name[0], name[1:], text.encode()
            if kind == "c":
                component.merge(decode_component(value))
                continue
            where = place(kind.encode(), root.key, piece.member)
            if kind in "of":
                where += b"\0" + (bytes.fromhex(suffix) if kind == "f" else suffix.encode())
            mine = self.get(where)
            grown = grown or (kind == "h" and mine is not None)
            self._raw[where] = value if mine is None else MERGES[kind](mine, value)
        component.recalled = None
        if grown or component.full:
            self.settle(root, piece.member, component, horizon)

    # --- committing -------------------------------------------------------------------------------------------------

    def encode(self) -> None:
        """Encodes what has changed so far: best done soon, while it is fresh in the processor's cache."""
        changed = self._raw
        for place_, component in self._components.items():
            changed[place_] = encode_component(component)
        for key, row in self._dirty.items():
            name = key.encode()
            changed[b"i" + name] = row.encode()
            if row.stored is None and row.wake != row.stored_wake:
                if row.stored_wake:
                    changed[b"w" + row.stored_wake.to_bytes(8, "big") + name] = None
                if row.wake:
                    changed[b"w" + row.wake.to_bytes(8, "big") + name] = b""
                row.stored_wake = row.wake
        self._components = {}
        self._dirty = {}
        self._ahead = {}

    def changes(self) -> dict[bytes, bytes | None]:
        """The changed rows since the last call, encoded; None deletes. The caller commits them, all or nothing."""
        self.encode()
        changed, self._raw = self._raw, {}
        if len(self._young) > self._room:
            self._turn_over()
        return changed

    def _turn_over(self) -> None:
        """The young generation becomes the old one, which is forgotten."""
        useless = self._read > len(self._young) * 3 // 4
        self._small = (self._small + 1) % LARGE_EVERY if useless else 0
        room = self._allowed() // 2
        self._room = min(SMALL_CACHE, room) if self._small else room
        self._old, self._young, self._read = self._young, {}, 0
