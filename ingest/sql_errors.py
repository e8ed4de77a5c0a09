"""What DuckDB says of somebody's SELECT as `orders.sql:3:8: sentence`, then the line with a caret below the place."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple
from unicodedata import east_asian_width

from schemas.nearest import nearest

_KIND: Final = re.compile(r"\A[\w ]+ Error: ")
_NO_COLUMN: Final = re.compile(r'(?:Values list|Table) "(.*)" does not have a column named "(.*)"')
_NO_FILES: Final = re.compile(r'Cannot access (?:file|directory) "(.*)"')
_CALL: Final = re.compile(r"argument types '(.*?)'\.")
_LITERAL: Final = {"INTEGER_LITERAL": "INTEGER", "STRING_LITERAL": "VARCHAR"}


class Sql(NamedTuple):
    """A SELECT and the name of the file that it stands in."""

    text: str
    name: str = "SQL"


def told(message: str, sql: Sql, shift: int = 0) -> str:
    """The message of an error of a connection that has `errors_as_json`; its place, in bytes, is `shift` too far."""
    try:
        error = json.loads(_KIND.sub("", message))
    except ValueError:
        return f"{sql.name}: {_first_line(_KIND.sub('', message))}"
    sentence = _sentence(error)
    start, length = json.loads(error.get("location", "[-1, 0]"))
    at = start - shift
    text = sql.text.encode()
    if not 0 <= at <= len(text):
        return f"{sql.name}: {sentence}"
    before = text[:at].decode("utf-8", "replace")
    number, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    line = sql.text.split("\n")[number - 1].rstrip("\r")
    marked = text[at : at + length].decode("utf-8", "replace").partition("\n")[0]
    caret = " " * _width(line[: column - 1]) + "^" * max(1, _width(marked))
    return f"{sql.name}:{number}:{column}: {sentence}\n{line.replace(chr(9), ' ')}\n{caret}"


def _width(text: str) -> int:
    """Columns of a terminal."""
    return sum(2 if east_asian_width(each) in "WF" else 1 for each in text)


def _sentence(error: dict[str, Any]) -> str:
    message = error["exception_message"]
    for literal, type_ in _LITERAL.items():
        message = message.replace(literal, type_)
    name = error.get("name", "")
    there = [each for each in error.get("candidates", "").split(",") if each]
    near = nearest(name, there)
    hint = f' Did you mean "{near}"?' if near else ""
    match error.get("error_subtype"), error["exception_type"]:
        case "COLUMN_NOT_FOUND", _:
            others = " There are, for example, " + ", ".join(there[:5]) + "." if there else ""
            return f'there is no column "{name}".{hint or others}'
        case "MISSING_ENTRY", _:
            return f'there is no {_kind(error["type"])} "{name}".{hint}'
        case "NO_MATCHING_FUNCTION", _:
            call = _CALL.search(message)
            cast = 'Columns of CSV are text: cast them to compute, as in "total"::DECIMAL(12, 2).'
            return f"there is no {call[1] if call else name}. {cast}"
        case _, "Conversion":
            return f"{_first_line(message)}. With TRY_CAST a value that does not fit is NULL."
        case _, "Out of Memory":
            return "it needs more memory than an import has. Sort, group or join less of it."
    if found := _NO_COLUMN.match(message):
        return f'there is no column "{found[2]}" in "{found[1]}".'
    if found := _NO_FILES.match(message):
        return f'it names the file "{found[1]}", and may read `source` only. Name another table with --with NAME=FILE.'
    return f"{_first_line(message)}."


def _kind(entry: str) -> str:
    return "function" if entry.endswith("Function") else entry.lower()


def _first_line(message: str) -> str:
    line = message.strip().partition("\n")[0].rstrip("!.")
    return line[:1].lower() + line[1:] if line[:2].istitle() else line
