"""Taking two people apart by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rapport import plan_folder
from rapport.lookup import UnknownCustomer
from rapport.runs import wall_now
from schemas.errors import UsageError
from stream.engine import Engine
from stream.reader import Reader


def split(data: Path, plan: Path | None, a: Sequence[str], b: Sequence[str]) -> dict[str, Any]:
    """Records that `a` and `b` are different people, cuts where they hang together, publishes.

    Returns both sides as `{"a": {profile_id, identifiers, event_count}, "b": ...}`. Again it changes nothing. Raises
    UnknownCustomer, and UsageError where a key stands on both sides.
    """
    if both := set(a) & set(b):
        raise UsageError(f"{both.pop()} stands on both sides; name each identifier once")
    loaded = plan_folder.load(plan)
    with Reader.open(data) as reader:
        for key in (*a, *b):
            if reader.cluster(key) is None:
                raise UnknownCustomer(f"nobody has {key}; the identifiers of a customer: rapport profile {a[0]}")
    with Engine.open(data, loaded) as engine:
        engine.split(a, b, wall_now())
        engine.publish()
    with Reader.open(data) as reader:
        return {"a": _side(reader, a[0]), "b": _side(reader, b[0])}


def _side(reader: Reader, key: str) -> dict[str, Any]:
    found = reader.profile(key)
    assert found is not None
    return {
        "profile_id": found["profile_id"],
        "identifiers": [f"{each['type']}:{each['value']}" for each in found["identifiers"]],
        "event_count": found["event_count"],
    }
