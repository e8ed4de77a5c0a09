"""Money: exact decimals, written as text in rows. Never float: folds must be associative.

`amount` is the one reader of amounts. `sinks/sql/shared/money.sql` says the same in SQL; a table of spellings that both
are tested by lies in `tests/data/amounts.json`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

ZERO = Decimal(0)
_LARGEST = Decimal(10) ** 18
_LARGEST_PRODUCT = 10**37
"""Of two amounts in millionths: what SQL can double and still hold."""
_SMALLEST = Decimal("0.000001")
_FINEST = Decimal("1e-19")
"""What SQL reads of an amount before it rounds."""
_LONGEST = 40
_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)

CURRENCIES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
    "CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL "
    "HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD "
    "MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR "
    "RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS "
    "UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL"
).split()
"""Codes of ISO 4217, which an amount's text may name. Other words of three letters, like `mio`, make it no amount."""

_DECIMALS = {
    unit: decimals
    for decimals, units in (
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (3, "BHD IQD JOD KWD LYD OMN TND"),
        (4, "CLF UYW"),
    )
    for unit in units.split()
}
"""Decimals of a currency (ISO 4217), where they are not two."""

_GAP = "[\t-\r \u00a0\u2007\u2009\u202f]"
_MINUS = "[+\u2212-]?"
_CODE = f"(?i:{'|'.join(CURRENCIES)})|€"
_SIGN = "[A-Z]{0,3}[$]|[£¥￥฿₠-₤₦-₫₭-₯₱-₿]|(?i:kr|zł|kč|ft|lei|fr|rs|rp|tl|rm|лв|руб|грн)[.]?"  # noqa: RUF001 - so they are written
_BLANK = re.compile(f"{_GAP}*")
_PLAIN = re.compile("[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?")
_WRITTEN = re.compile(
    f"{_GAP}*+({_MINUS}){_GAP}*+({_CODE})?{_GAP}*+(?:{_SIGN})?{_GAP}*+({_MINUS}){_GAP}*+"
    f"([0-9.,](?:[0-9.,'\u2019\t-\r \u00a0\u2007\u2009\u202f]*[0-9.])?(?:[eE][+-]?[0-9]{{1,3}})?)"
    f"{_GAP}*+(?:{_SIGN})?{_GAP}*+({_CODE})?{_GAP}*+"
)
"""Sign, code, sign again, number, code: what stands around a number, and no statement about the number itself."""
_AS_DIGITS = {ord(each): " " for each in "\t\n\v\f\r\u00a0\u2007\u2009\u202f"} | {0x2019: "'", 0x2212: "-"}
_POINT = re.compile(
    "[+-]?(?:(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
    "|[1-9][0-9]{0,2}(?:(?:,[0-9]{3})+[.][0-9]+|(?:,[0-9]{3}){2,}|(?:(?: [0-9]{3})+|(?:'[0-9]{3})+)(?:[.][0-9]+)?)"
    "|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?:[.][0-9]+)?)"
)
"""Numbers whose decimals follow a point: `12.345`, `1,234.56`, `1,234,567`, `1 234`, `1'234.56`, `1,23,456`."""
_COMMA = re.compile(
    "[+-]?(?:[0-9]*,(?:[0-9]{1,2}|[0-9]{4,})"
    "|[1-9][0-9]{0,2}(?:(?:[.][0-9]{3})+,[0-9]+|(?:[.][0-9]{3}){2,}|(?:(?: [0-9]{3})+|(?:'[0-9]{3})+),[0-9]+))"
)
"""Numbers whose decimals follow a comma: `19,99`, `1.234,56`, `1.234.567`, `1 234,56`; `1,234` may be two things."""
_UNIT = re.compile(f"{_GAP}*+([A-Za-z0-9]{{1,16}}|€){_GAP}*+")


def stated(value: object) -> bool:
    """Whether a JSON value says anything: null and blank text say as little as a field that is not there."""
    return value is not None and not (isinstance(value, str) and _BLANK.fullmatch(value))


