"""Taking two people apart by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rapport.plan import folder as plan_folder
from schemas.errors import UnknownCustomer, UsageError
from schemas.messages import Split
from stream.clock import wall_now
from stream.embedded.engine import Engine
from stream.embedded.reader import Reader


def split(data: Path, plan: Path | None, a: Sequence[str], b: Sequence[str]) -> dict[str, Any]:
    """Records that `a` and `b` are different people, cuts where they hang together, publishes.

    Returns both sides as `{"a": {profile_id, identifiers, event_count}, "b": ...}`. Again it changes nothing. Raises
    UnknownCustomer, and UsageError where a key stands on both sides.
    """
    on_one_side_each(a, b)
    loaded = plan_folder.load(plan)
    with Reader.open(data) as reader:
        for key in (*a, *b):
            if reader.person(key) is None:
                raise unknown(key, a[0])
    with Engine.open(data, loaded) as engine:
        engine.ask(Split(tuple(a), tuple(b), wall_now()))
        engine.publish()
    with Reader.open(data) as reader:
        one, other = reader.profile(a[0]), reader.profile(b[0])
    assert one is not None
    assert other is not None
    return {"a": side(one), "b": side(other)}


def on_one_side_each(a: Sequence[str], b: Sequence[str]) -> None:
    """Raises UsageError where a key stands on both sides."""
    if both := set(a) & set(b):
        raise UsageError(f"{both.pop()} stands on both sides; name each identifier once")


def unknown(key: str, first: str) -> UnknownCustomer:
    """What to say where nobody has a key that is to be split off."""
    return UnknownCustomer(f"nobody has {key}; the identifiers of a customer: rapport profile {first}")


def side(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown of a customer after a split."""
    return {
        "profile_id": found["profile_id"],
        "identifiers": [f"{each['type']}:{each['value']}" for each in found["identifiers"]],
        "event_count": found["event_count"],
    }
