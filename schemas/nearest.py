"""The name that was probably meant, for every message about a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_LENGTH = 100
"""Characters of a name that are compared: comparing costs their square."""


def nearest(name: str, options: Iterable[str]) -> str:
    """The option that was probably meant, "" when none is close."""
    return next(iter(difflib.get_close_matches(name[:MAX_LENGTH], list(options), 1)), "")
