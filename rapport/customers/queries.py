"""The published database, opened for reading, and named questions to it: one `.sql` file each, beside those who ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import QueryError
from sinks.marts.query import open_published
from stream.embedded.store import LAKE, PUBLISHED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def exists(data: Path) -> bool:
    return (data / PUBLISHED).is_file()


@contextmanager
def opened(data: Path) -> Iterator[DuckDBPyConnection]:
    """A connection that can only read. A folder that was moved or copied is published anew first: views name their
    Parquet files by absolute path. Raises QueryError where nothing is published."""
    connection = open_published(data / PUBLISHED, data / LAKE)
    try:
        homes = connection.execute("SELECT DISTINCT lake FROM raw.publication").fetchall()
        if homes and homes != [(str((data / LAKE).absolute()),)]:
            from sinks.marts.publisher import publish

            connection.close()
            publish(data / LAKE, data / PUBLISHED)
            connection = open_published(data / PUBLISHED, data / LAKE)
        yield connection
    finally:
        connection.close()


def rows(
    data: Path, question: str, parameters: Mapping[str, Any] | None = None, package: str = "rapport.customers"
) -> list[dict[str, Any]]:
    """The answer of `sql/<question>.sql` in the folder of `package`, a dict a row. Raises QueryError."""
    import duckdb

    sql = (files(package) / "sql" / f"{question}.sql").read_text(encoding="utf-8")
    with opened(data) as connection:
        try:
            answer = connection.execute(sql, dict(parameters or {}))
            names = [column[0] for column in answer.description or ()]
            return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
        except duckdb.Error as error:
            raise QueryError(f"{data / PUBLISHED} did not answer ({error}); run `rapport doctor`.") from error
