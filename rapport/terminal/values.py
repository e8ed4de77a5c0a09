r"""Values of a query as JSON and as text: every digit, every zone, and what JSON has no word for.

A value comes as `sinks.marts.forms.as_text` gives it: DuckDB's text of it, in lists, structs and maps. Its type says
what it means.

| type | JSON | CSV and tables |
|---|---|---|
| numbers | exact; `"NaN"`, `"Infinity"`, `"-Infinity"` as texts, for JSON has no such numbers | as DuckDB writes them |
| TIMESTAMP, TIMESTAMPTZ | `2026-03-02T10:00:00Z` | `2026-03-02 10:00:00+00:00` |
| JSON, VARIANT, UNION | as JSON, a UNION as `{"which": value}` | the same |
| lists, structs, maps | as JSON | the same |
| BLOB | text where it is UTF-8, else hexadecimal | text, other bytes as `\xff` |
| others | as DuckDB writes them: `21 days 01:30:00` | the same |
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from duckdb.sqltypes import DuckDBPyType

from sinks.marts.forms import inner

NUMBERS = frozenset(
    (
        "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint",
        "uhugeint", "bignum", "float", "double", "decimal",
    )
)  # fmt: skip
_NESTED = frozenset(("list", "array", "struct", "tuple", "map"))
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_INSTANT = re.compile(r"(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)(\+00)?")
_HOUR_OF_ZONE = re.compile(r"[+-]\d\d\Z")
_LINE_ENDS = re.compile(r"[\r\n]+")

Form = Callable[[Any], Any]


def as_json(type_: DuckDBPyType, in_utc: bool) -> Form:
    """What makes of a value of this type what `orjson` writes; `in_utc` says whether a TIMESTAMP is UTC."""
    return partial(_unless_null, _json_form(type_, in_utc))


def as_text(type_: DuckDBPyType, in_utc: bool) -> Callable[[Any], str | None]:
    """What makes of a value of this type its text, None of NULL."""
    return partial(_unless_null, _text_form(type_, in_utc))


def is_json(type_: DuckDBPyType) -> bool:
    """Whether values are JSON or are written as JSON."""
    return type_.id in _NESTED or type_.id in ("union", "variant") or str(type_) == "JSON"


def _unless_null(form: Form, value: Any) -> Any:
    return None if value is None else form(value)


def _json_form(type_: DuckDBPyType, in_utc: bool) -> Form:
    kind = type_.id
    if kind in NUMBERS:
        return _number
    if kind in _NESTED:
        return _nested(type_, in_utc)
    if is_json(type_):
        return _json
    if kind == "boolean":
        return "true".__eq__
    if kind == "blob":
        return _bytes_or_hex
    if kind.startswith("timestamp"):
        return partial(_instant, "T", "Z", in_utc)
    return _text_form(type_, in_utc)


def _text_form(type_: DuckDBPyType, in_utc: bool) -> Form:
    kind = type_.id
    if kind in _NESTED:
        nested = _nested(type_, in_utc)
        return lambda value: orjson.dumps(nested(value)).decode()
    if is_json(type_):
        return _on_one_line
    if kind == "blob":
        return _bytes
    if kind.startswith("timestamp"):
        return partial(_instant, " ", "+00:00", in_utc)
    if kind == "time with time zone":
        return partial(_HOUR_OF_ZONE.sub, r"\g<0>:00")
    return str


def _nested(type_: DuckDBPyType, in_utc: bool) -> Form:
    types = [part for _, part in inner(type_)]
    forms = [as_json(part, in_utc) for part in types]
    if type_.id in ("list", "array"):
        return lambda values: [forms[0](value) for value in values]
    if type_.id == "map":
        keys = as_text(types[0], in_utc)
        return lambda pairs: {keys(key): forms[1](value) for key, value in pairs}
    if type_.id == "tuple":
        return lambda fields: [form(value) for form, value in zip(forms, fields.values(), strict=True)]
    return lambda fields: {name: form(fields[name]) for form, name in zip(forms, fields, strict=True)}


def _number(text: str) -> Any:
    return _NOT_FINITE.get(text) or orjson.Fragment(text)


def _json(text: str) -> Any:
    """As it is stored, so that no digit is lost; what is no JSON, as NaN in it, stays text."""
    try:
        orjson.loads(text)
    except ValueError:
        return text
    return orjson.Fragment(_on_one_line(text))


def _on_one_line(text: str) -> str:
    """Line ends stand between the tokens of JSON only."""
    return _LINE_ENDS.sub(" ", text)


def _instant(between: str, utc: str, in_utc: bool, text: str) -> str:
    """What is no such moment (infinity, the years before Christ) stays as it is."""
    parts = _INSTANT.fullmatch(text)
    if parts is None:
        return text
    day, time, zone = parts.groups()
    return f"{day}{between}{time}{utc if zone or in_utc else ''}"


def _bytes(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _bytes_or_hex(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()
