"""How the keys of `rules.language.tables` are read: one reading function per key, applied to a mapping of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rules.language.tables import NAME, WORD, Keys
from schemas.yaml.reader import PlanReader
from schemas.yaml.strict import Node

Read = Callable[[PlanReader, Node, str], Any]
"""(reader, the value's node, what it is called) -> the value, or None after noting a problem."""


def read_keys(
    reader: PlanReader, node: Node, what: str, keys: Keys, reads: Mapping[str, Read], later: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The values under the keys that are there; where one is wrong, the problem is noted and it is None."""
    needed = [name for name, key in keys.items() if key.needed]
    found = reader.mapping(node, what, keys, needed, later) or {}
    return {name: reads[name](reader, value, name) for name, value in found.items()}


def name(reader: PlanReader, node: Node, what: str) -> str | None:
    return reader.name(node, what, NAME, "cart-reminder")


def word(reader: PlanReader, node: Node, what: str) -> str | None:
    return reader.name(node, what, WORD, "cart_reminder")


def choice(options: tuple[str, ...]) -> Read:
    return lambda reader, node, what: reader.choice(node, what, options)
