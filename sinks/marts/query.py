"""People's SQL on the published file: reading only, and nothing outside the data.

The connection cannot write, attach, load extensions or open any file but the lake's Parquet. It must stay that way for
hostile SQL, too, so nothing here may hand out a connection that is not locked down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from schemas.errors import QueryError
from sinks.marts import places

BATCH_ROWS = 10_000

Config = dict[str, str | bool | int | float | list[str]]


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    """With its schema: `mart.dim_customer`."""
    comment: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Result:
    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    """Read once, as they are computed. Raises QueryError where the query fails halfway."""


@contextmanager
def published(target: Path, lake_root: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A locked-down connection to the published file, `mart` first on its search path, in UTC.

    Its views read the lake at `lake_root`, wherever it was when they were written. Raises QueryError when the file is
    missing or cannot be opened.
    """
    if not target.is_file():
        raise QueryError(f"{target} does not exist: `rapport publish` writes it.")
    with places.openable(target) as path, places.linked(lake_root) as lake:
        connection = _opened(target, path, lake, lake_root)
        try:
            yield connection
        finally:
            connection.close()


def _opened(target: Path, path: Path, lake: Path, lake_root: Path) -> duckdb.DuckDBPyConnection:
    config: Config = {"autoload_known_extensions": False, "autoinstall_known_extensions": False}
    try:
        connection = duckdb.connect(str(path), read_only=True, config=config)
        connection.execute("SET TimeZone = 'UTC'; SET search_path = 'mart,raw'; SET enable_progress_bar = false")
        places.read_from(connection, lake)
        allowed = ", ".join("'" + f"{folder}/".replace("'", "''") + "'" for folder in (lake, lake_root.absolute()))
        connection.execute(f"SET allowed_directories = [{allowed}]; SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        raise QueryError(f"{target} cannot be opened ({_first_line(error)}): run `rapport publish`.") from error
    return connection


def run(connection: duckdb.DuckDBPyConnection, sql: str) -> Result:
    """The result of one SELECT (FROM, WITH, VALUES, DESCRIBE, SHOW and SUMMARIZE are SELECTs to DuckDB).

    Read its batches to the end before the connection runs anything else. Raises QueryError for any other statement:
    the lake's folder is open to this connection, so COPY must not get at it.
    """
    with _as_query_error():
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QueryError("Only a single SELECT can be run here: the published data is for reading.")
        reader = connection.query(statements[0].query).to_arrow_reader(BATCH_ROWS)
    return Result(reader.schema, _batches(reader))


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    with _as_query_error():
        yield from reader


@contextmanager
def _as_query_error() -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise QueryError(f"The query failed: {places.told(error)}") from error


def describe(connection: duckdb.DuckDBPyConnection) -> Sequence[Table]:
    """Every table and view of the published file with its columns, types and comments, `mart` first."""
    tables = connection.execute(
        "SELECT schema_name, name, comment FROM ("
        " SELECT schema_name, table_name AS name, comment, internal FROM duckdb_tables()"
        " UNION ALL SELECT schema_name, view_name, comment, internal FROM duckdb_views()"
        ") WHERE NOT internal ORDER BY ALL"
    ).fetchall()
    columns: dict[tuple[str, str], list[Column]] = {}
    for schema, table, name, type_, comment in connection.execute(
        "SELECT schema_name, table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal"
        " ORDER BY schema_name, table_name, column_index"
    ).fetchall():
        columns.setdefault((schema, table), []).append(Column(name, type_, comment or ""))
    return [
        Table(f"{schema}.{name}", comment or "", tuple(columns.get((schema, name), ())))
        for schema, name, comment in tables
    ]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
