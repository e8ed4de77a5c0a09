"""The published database, opened for reading, and named questions to it: one `.sql` file each, beside those who ask.

It must never write: where the published file cannot be used, it says what to do and leaves that to `rapport publish`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from schemas.errors import NotPublished, QueryError, RapportError
from schemas.keys import profile_id
from sinks.lake import manifest
from sinks.marts import places
from sinks.marts.query import published
from stream.embedded.store import LAKE, PUBLISHED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@contextmanager
def opened(data: Path, writes: Path | None = None) -> Iterator[DuckDBPyConnection]:
    """A connection that can only read, and write the one new file `writes`.

    Raises NotPublished where the published file is missing or damaged.
    """
    target = data / PUBLISHED
    if not target.is_file():
        if any(data.glob("*")):
            raise NotPublished(f"{target} does not exist: {_again(data)} writes it.")
        raise NotPublished(f"{data} holds no customer data yet: run `rapport replay`, or name its folder with --data.")
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(published(target, data / LAKE, writes))
            connection.execute("SELECT 1 FROM raw.publication LIMIT 0")
        except (QueryError, duckdb.Error) as error:
            raise NotPublished(f"{target} {shut(error)}: {_anew(data)}.") from error
        yield connection


def shortcoming(data: Path) -> str:
    """Why the published file does not show what the folder holds, and what to do; empty where it does.

    Sinks publish by themselves every few seconds, so being behind says nothing in a folder that they fill.
    """
    from sinks.marts.publisher import shows_all

    lake, target = data / LAKE, data / PUBLISHED
    try:
        with opened(data):
            pass
        if manifest.of_kafka(lake) or shows_all(lake, target):
            return ""
    except RapportError as error:
        return str(error)
    return f"{target} does not show the newest events: {_anew(data)}, once no run is taking events in."


def rows(
    data: Path, question: str, parameters: Mapping[str, Any] | None = None, package: str = "rapport.customers"
) -> list[dict[str, Any]]:
    """The answer of `sql/<question>.sql` in the folder of `package`, a dict a row.

    Raises NotPublished and QueryError.
    """
    with opened(data) as connection:
        return answer(connection, question, parameters, package)


def answer(
    connection: DuckDBPyConnection,
    question: str,
    parameters: Mapping[str, Any] | None = None,
    package: str = "rapport.customers",
) -> list[dict[str, Any]]:
    """The same on a connection that is open, so that questions may follow one another."""
    sql = (files(package) / "sql" / f"{question}.sql").read_text(encoding="utf-8")
    try:
        told = connection.execute(sql, dict(parameters or {}))
        names = [column[0] for column in told.description or ()]
        return [dict(zip(names, row, strict=True)) for row in told.fetchall()]
    except duckdb.Error as error:
        raise QueryError(f"{PUBLISHED} did not answer ({places.told(error)}); run `rapport doctor`.") from error


def of_profile(connection: DuckDBPyConnection, id_: str) -> list[dict[str, Any]]:
    """`profile_id` of today and `key` of the identifiers of whoever has a profile id, the one born with it first.

    Where nobody has it, of the identifier that was born with it and came to somebody else.
    """
    today = answer(connection, "profile_of", {"id": id_, "born": False})
    if today:
        return sorted(today, key=lambda row: profile_id(row["key"]) != id_)
    born = answer(connection, "profile_of", {"id": id_, "born": True})
    return [row for row in born if profile_id(row["key"]) == id_]


def shut(error: BaseException | None) -> str:
    """Why the published file could not be opened, by the cause of NotPublished."""
    held = error is not None and places.locked(error.__cause__)
    return "is open for writing in another program, which keeps others out" if held else "is damaged"


def _anew(data: Path) -> str:
    return f"{_again(data)} writes it anew"


def _again(data: Path) -> str:
    return f"`rapport publish --data {shlex.quote(str(data))}`"
