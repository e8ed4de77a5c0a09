"""What a lane holds: identifiers' rows in a cache, components, and the rows beside them, written as bytes.

A lane's store is any mapping from bytes to bytes that can also be scanned by prefix; `kinds` lists its keys. `Rows`
reads through to the store and gathers changes until `changes` takes them; nobody else may write the store meanwhile.
What lies beside a component is told by flags in its root's row: what is not there is not looked for. This module never
asks for the time.

Rows but message ids and wakes are JSON, in lines as `row` and `component` describe, or as `facets` and `orders` do. A
row is at most 64 KiB; `facets`, `orders`, `totals` and `Row.encode` say what is trimmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from profiles.component import Component, Signalled, decode_component, encode_component, line_of
from profiles.facets import Entry, Wanted, entry_of, settle
from profiles.kinds import BESIDE, COMPONENT, HEAD, HISTORY, WAKE, Kind, place
from profiles.row import Row, appended, moved_to, own_flags, readable, surely_holds
from profiles.row_cache import CACHED_ROWS, Held, RowCache
from profiles.totals import lines_of
from schemas.messages import Event

MAX_ASKED = 32
"""Pairs an identifier remembers having asked the linker about."""


class Store(Protocol):
    """What a lane's rows are read from. A missing key reads as None."""

    def get(self, key: bytes) -> bytes | None: ...

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
        """Rows whose keys begin so, in order of their keys, those before `start` left out."""


