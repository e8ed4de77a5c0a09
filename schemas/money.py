"""Money: exact decimals, written as text in rows. Never float: folds must be associative."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal

ZERO = Decimal(0)
_LARGEST = Decimal(10) ** 18
_NUMBER = re.compile(r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *")
_CODE = re.compile(r"[A-Za-z0-9]{1,16}")
_SMALLEST = Decimal("0.000001")
_FINEST = Decimal("1e-19")
"""What SQL reads of an amount before it rounds."""
_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)


def amount(value: object) -> Decimal | None:
    """The amount a JSON value states, to the sixth decimal, or None where it states none.

    A JSON number is read by its shortest decimal form, so 19.99 is 19.99. Text like `" 19.99"` counts, too, in ASCII
    digits, without separators and with no more than 40 characters. Beyond 10^18 nothing is money. The SQL in `sinks/`
    follows the same rule.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    shown = value if isinstance(value, str) else str(value)
    if len(shown) > 40 or not _NUMBER.fullmatch(shown):
        return None
    number = Decimal(shown.strip(" "))
    return rounded(number) if abs(number) < _LARGEST else None


def rounded(number: Decimal) -> Decimal:
    """To the sixth decimal, half away from zero. What has no more decimals stays as it is."""
    if number.as_tuple().exponent >= -6:  # type: ignore[operator]
        return number
    return _EXACT.quantize(_EXACT.quantize(number, _FINEST), _SMALLEST)


def total(products: Iterable[tuple[Decimal, Decimal]]) -> Decimal:
    """The sum of price times quantity. A product beyond 10^18 is no money and counts as nothing."""
    summed = ZERO
    for price, quantity in products:
        one = _EXACT.multiply(price, quantity)
        if abs(one) < _LARGEST:
            summed = _EXACT.add(summed, one)
    return rounded(summed)


def currency(value: object) -> str | None:
    """A currency's code in capitals (ISO 4217 and the like: up to 16 ASCII letters and digits), or None."""
    return value.upper() if isinstance(value, str) and _CODE.fullmatch(value) else None


def text(number: Decimal) -> str:
    """The canonical text of an amount: no exponent, no trailing zeros, no negative zero."""
    shown = format(number, "f")
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown


def exact(shown: str) -> Decimal:
    """The amount that `text` wrote."""
    return Decimal(shown)