def amount(value: object) -> Decimal | None:
    """The amount a JSON value states, to the sixth decimal, or None where it states none that can be read one way only.

    A JSON number is read by its shortest decimal form, so 19.99 is 19.99. Text is read as people write it: with a sign
    or a code of a currency before or behind, with spaces, apostrophes, points and commas. A point before three digits
    is the decimal point, as machines write it; a comma before three is not known to be one. Text has at most 40
    characters. Beyond 10^18 nothing is money.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    shown = value if isinstance(value, str) else str(value)
    return _read(shown) if len(shown) <= _LONGEST else None


@lru_cache(4096)
def _read(shown: str) -> Decimal | None:
    """The amount of a text that is not too long. A shop has few prices."""
    digits = shown if _PLAIN.fullmatch(shown) else _digits(shown)
    number = Decimal(digits) if digits else None
    return None if number is None or abs(number) >= _LARGEST else rounded(number)


def _digits(written: str) -> str:
    """A number as machines write it; empty where the text is none, or may be two."""
    around = _WRITTEN.fullmatch(written)
    if around is None or _codes(around) > 1:
        return ""
    number = (around[1] + around[3] + around[4]).translate(_AS_DIGITS)
    if _POINT.fullmatch(number):
        return re.sub("[ ,']", "", number)
    return re.sub("[ .']", "", number).replace(",", ".") if _COMMA.fullmatch(number) else ""


def code(value: object) -> str | None:
    """The currency that an amount's text names by its code, or by `€`: no other sign stands for one currency only."""
    around = _WRITTEN.fullmatch(value) if isinstance(value, str) and len(value) <= _LONGEST else None
    return _named(around[2] or around[5]) if around and _codes(around) == 1 else None


def _codes(around: re.Match[str]) -> int:
    """How many currencies are named around a number."""
    return len({_named(each) for each in (around[2], around[5]) if each})


def rounded(number: Decimal) -> Decimal:
    """To the sixth decimal, half away from zero. What has no more decimals stays as it is."""
    if number.as_tuple().exponent >= -6:  # type: ignore[operator]
        return number
    return _EXACT.quantize(_EXACT.quantize(number, _FINEST), _SMALLEST)


def times(price: Decimal, quantity: Decimal) -> Decimal | None:
    """Price times quantity, exactly; None beyond 10^18."""
    product = _EXACT.multiply(price, quantity)
    return product if abs(product) < _LARGEST else None


def total(values: Iterable[Decimal]) -> Decimal:
    """The sum, exactly, then to the sixth decimal."""
    summed = ZERO
    for value in values:
        summed = _EXACT.add(summed, value)
    return rounded(summed)


def share(value: Decimal, part: Decimal, whole: Decimal) -> Decimal | None:
    """What `part` pieces cost where `whole` pieces cost `value`, to the sixth decimal.

    None where that cannot be said: there are no pieces, or value times part is beyond 10^25.
    """
    if whole <= 0 or abs(_EXACT.multiply(value, part)).scaleb(12) >= _LARGEST_PRODUCT:
        return None
    return _EXACT.quantize(_EXACT.divide(_EXACT.multiply(value, part), whole), _SMALLEST)


def currency(value: object) -> str | None:
    """A currency's code in capitals (ISO 4217 and the like: up to 16 ASCII letters and digits), or None. `€` is EUR."""
    unit = _UNIT.fullmatch(value) if isinstance(value, str) else None
    return None if unit is None else _named(unit[1])


def _named(unit: str) -> str:
    return "EUR" if unit == "€" else unit.upper()


def text(number: Decimal) -> str:
    """The canonical text of an amount: no exponent, no trailing zeros, no negative zero."""
    shown = format(number, "f")
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown


def as_written(shown: str, unit: str | None) -> str:
    """An amount with the decimals of its currency (two where that is not known), and more only where it has more.

    `1234.500000` EUR is `1234.50`, 1000 JPY stay `1000`.
    """
    whole, _, decimals = shown.partition(".")
    decimals = decimals.rstrip("0").ljust(_DECIMALS.get(unit or "", 2), "0")
    return f"{whole}.{decimals}" if decimals else whole


def exact(shown: str) -> Decimal:
    """The amount that `text` wrote."""
    return Decimal(shown)