class Rows:
    """A lane's rows, those changed since the last commit included."""

    def __init__(self, store: Store, room: Callable[[], int] = lambda: CACHED_ROWS) -> None:
        self._store = store
        self._cache = RowCache(room)
        self._dirty: dict[str, None] = {}
        """Identifiers whose rows changed since they were last encoded; all of them are in the young generation."""
        self._components: dict[bytes, Component] = {}
        self._raw: dict[bytes, bytes | None] = {}
        self._ends: dict[bytes, set[bytes]] = {}
        """Where keys of a kind and component begin -> the ends of those laid since the last commit."""
        self._ahead: dict[bytes, bytes | None] = {}
        """Stored rows that were read before anybody asked."""

    # --- identifiers ------------------------------------------------------------------------------------------------

    def expect(self, keys: Iterable[str], read: Callable[[list[bytes]], list[bytes | None]]) -> None:
        """Reads rows that will be asked for before the next `encode`; `read` does as the store's `get`, of many."""
        young, old = self._cache.young, self._cache.old
        wanted = [HEAD + key.encode() for key in keys if key not in young and key not in old]
        if wanted:
            self._ahead = dict(zip(wanted, read(wanted), strict=True))

    def _held(self, key: str) -> Held | None:
        held = self._cache.young.get(key)
        if held is not None:
            return held
        held = self._cache.get(key)
        if held is None:
            name = HEAD + key.encode()
            held = self._ahead[name] if name in self._ahead else self.get(name)
            if held is not None:
                readable(held)
                self._cache.read(key, held)
        return held

    def find(self, key: str) -> Row | None:
        """The row of an identifier, decoded. Where the questions below are enough, it stays as it is stored."""
        held = self._held(key)
        if isinstance(held, bytes):
            held = self._cache.young[key] = Row.decode(key, held)
        return held

    def there(self, key: str) -> Row:
        """The row of a known identifier, decoded."""
        row = self.find(key)
        assert row is not None, key
        return row

    def known(self, key: str) -> bool:
        """Whether an identifier has a row here."""
        return self._held(key) is not None

    def moved_to(self, key: str) -> str | None:
        """Where a known identifier's row points; None where it is a root."""
        held = self._held(key)
        assert held is not None, key
        return moved_to(held) if isinstance(held, bytes) else held.to

    def holds(self, key: str, other: str) -> bool:
        """Whether another identifier is a member of a known one."""
        held = self._held(key)
        assert held is not None, key
        if isinstance(held, bytes):
            return surely_holds(held, other) or other in self.there(key).members
        return other in held.members

    def append(self, key: str, event: Event) -> bool:
        """Counts an event that no rule waits for into the own component of a known root that is not decoded.

        False where nothing was done: then it must be decoded for that (`find`, `note`).
        """
        held = self._held(key)
        longer = appended(held, line_of(event, None)) if isinstance(held, bytes) else None
        if longer is None:
            return False
        self._cache.young[key] = longer
        self._dirty[key] = None
        return True

    def born(self, key: str) -> Row:
        """A row for an identifier that has none yet."""
        row = self._cache.young[key] = Row(key)
        self._dirty[key] = None
        return row

    def touch(self, row: Row) -> None:
        """Anything of the row is about to change."""
        row.frame = None
        self.keep(row)

    def keep(self, row: Row) -> None:
        """The row has other times now, or another component; who belongs to it is as it was."""
        self._cache.young[row.key] = row
        self._dirty[row.key] = None

    # --- components -------------------------------------------------------------------------------------------------

    def component(self, root: Row, member: str) -> Component | None:
        """A member's component at its root, to read."""
        if member == root.key:
            return root.component
        if member not in root.parts:
            return None
        where = place(COMPONENT, root.key, member)
        component = self._components.get(where)
        if component is None:
            stored = self.get(where)
            if stored is None:
                return None
            component = decode_component(stored)
        return component

    def own(self, root: Row, member: str) -> Component:
        """A member's component at its root, to change; an empty one where there is none."""
        component = self.component(root, member) or Component()
        if member == root.key:
            if root.component is None:
                self.touch(root)  # a head of layout 1 knew that nothing lay beside it
            root.component = component
            self.keep(root)
        else:
            self._components[place(COMPONENT, root.key, member)] = component
            if member not in root.parts:
                root.parts[member] = 0
                self.touch(root)
        return component

    def drop(self, root: Row, member: str) -> Component | None:
        """Removes a member's component, and gives it away; the rows beside it are the caller's to remove."""
        component = self.component(root, member)
        self.touch(root)
        if member == root.key:
            root.component = None
            root.own = 0
        elif component is not None:
            where = place(COMPONENT, root.key, member)
            self._components.pop(where, None)
            self._raw[where] = None
            del root.parts[member]
        return component

    def note(self, root: Row, member: str, event: Event, signals: list[Any] | None) -> Component | None:
        """Counts an event into a member's component at its root; returns the component if it should be settled."""
        component = self.own(root, member)
        component.note(event, signals)
        return component if component.full else None

    def settle(self, root: Row, member: str, component: Component, horizon: int, wanted: Wanted) -> None:
        """Adds a component's tail up, moves it into the settled history, and trims that to what `facets.settle` keeps.

        `wanted` is asked before anything has changed.
        """
        lines = component.lines()
        before = self.row_of(HISTORY, root.key, member)
        history, component.signals, lost, forgotten = settle(before, lines, horizon, wanted)
        component.settle(lines, root.members)
        self.lay(HISTORY, root.key, member, history)
        component.trimmed += lost
        component.forgotten = max(component.forgotten, forgotten)

    def signalled(self, root: Row, member: str, component: Component) -> list[Signalled]:
        """The entries of a component that mean something to rules; decoded once while the component is cached."""
        if component.recalled is None:
            component.recalled = [
                (entry[0], entry[5], entry[1], entry[6])
                for entry in self.history(root, member, component)
                if len(entry) > 6
            ]
        return component.recalled

    def history(self, root: Row, member: str, component: Component) -> list[Entry]:
        """All entries kept of a component, in no particular order."""
        return [*self.settled(root, member), *map(entry_of, component.lines())]

    def settled(self, root: Row, member: str) -> list[Entry]:
        """Those that are no longer in its tail."""
        stored = self.row_of(HISTORY, root.key, member)
        return lines_of(stored) if stored else []

    def members(self, root: Row) -> Iterator[tuple[str, Component]]:
        """Every component that a root holds, its own first."""
        for member in (root.key, *sorted(root.parts)):
            component = self.component(root, member)
            if component is not None:
                yield member, component

    def with_history(self, root: Row) -> Iterator[Component]:
        """The components whose newest events are not all they have: only those have settled, or forgotten, any."""
        for member in (root.key, *root.parts):
            flags = root.flags(member)
            component = self.component(root, member) if flags is None or flags & HISTORY.flag else None
            if component is not None:
                yield component

    # --- beside components ------------------------------------------------------------------------------------------

    def row_of(self, kind: Kind, root: str, member: str, end: bytes = b"") -> bytes | None:
        """A row beside a member's component at its root; the store is not asked where the flags say there is none."""
        flags = self._flags(root, member)
        return self.get(kind.key(root, member, end)) if flags is None or flags & kind.flag else None

    def rows_of(self, kind: Kind, root: str, member: str) -> list[tuple[bytes, bytes]]:
        """All rows of a kind beside a component: the ends of their keys, in order, and their values."""
        flags = self._flags(root, member)
        return self._scan(kind, root, member) if flags is None or flags & kind.flag else []

    def lay(self, kind: Kind, root: str, member: str, value: bytes, end: bytes = b"") -> None:
        """Puts a row beside a member's component; the root's row says from now on that there is one."""
        self._raw[kind.key(root, member, end)] = value
        if kind.many:
            self._ends.setdefault(kind.key(root, member), set()).add(end)
        flags = self._flags(root, member)
        if flags is not None and not flags & kind.flag:
            row = self.there(root)
            self.touch(row)
            row.flag(member, flags | kind.flag)

    def beside(self, root: Row, member: str) -> int:
        """The flags of a member's component. Where nobody has looked yet, this does, once."""
        flags = root.flags(member)
        if flags is None:
            flags = sum(kind.flag for kind in BESIDE if self._scan(kind, root.key, member))
            self.touch(root)
            root.flag(member, flags)
        return flags

    def _flags(self, root: str, member: str) -> int | None:
        held = self._held(root)
        assert held is not None, root
        if isinstance(held, bytes):
            return own_flags(held) if member == root else self.there(root).flags(member)
        return held.flags(member)

    def _scan(self, kind: Kind, root: str, member: str) -> list[tuple[bytes, bytes]]:
        prefix = kind.key(root, member)
        if not kind.many:
            value = self.get(prefix)
            return [] if value is None else [(b"", value)]
        found: dict[bytes, bytes | None] = {key[len(prefix) :]: value for key, value in self._store.scan(prefix)}
        found.update(dict.fromkeys(self._ends.get(prefix, ())))
        values = ((end, self._raw.get(prefix + end, stored)) for end, stored in sorted(found.items()))
        return [(end, value) for end, value in values if value is not None]

    # --- plain rows -------------------------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        if key in self._raw:
            return self._raw[key]
        return self._store.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        self._raw[key] = value

    def scan(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Committed rows by prefix, in order of their keys."""
        return self._store.scan(prefix)

    # --- committing -------------------------------------------------------------------------------------------------

    def encode(self) -> None:
        """Encodes what has changed so far: best done soon, while it is fresh in the processor's cache."""
        changed, young = self._raw, self._cache.young
        for where, component in self._components.items():
            changed[where] = encode_component(component)
        for key in self._dirty:
            row = young[key]
            name = key.encode()
            if isinstance(row, bytes):
                changed[HEAD + name] = row
                continue
            stored = changed[HEAD + name] = row.encode()
            if row.times != row.stored_times:
                before = row.stored_times[0]
                if before and before != row.wake:
                    changed[WAKE + before.to_bytes(8, "big") + name] = None
                if row.wake and before != row.wake:
                    changed[WAKE + row.wake.to_bytes(8, "big") + name] = b""
                row.stored_times = row.times
            if row.to is not None:
                young[key] = stored  # nobody asks it for more than where to go, and it takes a tenth of the memory
        self._components = {}
        self._dirty = {}
        self._ahead = {}

    def changes(self) -> dict[bytes, bytes | None]:
        """The changed rows since the last call, encoded; None deletes. The caller commits them, all or nothing."""
        self.encode()
        changed, self._raw = self._raw, {}
        self._ends = {}
        self._cache.turn_over()
        return changed
