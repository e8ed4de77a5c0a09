"""The version with which stored rows begin. Rows of a newer one are refused, never guessed at. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from schemas.errors import RowError


def versioned(line: bytes, newest: int) -> list[Any]:
    """A list whose first element is the version of its layout. Raises RowError where that is a newer one."""
    head: list[Any] = orjson.loads(line)
    if head[0] > newest:
        raise RowError(f"A stored row has layout {head[0]}; this Rapport reads up to {newest}. Upgrade Rapport.")
    return head
