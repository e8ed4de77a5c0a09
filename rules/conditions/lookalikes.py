"""Texts that look like numbers to a person and are text to YAML 1.2: `1_000`, `1,000`, `15%`, `1k`, `16:40`, `$1000`.

A number in an event never matches a text, so a condition with such a text is silent for ever. What is text by intent
is left alone: dates and times in ISO 8601, versions, and everything that does not begin like a number.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_DATE = re.compile(r"[0-9]{4}-(W[0-9]{2}(-[1-7])?|Q[1-4]|[0-9]{2}(-[0-9]{2}([T ][0-9]{2}.*)?)?)")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){2,}([-+.]?[A-Za-z].*)?|[0-9]+\.[0-9]+[-+.][A-Za-z].*")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(\.[0-9]{3})+")
_OTHER_DATE = re.compile(
    r"([0-9]{1,4}([-/])[0-9]{1,2}\2[0-9]{1,4}|[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}|[0-9]{4}\.[0-9]{1,2}\.[0-9]{1,2})(\D.*)?"
)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?")
_TIMES = re.compile(r"[0-9]+(:[0-9]+)+")

_NOTHING = re.compile(r"[-+]?(\.?inf|infinity|\.?nan|∞)", re.IGNORECASE)
_CURRENCY = (
    r"(?:(?:EUR|USD|GBP|CHF|SEK|NOK|DKK|ISK|PLN|CZK|HUF|RON|BGN|TRY|UAH|RUB|JPY|CNY|KRW|INR|BRL|MXN|AUD|CAD|NZD|ZAR|"
    r"SGD|HKD|AED|ILS|KR|RS|FR|ZŁ|KČ|FT|EUROS?|DOLLARS?|POUNDS?|FRANCS?|FRANKEN)\b\.?|[A-Z]{0,2}[$€£¥₹₽₺₩₪฿₫₴₦¢])"
)
_AMOUNT = re.compile(
    rf"(?P<sign>[-+]?)\s*(?P<before>{_CURRENCY})?\s*(?P<inner>[-+]?)"
    r"(?P<figures>(?:\d(?:[\d_.,'\u2019` ]*\d)?|\.\d+))(?P<power>e[-+]?\d{1,3}\b)?[.,]?\s*"
    rf"(?:(?P<behind>{_CURRENCY})|(?P<unit>[^\W\d_]+\.?|[%‰+-]*))",
    re.IGNORECASE,
)
_UNITS = {
    **dict.fromkeys(("k", "tsd", "thousand", "tausend"), 3),
    **dict.fromkeys(("m", "mn", "mio", "mln", "million", "millions", "millionen"), 6),
    **dict.fromkeys(("b", "bn", "mrd", "billion", "billions"), 9),
}
"""What multiplies a number, as a power of ten."""
_SHARES = frozenset("%‰")


class Meant(NamedTuple):
    """What a text that looks like a number is."""

    number: str
    """What to write instead; empty where that cannot be told."""
    bare: bool
    """Nothing but figures, what divides them, a sign and a currency: it can hardly be meant as text."""


def looks_like(text: str, quoted: bool) -> Meant | None:
    """What the text means as a number; None where it is text like any other. A time of day is text in quotes."""
    shown = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").replace("\N{EN DASH}", "-").strip()
    alone = shown.lstrip("<>=~≈≥≤ ")
    if _is_text(alone) or (quoted and _CLOCK.fullmatch(alone)):
        return None if alone == shown else Meant(alone, False)
    shown = alone
    if _NOTHING.fullmatch(shown) or _TIMES.fullmatch(shown) or _OTHER_DATE.fullmatch(shown):
        return Meant("", False)
    found = _AMOUNT.fullmatch(shown)
    if found is not None:
        unit = (found["unit"] or "").rstrip(".").lower()
        return Meant(_number(found, _UNITS.get(unit, 0)), not unit.strip("-+"))
    begins = shown.lstrip("+-. ")[:1]
    return Meant("", False) if begins.isdecimal() else None


def advice(text: str, meant: Meant) -> str:
    """What to write instead of a bound, as a sentence without its end."""
    if meant.number:
        return f"write {meant.number}"
    shown = unicodedata.normalize("NFKC", text).strip()
    if _OTHER_DATE.fullmatch(shown):
        return "write a date as 2026-03-01"
    if _CLOCK.fullmatch(shown):
        return f'write a number, or "{shown}" in quotes for a time of day'
    return "write a number"


def _is_text(shown: str) -> bool:
    if _DATE.fullmatch(shown):
        return True
    return bool(_VERSION.fullmatch(shown)) and not (_THOUSANDS.fullmatch(shown) or _OTHER_DATE.fullmatch(shown))


def _number(found: re.Match[str], power: int) -> str:
    figures = re.sub(r"[_'\u2019` ]", "", found["figures"])
    figures = "".join(str(unicodedata.decimal(each)) if each.isdecimal() else each for each in figures)
    whole, decimals = _divided(figures)
    whole, decimals = whole + decimals[:power].ljust(power, "0"), decimals[power:]
    number = (whole.lstrip("0") or "0") + (f".{decimals}" if decimals.strip("0") else "")
    minus = "-" if "-" in (found["sign"], found["inner"]) and number != "0" else ""
    return f"{minus}{number}{(found['power'] or '').lower()}"


def _divided(figures: str) -> tuple[str, str]:
    """(figures before the decimal point, behind it). The last of two different signs divides; a single comma before
    three figures divides thousands, a single dot never does."""
    last = max(figures.rfind(","), figures.rfind("."))
    if last < 0:
        return figures, ""
    sign = figures[last]
    other = "," if sign == "." else "."
    alone = figures.count(sign) == 1
    decimal = alone and (other in figures or sign == "." or len(figures) - last - 1 != 3)
    plain = figures.replace(",", "").replace(".", "")
    if not decimal:
        return plain, ""
    behind = len(figures) - last - 1
    return plain[: len(plain) - behind], plain[len(plain) - behind :]
