"""Where a publication lies: in a folder of its own, and the link `rapport.duckdb` points to the newest.

    rapport.duckdb -> published/rapport-7/rapport.duckdb
    published/rapport-6/rapport.duckdb                      for whoever is just opening it

Other programs may open the published file for writing, hold it, or die and leave a log of what they wrote beside it
(`.wal`), which DuckDB would replay into whatever has its name next. None of this may reach a later publication: it has
a new place, and a log beside the link goes before the link moves on. The file's own name stays the same, for DuckDB
names the database after it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sinks.lake import durable

FOLDER = "published"


def folder(target: Path) -> Path:
    """Where the publications behind the link `target` lie."""
    return target.parent / FOLDER


def swap_in(staged: Path, target: Path) -> None:
    """Gives a file that is safely on disk a name of its own and lets `target` point to it. Raises OSError.

    A crash at any point leaves the old publication or the new one.
    """
    newest = folder(target) / f"{target.stem}-{max(_numbers(target), default=0) + 1}"
    newest.mkdir()
    staged.replace(newest / target.name)
    durable.sync_folders([newest, newest.parent])
    for log in logs(target):
        log.unlink(missing_ok=True)
    link = target.with_name(target.name + ".new")
    link.unlink(missing_ok=True)
    link.symlink_to((newest / target.name).relative_to(target.parent))
    link.replace(target)
    durable.sync_folders([target.parent])


def remove_old(target: Path) -> None:
    """Removes all publications but the one that `target` points to, and what others wrote beside them. Raises OSError.

    Whoever has one open keeps it until he closes it.
    """
    current = target.resolve().parent
    for number in _numbers(target):
        old = folder(target) / f"{target.stem}-{number}"
        if old != current:
            shutil.rmtree(old)


def logs(target: Path) -> list[Path]:
    """What other programs wrote and did not finish, beside the link and beside what it points to."""
    places = {target, target.resolve()}
    return [
        path
        for place in sorted(places)
        if place.parent.is_dir()
        for path in sorted(place.parent.iterdir())
        if path.name.startswith(f"{place.name}.wal")
    ]


def written_since(target: Path) -> bool:
    """Whether the file was changed after the link came to point to it: by another program, or by a copy."""
    return target.is_symlink() and target.stat().st_mtime_ns > target.lstat().st_mtime_ns


def _numbers(target: Path) -> list[int]:
    """Those of the publications that are there."""
    names = (path.name.rpartition("-") for path in folder(target).iterdir())
    return sorted(int(number) for stem, _, number in names if stem == target.stem and number.isdecimal())
