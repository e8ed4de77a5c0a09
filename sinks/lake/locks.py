"""Locks that end with their process: who writes a chain of a lake, who publishes it, whose a worker's folder is.

They lie in the very folder they are about, so that processes on several machines that share it share them, too, where
the file system carries locks across. A process that is frozen keeps its locks: what it held waits until it goes on or
ends.
"""

from __future__ import annotations

import fcntl
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from sinks.lake import durable

FOLDER = "_locks"
PUBLISHER = "publisher"


class Lock:
    """One lock, not held at first."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / FOLDER / f"{name}.lock"
        self._held: BinaryIO | None = None

    def acquire(self) -> bool:
        """Whether it is held now. Never waits. Raises FolderUnwritable or DataFolderError."""
        if self._held is None:
            with durable.as_folder_error(self._path):
                durable.make_folder(self._path.parent)
                file = self._path.open("wb")
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    file.close()
                    return False
                self._held = file
        return True

    def release(self) -> None:
        """Gives it back, where it is held."""
        if self._held is not None:
            self._held.close()
            self._held = None


def tag(folder: Path) -> str:
    """Tells a folder from every other, its copies included; the same for all processes that share it.

    Raises FolderUnwritable or DataFolderError.
    """
    path = folder / FOLDER / "tag"
    with durable.as_folder_error(path):
        durable.make_folder(path.parent)
        with suppress(FileExistsError):
            path.open("xb").close()
        found = path.stat()
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}"


def of_chain(topic: str, partition: int) -> str:
    """The name of a topic partition's lock: only its holder extends or compacts that chain."""
    return f"{topic}-{partition}"
