"""A store that is opened for reading, without a byte written into it.

rocksdict writes a settings file of its own into every folder it opens, also for reading. So a reader opens a temporary
folder of links to the store's files instead: then a look needs no leave to write and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

MAX_TRIES = 5
"""An engine at work may replace a file between the listing and the opening; the next listing has the new one."""
_OWN = "rocksdict-config.json"

Opened = TypeVar("Opened")


def open_linked(store: Path, open_: Callable[[Path], Opened]) -> tuple[Opened, TemporaryDirectory[str]]:
    """What `open_` makes of a folder that shows the files of `store`, and that folder: clean it up after closing."""
    left = MAX_TRIES
    while True:
        left -= 1
        folder = TemporaryDirectory(prefix="rapport-look-")
        try:
            for file in store.absolute().iterdir():
                if file.name != _OWN:
                    (Path(folder.name) / file.name).symlink_to(file)
            return open_(Path(folder.name)), folder
        except Exception:  # rocksdict raises bare Exception with RocksDB's text
            folder.cleanup()
            if not left:
                raise
