"""The names under which published views read the lake's files, so that a file may go where other tools look.

    _views/facts~event_month=2026-03~part-0-0-5 -> ../facts/event_month=2026-03/part-0-0-5.parquet

Whoever publishes makes these links. When compaction has replaced a file, the file itself takes the place of its link,
in one rename: it leaves the folders that other tools read at once, while whoever opened the views before reads on, for
`GRACE` at least. No glob of the lake for `*.parquet` meets anything here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sinks.lake import durable
from sinks.lake.manifest import DataFile, Manifest

FOLDER = "_views"
GRACE = 900.0
"""Seconds for which a query may still read files that the newest publication no longer names."""


def name(path: str) -> str:
    """Where the views find the lake's file of this path; both are relative to the lake."""
    return f"{FOLDER}/{path.removesuffix('.parquet').replace('/', '~')}"


def link(root: Path, files: Iterable[DataFile]) -> None:
    """Lets the views find these files. Raises OSError.

    A file that was replaced meanwhile is there under its name already.
    """
    wanted = {name(file.path): file.path for file in files}
    if not wanted:
        return
    durable.make_folder(root / FOLDER, root)
    with os.scandir(root / FOLDER) as found:
        there = {f"{FOLDER}/{each.name}" for each in found}
    if new := wanted.keys() - there:
        for link_name in new:
            try:
                (root / link_name).symlink_to(f"../{wanted[link_name]}")
            except FileExistsError:  # compaction was faster
                continue
        durable.sync_folders([root / FOLDER])


def retire(root: Path, paths: Iterable[str]) -> None:
    """Takes files that no manifest names any more out of sight of all but those who read them now. Raises OSError."""
    moved = [(root / path, root / name(path)) for path in paths]
    if moved:
        durable.make_folder(root / FOLDER, root)
        for path, place in moved:
            path.replace(place)
        folders = {path.parent for path, _ in moved}
        durable.sync_folders({root / FOLDER, *folders})
        for folder in folders:
            if folder.name.startswith("event_date="):  # nothing is written there any more
                with suppress(OSError):
                    folder.rmdir()


def linked(root: Path, path: str) -> bool:
    """Whether this file was published once."""
    return (root / name(path)).is_symlink()


def missing(root: Path, files: Iterable[DataFile]) -> list[str]:
    """Names under which the views find nothing: a copy that left links out lacks them."""
    return [each for file in files if not (root / (each := name(file.path))).exists()]


def sweep(root: Path, chain: Manifest, now: float, grace: float) -> int:
    """Deletes a chain's retired files once `grace` seconds have passed since; returns how many. Raises OSError.

    Only where a publication that does not name them has taken the place of those that did. `now`: by the wall clock.
    """
    folder = root / FOLDER
    if not folder.is_dir():
        return 0
    # In a copy that followed links, these are files, too.
    counts = {name(file.path).removeprefix(f"{FOLDER}/") for file in chain.files}
    with os.scandir(folder) as found:
        own = [each for each in found if each.name not in counts and _is_of(each.name, chain.topic, chain.partition)]
    retired = [each for each in own if not each.is_symlink()]
    due = [each for each in retired if now - each.stat(follow_symlinks=False).st_ctime >= grace]
    dangling = [each for each in own if each.is_symlink() and not Path(each.path).exists()]
    for each in (*due, *dangling):
        Path(each.path).unlink(missing_ok=True)
    return len(due)


def _is_of(file: str, topic: str, partition: int) -> bool:
    return file.startswith(f"{topic}~") and file.rpartition("~")[2].startswith(f"part-{partition}-")
