"""Paths as DuckDB takes them: a data folder may have any name, and DuckDB sees patterns, options or separators in some.

No path may be named in SQL but through here: `data[1]` would show the customers of its neighbour `data1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import duckdb

LAKE = "rapport_lake"
"""The variable that says where the views find the lake; unset, they read it where it was when they were written."""

_PATTERN = re.compile(r"[*?\[]")
_LOOK = "rapport-look-"
_LINKS = re.compile(rf"[^\s'\"]*/{_LOOK}[^/\s]*/")


def literal(path: Path | str) -> str:
    """The path as a literal of SQL that means this one file, whatever patterns are in it."""
    return "'" + _PATTERN.sub(r"[\g<0>]", str(path)).replace("'", "''") + "'"


def read_from(connection: duckdb.DuckDBPyConnection, lake: Path) -> None:
    """From now on the connection finds the lake here, a path of `linked`."""
    connection.execute(f"SET VARIABLE {LAKE} = {literal(lake)}")


@contextmanager
def linked(lake_root: Path) -> Iterator[Path]:
    """Another path of the lake, with a plain name, for as long as it is read."""
    with _temporary() as folder:
        link = folder / "lake"
        link.symlink_to(lake_root.absolute())
        yield link


@contextmanager
def openable(database: Path) -> Iterator[Path]:
    """A path under which DuckDB can open a database for reading; a copy where it takes backslashes for slashes."""
    if "\\" not in str(database.absolute()):
        yield database.absolute()
        return
    with _temporary() as folder:
        yield Path(copyfile(database, folder / "copy.duckdb"))


@contextmanager
def writable(database: Path) -> Iterator[Path]:
    """A path under which DuckDB can write a new database, which is in its place afterwards.

    DuckDB takes what follows a question mark for options, and backslashes for slashes.
    """
    if not {"?", "\\"} & set(str(database)):
        yield database
        return
    with _temporary() as folder:
        yield folder / database.name
        copyfile(folder / database.name, database)


def locked(error: BaseException | None) -> bool:
    """Whether a database could not be opened because another program has it open for writing."""
    return "Could not set lock" in str(error)


def told(error: Exception) -> str:
    """The text of an error with the lake's files as they are named below the data folder."""
    return _LINKS.sub("", str(error))


@contextmanager
def _temporary() -> Iterator[Path]:
    with TemporaryDirectory(prefix=_LOOK) as folder:
        yield Path(folder)
