"""Read-only look at a data folder; works while an engine writes it and sees what was committed when it opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from profiles import view
from profiles.kinds import HEAD
from profiles.linker import negative_link, quarantine
from profiles.rows import Rows
from schemas.keys import profile_id
from stream.embedded import ages
from stream.embedded.store import LAKE, STATE, LocalStore


class Reader:
    """Profiles and identity as the rows tell them. Use it as a context manager."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._rows = Rows(store)

    @classmethod
    def open(cls, folder: Path) -> Reader:
        """Raises DataFolderError where there is nothing to read, FolderTooNew where a newer version wrote it."""
        ages.check_store(folder)
        return cls(LocalStore(folder, read_only=True))

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.release(error)

    def profile(self, key: str) -> dict[str, Any] | None:
        """The whole customer that an identifier belongs to (`profiles.view.profile`), or None."""
        root = view.root_of(self._rows, key)
        return None if root is None else view.profile(self._rows, root)

    def person(self, key: str) -> dict[str, Any] | None:
        """`{"identifier", "root", "profile_id", "members"}` of an identifier, or None where it was never seen."""
        root = view.root_of(self._rows, key)
        if root is None:
            return None
        return {
            "identifier": key,
            "root": root.key,
            "profile_id": profile_id(root.key),
            "members": [root.key, *sorted(root.members)],
        }

    def born(self, id_: str) -> str | None:
        """The identifier that was born with a profile id, or None: a look at all identifiers."""
        keys = (name[len(HEAD) :].decode() for name, _ in self._store.scan(HEAD))
        return next((key for key in keys if profile_id(key) == id_), None)

    def apart(self, a: str, b: str) -> bool:
        """Whether a split has declared these two to be different people."""
        return self._store.get(negative_link(a, b)) is not None

    def quarantined(self, key: str) -> bool:
        """Whether an identifier is in quarantine."""
        return self._store.get(quarantine(key)) is not None

    def gaps(self, before: Mapping[str, int]) -> list[ages.Gap]:
        """What one of store and lake has and the other lacks; `before` are the lake's ends before this was opened."""
        return ages.gaps(self._store, self._store.folder / LAKE, before)

    def state(self) -> dict[str, Any]:
        """Positions and totals of the engine: `{"outputs", "profiles", "swept"}`."""
        state: dict[str, Any] = orjson.loads(self._store.get(STATE) or b"{}")
        return state
