"""Files as tables of DuckDB. Reading changes nothing.

Every column of delimited text is text, and an empty field is NULL. JSON keeps its types; Parquet has its own, but for a
32-bit float, which becomes its shortest decimal: 1999.99 and not 1999.989990234375. Text files are copied, row by row,
into a Parquet file of their own, so that what cannot be read is known before any SQL runs.
Must never hold more than a block of rows in memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import pyarrow as pa
from pyarrow import parquet

from ingest import delimited, documents
from ingest.files import opened_text
from schemas.errors import InputError
from schemas.rejection import Unreadable

_FORMATS: Final = {
    ".csv": "delimited", ".tsv": "delimited", ".txt": "delimited", ".parquet": "parquet",
    ".json": "json", ".jsonl": "json", ".ndjson": "json",
}  # fmt: skip
_COMPRESSED: Final = (".gz", ".zst")
_BLOCK_ROWS: Final = 10_000
_BLOCK_CHARACTERS: Final = 16 * 1024 * 1024
_COLUMNS: Final = 2_000
_FEW: Final = 10
"""Rows that cannot be read, one by one; of more, one at least can, or the file is of another kind."""
_FLOAT: Final = re.compile(r"""("(?:[^"]|"")*"|'(?:[^']|'')*')|\bFLOAT\b""")
"""The 32-bit type in the name of a type; names of members and values of enums are passed over."""

Refuse = Callable[[Unreadable], object]
"""Takes what of a file cannot be read."""


class NoRows(Exception):
    """A JSON file without an object has no columns, either."""


class Reading(NamedTuple):
    """How text files are read where their first bytes and lines do not tell."""

    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    header: bool = True
    """Whether the first line names the columns."""


GUESSED: Final = Reading()
"""Nothing said: the files tell by themselves."""


def view(
    connection: duckdb.DuckDBPyConnection, name: str, file: Path, reading: Reading, spill: Path, refuse: Refuse
) -> list[str]:
    """Makes the view `name` over a file, and says which paths it reads. Copies go into `spill`.

    Raises InputError or NoRows.
    """
    if not file.is_file():
        raise InputError(f"There is no file {file}. Check the path.")
    copy = spill / f"{name}.parquet"
    match _format(file):
        case "delimited":
            _copy_delimited(file, reading, copy, refuse)
            columns = "*"
        case "json":
            columns = _copy_json(file, reading, copy, refuse)
        case _:
            copy = file.resolve()
            columns = ""
    pattern = "".join(f"[{character}]" if character in "*?[" else character for character in str(copy))
    table = f"read_parquet({_literal(pattern)})"
    if not columns:
        try:
            described = connection.execute(f"DESCRIBE FROM {table}").fetchall()
        except duckdb.Error as error:
            raise InputError(f"{file} is no Parquet, or a damaged one. Get a whole copy.") from error
        columns = ", ".join(f"{shortest(column, kind)} AS {_quoted(column)}" for column, kind, *_ in described)
    connection.execute(f"CREATE VIEW {_quoted(name)} AS SELECT {columns} FROM {table}")
    return [str(copy), pattern]


def shortest(column: str, kind: str) -> str:
    """The column in SQL; of its 32-bit floats, wherever they are in it, the shortest decimals that stand for them."""
    quoted = _quoted(column)
    doubles = _FLOAT.sub(lambda found: found[1] or "DOUBLE", kind)
    texts = _FLOAT.sub(lambda found: found[1] or "VARCHAR", kind)
    return quoted if doubles == kind else f"{quoted}::{texts}::{doubles}"


def _format(file: Path) -> str:
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    format_ = _FORMATS.get(suffixes[-1] if suffixes else "")
    if format_ is None:
        endings = ", ".join(_FORMATS)
        raise InputError(
            f"Cannot tell the format of {file}. Its name must end in {endings}, with .gz or .zst if packed."
        )
    return format_


def _copy_delimited(file: Path, reading: Reading, copy: Path, refuse: Refuse) -> None:
    with opened_text(file, reading.encoding, newline="") as text:
        dialect = delimited.dialect_of(text, reading.delimiter, reading.quote)
    with opened_text(file, reading.encoding, newline="") as text:
        found = delimited.rows(text, dialect, file.name)
        first = next(found, None)
        if first is None or isinstance(first, Unreadable):
            raise InputError(f"{file} is empty. Its first line must name the columns.")
        readable = _readable(found, refuse)
        if reading.header:
            _write(copy, _names(first), readable)
        else:
            _write(copy, _names([""] * len(first)), chain((first,), readable))


def _copy_json(file: Path, reading: Reading, copy: Path, refuse: Refuse) -> str:
    """Copies rows as they stand; gives the columns to select from them."""
    with opened_text(file, reading.encoding) as text:
        layout = documents.layout_of(text)
    shape = documents.Shape()

    def learned(found: Iterable[documents.Row]) -> Iterator[Sequence[str]]:
        for row in found:
            shape.learn(row.value)
            if len(shape.members) > _COLUMNS:
                raise InputError(f"The objects of {file} have more than {_COLUMNS:,} different keys.")
            yield (row.text,)

    with opened_text(file, reading.encoding) as text:
        _write(copy, ["row"], learned(_readable(documents.rows(text, layout, file.name), refuse)))
    if not shape.members:
        raise NoRows
    names = _names(list(shape.members))
    columns = []
    for name, (key, member) in zip(names, shape.members.items(), strict=True):
        value = _literal("/" + key.replace("~", "~0").replace("/", "~1"))
        typed = f'from_json(json_extract("row", {value}), {_literal(json.dumps(member.type))})'
        columns.append(f"{typed} AS {_quoted(name)}")
    return ", ".join(columns)


def _readable(found: Iterable[Any], refuse: Refuse) -> Iterator[Any]:
    """The rows that can be read. Raises InputError where there are many and all of them are others."""
    unreadable, readable = 0, False
    for each in found:
        if isinstance(each, Unreadable):
            unreadable += 1
            refuse(each)
        else:
            readable = True
            yield each
    if unreadable > _FEW and not readable:
        fault = each.fault
        raise InputError(
            f"No row of {each.source} can be read, and the last is {fault.value}; needed is {fault.expectation}. "
            "If it has another encoding, delimiter or quote: --encoding, --delimiter, --quote."
        )


def _names(header: Sequence[str]) -> list[str]:
    """A name for each column: the second `a` is `a_1`. DuckDB does not tell capitals from small letters."""
    names: list[str] = []
    taken: set[str] = set()
    for number, given in enumerate(header, 1):
        base = given or f"column{number}"
        free = (name for name in chain((base,), (f"{base}_{again}" for again in count(1))) if name.lower() not in taken)
        name = next(free)
        taken.add(name.lower())
        names.append(name)
    return names


def _write(file: Path, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows of texts into a Parquet file, an empty text as NULL."""
    schema = pa.schema([(name, pa.string()) for name in names])
    with parquet.ParquetWriter(file, schema) as writer:
        for block in _blocks(rows):
            columns = [pa.array([text or None for text in column], pa.string()) for column in zip(*block, strict=True)]
            try:
                writer.write_batch(pa.record_batch(columns, schema))
            except OSError as error:
                raise InputError(f"There is no room for a copy in {file.parent} ({error}). Set TMPDIR.") from error


def _blocks(rows: Iterable[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    block: list[Sequence[str]] = []
    size = 0
    for row in rows:
        block.append(row)
        size += sum(map(len, row))
        if len(block) == _BLOCK_ROWS or size > _BLOCK_CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
