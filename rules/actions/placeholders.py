"""What the texts of an action name of the customer and of the event: `{{ profile.TRAIT }}` and `{{ event.FIELD }}`.

A trigger carries these values; whoever delivers it puts them into the text. Filters behind a `|` are theirs, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rules.language.model import Action, Path, Root

PLACEHOLDER = re.compile(r"\{\{-?\s*(profile|event)\.([\w$-]+(?:\.[\w$-]+)*)\s*(?:\|[^{}]*)?-?\}\}")


def traits(action: Action) -> tuple[str, ...]:
    """The traits that an action names, each once."""
    return tuple(dict.fromkeys(name for root, name in _named(action.payload) if root == "profile"))


def fields(actions: Iterable[Action]) -> tuple[Path, ...]:
    """The fields of the event that actions name, each once."""
    found = (name for action in actions for root, name in _named(action.payload) if root == "event")
    return tuple(map(_path, dict.fromkeys(found)))


def _named(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield from ((found[1], found[2]) for found in PLACEHOLDER.finditer(value))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _named(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _named(each)


def _path(name: str) -> Path:
    """As conditions name fields."""
    first, *rest = name.split(".")
    roots: dict[str, Root] = {"context": "context", "traits": "traits"}
    return Path(roots[first], tuple(rest)) if rest and first in roots else Path("properties", (first, *rest))
