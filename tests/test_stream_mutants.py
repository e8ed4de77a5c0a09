"""The proof can fail: take one rule of the protocol away and the simulator finds a seed that goes wrong."""

from __future__ import annotations

import pytest

from stream_mutants import FOUND, SEEDS, found


@pytest.mark.parametrize(("part", "first"), FOUND.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_is_found(part: type, first: int) -> None:
    """Most likely by the seed that found it before; where the worlds have changed, by another of a usual run."""
    why = found(part, (first, *SEEDS))
    assert why, f"{part.__name__} survived {len(SEEDS)} seeds"
    print(f"{part.__name__}: seed {why[0]}: {why[1]}")
