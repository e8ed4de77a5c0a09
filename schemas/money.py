"""Money: exact decimals, written as text in rows. Never float: folds must be associative."""

from __future__ import annotations

import re
from decimal import Decimal

ZERO = Decimal(0)
_LARGEST = Decimal(10) ** 18
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SMALLEST = Decimal("0.000001")


def amount(value: object) -> Decimal | None:
    """The amount a JSON value states, to the sixth decimal, or None where it states none.

    A JSON number is read by its shortest decimal form, so 19.99 is 19.99. Text like `" 19.99"` counts, too, in ASCII
    digits and without separators. Beyond 10^18 nothing is money. The SQL in `sinks/` follows the same rule.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    shown = value.strip(" \t\n\r\f\v") if isinstance(value, str) else str(value)
    if len(shown) > 40 or not _NUMBER.fullmatch(shown):
        return None
    number = Decimal(shown)
    if abs(number) >= _LARGEST:
        return None
    return number.quantize(_SMALLEST) if number.as_tuple().exponent < -6 else number  # type: ignore[operator]


def text(number: Decimal) -> str:
    """The canonical text of an amount: no exponent, no trailing zeros, no negative zero."""
    shown = format(number, "f")
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown


def exact(shown: str) -> Decimal:
    """The amount that `text` wrote."""
    return Decimal(shown)
