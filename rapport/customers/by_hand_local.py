"""Customers of a data folder, asked for and decided about by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rapport.customers.by_hand import Done, Found
from rapport.customers.local import known_as
from rapport.plan import folder as plan_folder
from schemas.messages import ByHand
from stream.embedded.engine import Engine
from stream.embedded.reader import Reader


class Local:
    """The customers of a folder under a plan."""

    def __init__(self, data: Path, plan: Path | None) -> None:
        self.data = data
        self._folder = plan
        self._plan = plan_folder.load(plan, data)

    def known(self, key: str) -> str:
        """The key under which an identifier is stored. Raises UnknownCustomer where nobody has it."""
        with Reader.open(self.data) as reader:
            return known_as(reader, self.data, self._folder, key)

    def asked(self, key: str) -> Found | None:
        """The customer who has an identifier; None where nobody has."""
        with Reader.open(self.data) as reader:
            return reader.profile(key)

    def born(self, id_: str) -> str | None:
        """The identifier that was born with a profile id, by a look at all of them."""
        with Reader.open(self.data) as reader:
            return reader.born(id_)

    def keeps_apart(self, ours: Sequence[str], theirs: Sequence[str]) -> str:
        """The identifier whose quarantine keeps two people apart, or `split`; empty where nothing does."""
        with Reader.open(self.data) as reader:
            held = [key for key in (*ours, *theirs) if reader.quarantined(key)]
            split = any(reader.apart(key, other) for key in ours for other in theirs)
        return held[0] if held else "split" if split else ""

    def carry_out(self, request: ByHand, keys: Iterable[str], done: Done) -> None:  # noqa: ARG002 - nothing to wait for
        """Has the linker decide; all that follows is done when this returns, and published."""
        with Engine.open(self.data, self._plan) as engine:
            engine.ask(request)
            engine.publish()
