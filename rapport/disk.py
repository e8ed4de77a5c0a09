"""How much room is left where a process writes."""

from __future__ import annotations

import shutil
from pathlib import Path

NEEDED = 200 * 1024 * 1024
"""Bytes that a process may want at once: with less it may end at any time."""


def free(folder: Path) -> int:
    """Bytes free where the folder is, or will be."""
    place = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(place).free


def shortage(folder: Path) -> str:
    """A sentence where too little is left, else ""."""
    left = free(folder)
    return "" if left >= NEEDED else f"the disk under {folder} is full or nearly so: {left / 1e6:,.1f} MB are free"
