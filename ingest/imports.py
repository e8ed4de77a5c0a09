"""Events out of CSV, Parquet and JSON files, shaped by one SELECT that DuckDB runs over the table `source`.

The SELECT may read its source and the files beside it, and nothing else: no other file, no network, no extension, no
setting. DuckDB writes each row as JSON, so structs, maps, lists and JSON text arrive as JSON, dates and times as ISO
8601 text. NULL is an absent field wherever it stands in an object. A number that JSON readers could not hold exactly (a
long DECIMAL, a HUGEINT beyond 64 bits) arrives as its text, a 32-bit float as its shortest decimal.
Must never judge a row: what is wrong with an event is for `accept` to say.
"""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import duckdb

from ingest.sql_errors import Sql, told
from ingest.tables import GUESSED, NoRows, Reading, shortest, view
from schemas.errors import InputError
from schemas.nearest import nearest
from schemas.rejection import Unreadable

FIELDS: Final = (
    "type", "event", "name", "userId", "anonymousId", "previousId", "groupId", "messageId", "timestamp",
    "originalTimestamp", "sentAt", "receivedAt", "properties", "traits", "context", "integrations",
)  # fmt: skip
"""What a column may be called, also in snake_case."""

_OBJECTS: Final = frozenset(("properties", "traits", "context", "integrations"))
_MEMORY: Final = "512MB"
_BATCH: Final = 1_000
_SOURCE: Final = "source"
_SELECTED: Final = '"rapport: selected"'
_VIEW: Final = f"CREATE TEMP VIEW {_SELECTED} AS "
NONE: Final[Mapping[str, Path]] = MappingProxyType({})


def rows(
    source: Path, sql: Sql, reading: Reading = GUESSED, others: Mapping[str, Path] = NONE
) -> Iterator[dict[str, Any] | Unreadable]:
    """The rows that cannot be read, then the SELECT's as events for `accept_value`, in the SELECT's order.

    `others` are files that the SELECT has under names of their own. Raises InputError for a file that cannot be read,
    for SQL that fails and for columns that are no event fields. Rows of a GROUP BY without ORDER BY may come in
    another order next time; their message ids stay the same.
    """
    with tempfile.TemporaryDirectory(prefix="rapport-import-") as spill, duckdb.connect() as connection:
        refused = Path(spill) / "refused"
        connection.execute("SET errors_as_json = true")
        select, shift = _select(connection, sql)
        try:
            any_row = _open(connection, {_SOURCE: source, **others}, reading, refused)
        except duckdb.Error as error:
            raise InputError(told(str(error), Sql("", str(source)))) from error
        if not any_row:
            yield from _kept(refused)
            return
        try:
            result = connection.execute(_as_json(connection, select))
            yield from _kept(refused)
            while batch := result.fetchmany(_BATCH):
                for (text,) in batch:
                    yield _parse(text)
        except duckdb.Error as error:
            raise InputError(told(str(error), sql, shift)) from error


def _open(connection: duckdb.DuckDBPyConnection, files: Mapping[str, Path], reading: Reading, refused: Path) -> bool:
    """Makes the views, keeps what of them cannot be read, then takes everything else away. False for no rows at all."""
    connection.execute(f"SET memory_limit = '{_MEMORY}'; SET threads = 1; SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # on by default where DuckDB takes Python to be interactive
    connection.execute("SET temp_directory = ?", [str(refused.parent)])
    paths: list[str] = []
    with refused.open("wb") as kept:
        for name, file in files.items():
            try:
                paths += view(connection, name, file, reading, refused.parent, lambda each: pickle.dump(each, kept))
            except NoRows as empty:
                if name == _SOURCE:
                    return False
                raise InputError(f"{file} holds no object, so nobody knows its columns.") from empty
    connection.execute("SET allowed_paths = ?", [paths])
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    return True


def _select(connection: duckdb.DuckDBPyConnection, sql: Sql) -> tuple[str, int]:
    """The statement that makes a view of the SELECT, and how many bytes farther a place stands in it."""
    try:
        statements = connection.extract_statements(sql.text)
    except duckdb.Error as error:
        raise InputError(told(str(error), sql)) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise InputError(f"{sql.name} must be one SELECT statement over the table `source`.")
    query = statements[0].query
    return _VIEW + query, len(_VIEW) - sql.text.encode().find(query.encode())


def _kept(refused: Path) -> Iterator[Unreadable]:
    with refused.open("rb") as file:
        while file.peek(1):
            yield pickle.load(file)  # noqa: S301 - this run has just written it


def _as_json(connection: duckdb.DuckDBPyConnection, select: str) -> str:
    """The SELECT, changed to give one JSON text a row."""
    connection.execute(select)
    described = connection.execute(f"DESCRIBE {_SELECTED}").fetchall()
    columns = {name: _field(name) for name, *_ in described}
    fields = list(columns.values())
    for field in fields:
        if fields.count(field) > 1:
            raise InputError(f"The import SQL selects `{field}` twice; keep one of the columns.")
    if "type" not in fields:
        raise InputError("The import SQL selects no column `type`; add one, for example 'track' AS type.")
    members = ", ".join(f"'{columns[name]}': {_member(name, columns[name], kind)}" for name, kind, *_ in described)
    return f"SELECT to_json({{{members}}}) FROM {_SELECTED}"


def _field(column: str) -> str:
    names = {field.lower(): field for field in FIELDS}
    field = names.get(column.replace("_", "").lower())
    if field is None:
        near = nearest(column.replace("_", "").lower(), names)
        hint = f" Did you mean `{names[near]}`?" if near else ""
        raise InputError(
            f"The import SQL selects `{column}`, which is no event field.{hint} "
            f"Put it into `properties`, `traits` or `context`, or name it one of: {', '.join(FIELDS)}."
        )
    return field


def _member(column: str, field: str, kind: str) -> str:
    value = shortest(column, kind)
    if field in _OBJECTS and kind == "VARCHAR":
        return f"CASE WHEN json_valid({value}) THEN {value}::JSON ELSE to_json({value}) END"
    return value


class _Repeated(dict[str, Any]):
    """An object of a JSON column that has a key twice. It is written with both, for `accept` to refuse."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def items(self) -> list[tuple[str, Any]]:  # type: ignore[override]
        return self._pairs


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        return _Repeated(pairs)
    return {name: value for name, value in pairs if value is not None}


def _decimal(text: str) -> float | str:
    number = float(text)
    return number if number in (float("inf"), float("-inf")) or Decimal(repr(number)) == Decimal(text) else text


def _whole(text: str) -> int | str:
    return int(text) if len(text) <= 20 and -(2**63) <= int(text) < 2**64 else text


_decode = json.JSONDecoder(object_pairs_hook=_members, parse_float=_decimal, parse_int=_whole).decode


def _parse(text: str) -> dict[str, Any]:
    try:
        event: dict[str, Any] = _decode(text)
    except RecursionError:  # a JSON column of a thousand levels: handed on as text, which `accept` refuses
        return {"type": "track", "properties": text}
    return event
