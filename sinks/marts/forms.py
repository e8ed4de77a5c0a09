"""In which types the values of a query leave DuckDB, so that nothing of them is lost on the way.

Expressions and types of SQL in, SQL out. It must never look at a value.
"""

from __future__ import annotations

from collections.abc import Callable

from duckdb.sqltypes import DuckDBPyType

_TAGGED = ("union", "variant")
"""Types that say with each value what it is: JSON can, too."""
_PARQUET = {"hugeint": "DECIMAL(38, 0)", "uhugeint": "DECIMAL(38, 0)", "bignum": "VARCHAR", "bit": "VARCHAR"}
"""DuckDB would write these as DOUBLE, or not at all."""


def as_text(value: str, type_: DuckDBPyType) -> str:
    """The value as DuckDB writes it, in the same lists, structs and maps; blobs stay bytes."""
    return f"CAST({value} AS {_type(type_, _text)})"


def as_parquet(value: str, type_: DuckDBPyType) -> str:
    """The value in a type of Parquet. The query fails where an interval is finer than Parquet's."""
    if type_.id == "interval":
        finer = "Parquet holds no microseconds of an interval: write CAST(... AS VARCHAR) or epoch_us(...)"
        return f"CASE WHEN extract(microseconds FROM {value}) % 1000 <> 0 THEN error('{finer}') ELSE {value} END"
    return f"CAST({value} AS {_type(type_, _parquet)})"


def _text(type_: DuckDBPyType) -> str:
    return "BLOB" if type_.id == "blob" else "VARCHAR"


def _parquet(type_: DuckDBPyType) -> str:
    return _PARQUET.get(type_.id, str(type_))


def _type(type_: DuckDBPyType, scalar: Callable[[DuckDBPyType], str]) -> str:
    """The same type with other scalars in it."""
    if type_.id in _TAGGED:
        return "JSON"
    if type_.id in ("list", "array"):
        return f"{_type(inner(type_)[0][1], scalar)}[]"
    if type_.id in ("struct", "tuple", "map"):
        parts = [(name, _type(part, scalar)) for name, part in inner(type_)]
        if type_.id == "struct":
            return f"STRUCT({', '.join(f'{quoted(name)} {part}' for name, part in parts)})"
        return f"{type_.id}({', '.join(part for _, part in parts)})"
    return scalar(type_)


def inner(type_: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    """The types that a list, struct or map is made of, with their names."""
    return [(name, part) for name, part in type_.children if isinstance(part, DuckDBPyType)]


def quoted(name: str) -> str:
    """A name of SQL, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'
