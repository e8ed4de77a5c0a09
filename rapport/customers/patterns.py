"""Patterns of what people look for: case and accents do not matter, and neither does how a number is spaced.

Words in, regular expressions of RE2 out, which DuckDB matches with values as they are stored. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_LETTER = r'[^\s"@.,:;]'
_MARKS = r"[\x{300}-\x{36f}]*"
_BETWEEN_DIGITS = r"[ ()/.-]*"
_ALIKE = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d"})
_PAIRS = {"ss": "ß", "ae": "äæ", "oe": "öœø", "ue": "ü"}
"""Two letters that are also written as one."""


def of_text(text: str) -> str:
    """Matches a text that has this one in it."""
    return f"(?i){_spelled(plain(text))}"


def of_number(digits: str) -> str:
    """Matches a number with these digits in this order, however it is grouped."""
    return _BETWEEN_DIGITS.join(digits)


def whole(pattern: str) -> str:
    """Matches a text of which one line is what the pattern matches."""
    return f"(?m)^(?:{pattern})$"


def one_slip(text: str) -> str:
    """Matches the words that differ by a letter too many, too few or another one, or by two that changed places."""
    word = plain(text)
    slips = {_spelled(word[:at]) + _LETTER + "?" + _spelled(word[at + 1 :]) for at in range(len(word))}
    slips |= {_spelled(word[:at]) + _LETTER + _spelled(word[at:]) for at in range(len(word) + 1)}
    slips |= {_spelled(word[:at] + word[at + 1] + word[at] + word[at + 2 :]) for at in range(len(word) - 1)}
    return rf"(?i)(?:^|[^\pL\pN])({'|'.join(sorted(slips))})(?:$|[^\pL\pN])"


def plain(text: str) -> str:
    """Small letters without accents."""
    bare = unicodedata.normalize("NFD", text.casefold().translate(_ALIKE))
    return "".join(each for each in bare if not unicodedata.combining(each))


def _spelled(word: str) -> str:
    parts = []
    at = 0
    while at < len(word):
        one = _PAIRS.get(word[at : at + 2])
        if one:
            parts.append(f"(?:{_sign(word[at])}{_sign(word[at + 1])}|[{one}])")
        else:
            parts.append(_sign(word[at]))
        at += 2 if one else 1
    return "".join(parts)


def _sign(sign: str) -> str:
    accented = _accented().get(sign)
    return f"[{sign}{accented}]{_MARKS}" if accented else re.escape(sign)


@lru_cache(maxsize=1)
def _accented() -> dict[str, str]:
    """Letters of the Latin alphabet with what they look like under their accents."""
    found: dict[str, str] = {}
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        letter = chr(code)
        if letter == letter.lower() and len(base := plain(letter)) == 1 and base.isascii() and base.isalpha():
            found[base] = found.get(base, "") + letter
    return found
