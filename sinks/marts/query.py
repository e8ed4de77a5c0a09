"""People's SQL on the published file: reading only, and nothing outside the data.

The connection cannot write, attach, load extensions or open any file but the lake's Parquet. It must stay that way for
hostile SQL, too, so nothing here may hand out a connection that is not locked down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from schemas.errors import QueryError
from schemas.sql_error import explained
from sinks.marts import places
from sinks.marts.forms import as_parquet, as_text, quoted

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
    columns: Sequence[tuple[str, DuckDBPyType]]
    """Each name once: DuckDB puts a number behind one that comes again."""
    in_utc: bool
    """Whether a TIMESTAMP, which names no zone, is UTC, as those of the tables are: unless the SQL itself goes from one
    zone to another."""
    batches: Iterator[pa.RecordBatch]
    """Values in the form of `forms.as_text`. Read once, as they are computed. Raises QueryError where the query fails
    halfway."""


@contextmanager
def published(target: Path, lake_root: Path, writes: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A locked-down connection to the published file, `mart` first on its search path, in UTC.

    Its views read the lake at `lake_root`, wherever it was when they were written. `writes` is the one file that
    `write_parquet` will make. Raises QueryError when the published file is missing or cannot be opened.
    """
    if not target.is_file():
        raise QueryError(f"{target} does not exist: `rapport publish` writes it.")
    with places.openable(target) as path, places.linked(lake_root) as lake:
        connection = _opened(target, path, (lake, lake_root.absolute()), writes)
        try:
            yield connection
        finally:
            connection.close()


def _opened(target: Path, path: Path, lakes: tuple[Path, Path], writes: Path | None) -> duckdb.DuckDBPyConnection:
    """The lake is allowed under both its paths; the first has a plain name."""
    config: Config = {"autoload_known_extensions": False, "autoinstall_known_extensions": False}
    try:
        connection = duckdb.connect(str(path), read_only=True, config=config)
        connection.execute("SET TimeZone = 'UTC'; SET search_path = 'mart,raw'; SET enable_progress_bar = false")
        places.read_from(connection, lakes[0])
        connection.execute("SET allowed_directories = ?", [[f"{lake}/" for lake in lakes]])
        connection.execute("SET allowed_paths = ?", [[str(writes)] if writes else []])
        connection.execute("SET enable_external_access = false")
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
        select = _select(connection, sql)
        columns = _columns(connection, select)
        in_utc = not _changes_zones(connection, select)
        texts = _cast(columns, as_text)
        reader = connection.query(f"SELECT {texts} FROM {select}").to_arrow_reader(BATCH_ROWS)
    return Result(columns, in_utc, _batches(reader))


def write_parquet(connection: duckdb.DuckDBPyConnection, sql: str, target: Path) -> None:
    """The same result as a Parquet file, by DuckDB itself, which knows more types than Arrow's writer.

    Raises QueryError, also for what Parquet has no exact form of.
    """
    place = str(target).replace("'", "''")
    with _as_query_error():
        select = _select(connection, sql)
        values = _cast(_columns(connection, select), as_parquet)
        connection.execute(f"COPY (SELECT {values} FROM {select}) TO '{place}' (FORMAT parquet, COMPRESSION zstd)")


def _select(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The one statement, in brackets. Its first line becomes the second."""
    with _as_query_error(before=0):
        statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError("Only a single SELECT can be run here: the published data is for reading.")
    query = statements[0].query.encode()
    for start, kind in reversed(duckdb.tokenize(statements[0].query)):
        if kind != duckdb.token_type.comment and query[start : start + 1] != b";":
            break
        query = query[:start]
    return f"(\n{query.decode()}\n)"


def _columns(connection: duckdb.DuckDBPyConnection, select: str) -> Sequence[tuple[str, DuckDBPyType]]:
    described = connection.execute(f"FROM {select} LIMIT 0").description or ()
    return [(name, type_) for name, type_, *_ in described]


def _cast(columns: Sequence[tuple[str, DuckDBPyType]], form: Callable[[str, DuckDBPyType], str]) -> str:
    return ", ".join(f"{form(f'#{place}', type_)} AS {quoted(name)}" for place, (name, type_) in enumerate(columns, 1))


def _changes_zones(connection: duckdb.DuckDBPyConnection, select: str) -> bool:
    """Whether `AT TIME ZONE`, to DuckDB the function timezone, stands in the SQL: its TIMESTAMPs may be of any zone."""
    [(parsed,)] = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [f"FROM {select}"]).fetchall()
    return '"function_name":"timezone"' in parsed


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    with _as_query_error():
        yield from reader


@contextmanager
def _as_query_error(before: int = 1) -> Iterator[None]:
    """`before` is how many lines of ours stand before the SQL."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise QueryError(f"The query failed: {explained(places.told(error), before)}") from error


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
