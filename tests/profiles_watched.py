"""Rows that are watched: what was changed in memory is handed over for the commit, and flags say what is stored."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from profiles.kinds import BESIDE
from profiles.row import Row
from profiles.rows import Rows, Store


class Watched(Rows):
    """Fails at the commit where a cached row is not what is stored, which is a change that nobody marked."""

    def changes(self) -> dict[bytes, bytes | None]:
        changed = super().changes()
        for key, held in {**self._cache.old, **self._cache.young}.items():
            name = b"i" + key.encode()
            stored = changed.get(name, self._store.get(name))
            assert stored is not None, f"{key} is cached and not stored"
            if isinstance(held, Row):
                assert told(held) == told(Row.decode(key, stored)), f"{key} changed and was not marked"
            else:
                assert held == stored, f"{key} changed and was not marked"
        return changed


def told(row: Row) -> dict[str, object]:
    """All that a row holds."""
    values = {name: getattr(row, name) for name in Row.__slots__ if name not in ("component", "frame")}
    encoded = row.component and row.component.encode()
    return {**values, "members": sorted(row.members), "extra": list(row.extra), "component": encoded}


def wrong_flags(store: Store, known_only: bool = False) -> list[str]:
    """Where flags do not say exactly what lies beside a component, or something lies beside none."""
    wrong = []
    expected: set[bytes] = set()
    for key, stored in store.scan(b"i"):
        root = Row.decode(key[1:].decode(), stored)
        for member in (root.key, *root.parts):
            flags = root.flags(member)
            if flags is None and not known_only:
                wrong.append(f"nobody knows what lies beside {member} at {root.key}")
            for kind in BESIDE:
                found = [
                    name
                    for name, _ in store.scan(kind.key(root.key, member))
                    if kind.many or name == kind.key(root.key, member)
                ]
                expected.update(found)
                if flags is not None and bool(found) != bool(flags & kind.flag):
                    wrong.append(f"{kind.letter} of {member} at {root.key}: flags {flags}, rows {len(found)}")
    for kind in BESIDE:
        wrong += [
            f"{name!r} lies beside no component" for name, _ in store.scan(kind.letter.encode()) if name not in expected
        ]
    return wrong


def layout_1(rows: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The same rows as they were stored before heads told what lies beside components."""
    made = dict(rows)
    for key, stored in rows.items():
        if key[:1] == b"i":
            row = Row.decode(key[1:].decode(), stored)
            head = [1, row.to, sorted(row.members), sorted(row.parts), row.asked, *row.extra]
            made[key] = orjson.dumps(head) + b"\n" + stored.partition(b"\n")[2]
    return made
