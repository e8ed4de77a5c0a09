"""Why a JSON text cannot be kept exactly as it is: the slow, exact look at one that a quick check found suspicious.

Fast parsers are silent where it hurts: of two equal keys one disappears, 2^70 becomes a float, 1e999 infinity, and of
0.1234567890123456789 the last digits are lost.
Must never be on the path of ordinary events: it costs tens of microseconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

from schemas.events import DEPTH
from schemas.rejection import Fault

_LEAST: Final = -(2**63)
_MOST: Final = 2**64 - 1
_WHOLE_DIGITS: Final = 20
_DIGITS: Final = 17
"""More significant digits than this no double keeps."""


class _Flaw(NamedTuple):
    """Stands in the parsed value where the original has something that cannot be kept."""

    text: str
    code: str


_EXPECTED: Final = {
    "duplicate_key": "each key once in an object",
    "not_a_number": "a finite number or null",
    "number_inexact": f"a number of at most {_DIGITS} digits that a double keeps, or text",
    "number_out_of_range": "a whole number from -2^63 to 2^64-1, a float below 1.8e308, or text",
    "lone_surrogate": "text without unpaired surrogates (U+D800 to U+DFFF)",
    "too_deep": f"at most {DEPTH} levels of objects and arrays",
}


def _whole(digits: str) -> int | _Flaw:
    if len(digits) <= _WHOLE_DIGITS and _LEAST <= (number := int(digits)) <= _MOST:
        return number
    return _Flaw(digits, "number_out_of_range")


def _decimal(text: str) -> float | _Flaw:
    number = float(text)
    if not math.isfinite(number):
        return _Flaw(text, "number_out_of_range")
    return number if is_kept(text, number) else _Flaw(text, "number_inexact")


def is_kept(text: str, number: float) -> bool:
    """Whether a double, printed with as many significant digits as the text has, is the number of the text."""
    mantissa = text.lower().partition("e")[0]
    digits = len(mantissa.lstrip("-0.").replace(".", ""))
    if digits == 0:
        return True
    if digits > _DIGITS or number == 0:
        return False
    return Decimal(f"{number:.{digits - 1}e}") == Decimal(text)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        members[key] = _Flaw(key, "duplicate_key") if key in members else value
    return members


_parse = json.JSONDecoder(
    object_pairs_hook=_members,
    parse_int=_whole,
    parse_float=_decimal,
    parse_constant=lambda name: _Flaw(name, "not_a_number"),
).decode


def find(raw: bytes) -> Fault | None:
    """The first thing in `raw` that could not be kept, or None when all of it can."""
    try:
        value = _parse(raw.decode())
    except UnicodeDecodeError as error:
        return _undecodable(raw, error.start)
    except RecursionError:
        return _fault("too_deep", "", "")
    except json.JSONDecodeError as error:
        around = error.doc[max(0, error.pos - 20) : error.pos + 20]
        return Fault("invalid_json", "", around, f"JSON ({error.msg} at character {error.pos})")
    return next(_flaws(value), None)


def _undecodable(raw: bytes, start: int) -> Fault:
    around = raw[max(0, start - 20) : start + 20].decode("utf-8", "backslashreplace")
    try:
        raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return Fault("not_utf8", "", around, f"UTF-8 (the byte at {start} is not)")
    return _fault("lone_surrogate", "", around)


def _flaws(value: Any) -> Iterator[Fault]:
    waiting: list[tuple[str, int, Any]] = [("", 0, value)]
    while waiting:
        path, depth, value = waiting.pop()
        if isinstance(value, _Flaw):
            yield _fault(value.code, path, value.text)
        elif isinstance(value, str):
            if _surrogate(value):
                yield _fault("lone_surrogate", path, value)
        elif depth == DEPTH and isinstance(value, (dict, list)):
            yield _fault("too_deep", path, "")
        elif isinstance(value, dict):
            for key in value:
                if _surrogate(key):
                    yield _fault("lone_surrogate", path, key)
            waiting += [(f"{path}.{key}" if path else key, depth + 1, each) for key, each in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [(f"{path}.{at}", depth + 1, each) for at, each in reversed(list(enumerate(value)))]


def _surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _fault(code: str, field: str, value: str) -> Fault:
    return Fault(code, field, value, _EXPECTED[code])
