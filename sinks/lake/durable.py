"""Files that are either wholly there or not there: staged, synced, renamed, folder synced.

Every error of the file system becomes one sentence here, so no caller handles `OSError` of its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import DataFolderError, FolderUnwritable

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_PERMISSION = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def as_folder_error(folder: Path) -> Iterator[None]:
    """Turns an OSError into FolderUnwritable (no space, no permission) or DataFolderError (anything else)."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise full(folder) from error
        if error.errno in _NO_PERMISSION:
            raise FolderUnwritable(f"{folder} cannot be written. Give yourself write permission to it.") from error
        if error.errno == errno.ENOENT and not folder.exists():
            raise gone(folder) from error
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise DataFolderError(f"{folder} cannot be used ({reason}). Check the disk, then try again.") from error


def gone(folder: Path) -> DataFolderError:
    """What to say when the folder is not there any more."""
    return DataFolderError(
        f"{folder} was deleted or moved while it was written: what was not saved elsewhere is gone, and nothing is made"
        " anew. Start again to begin a new one."
    )


def full(folder: Path) -> FolderUnwritable:
    """What to say when the disk is full."""
    return FolderUnwritable(
        f"The disk under {folder} is full: free some space and run the same command again; what was taken is safe."
    )


class Standing:
    """Notices that a folder was deleted or replaced since it was first seen: nobody may make it anew then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, int] | None = None

    def check(self) -> None:
        """Raises DataFolderError where it is not the folder that it was."""
        try:
            found = self._folder.stat()
        except FileNotFoundError:
            now = None
        else:
            now = found.st_dev, found.st_ino
        if self._seen is not None and now != self._seen:
            raise gone(self._folder)
        self._seen = now


def replace_file(path: Path, content: bytes, inside: Path | None = None) -> None:
    """Puts `content` at `path` so that a crash leaves the old or the new content, never a mixture."""
    staged = path.with_name(path.name + ".new")
    make_folder(path.parent, inside)
    with staged.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)
    sync_folders([path.parent])


def make_folder(folder: Path, inside: Path | None = None) -> None:
    """Creates `folder` and its parents, those below `inside` only; what was created survives a crash.

    Raises OSError, where `inside` is not there, too: what was deleted is not made anew.
    """
    missing = []
    while folder != inside and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
    sync_folders({each.parent for each in missing})


def sync_file(path: Path) -> None:
    """Makes the content of a closed file survive a crash."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folders(folders: Iterable[Path]) -> None:
    """Makes renames into `folders` survive a crash."""
    for folder in folders:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
