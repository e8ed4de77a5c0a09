"""Email addresses: one spelling for each, and nothing for what cannot be one.

People copy addresses out of mails, sheets and web pages. What comes with them is taken off: spaces, quotes and angle
brackets around, `mailto:` before, characters that nobody sees anywhere. Full-width and other forms of a character are
one (Unicode NFKC), capitals and small letters too, and a domain in punycode is the Unicode domain that it stands for.
The part before the `@` is otherwise left alone: a dot or `+shop` in it may make another mailbox.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from profiles.settings import AROUND

_PLAIN: Final = re.compile(
    r"[a-z0-9!#$%&*+/=?^_{|}~.-]+@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]"
)
_LOCAL: Final = re.compile(r"""[^\s@<>()\[\]\\,;:"]+""")
_ASCII_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_SIGNS: Final = re.compile(r"[\x00-,./:-`{-\x7f\s\u3002]|^-|-$|^xn--")
"""What no label of a domain has."""
_TAKEN_OFF: Final = AROUND + "<>"
_MAILTO: Final = "mailto:"
_PUNYCODE: Final = "xn--"
_LABEL_BYTES: Final = 63
_ADDRESS_BYTES: Final = 254
"""RFC 5321 section 4.5.3.1: a path of 256 octets less its brackets; a label has 63 (RFC 1035)."""
_UNSEEN: Final = dict.fromkeys(
    [
        *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10),
        *range(0xFFF0, 0xFFFC),
        *range(0xE0000, 0xE1000),
    ]
)
"""Unicode's Default_Ignorable_Code_Point, less musical and shorthand signs: zero-width, bidi, soft hyphen, variants."""


def address_of(value: str) -> str | None:
    """The one spelling of an email address; None where the value cannot be one."""
    address = value
    if not value.isascii():
        address = as_seen(value)
    address = address.strip(_TAKEN_OFF).lower()
    if address.startswith(_MAILTO):
        address = address[len(_MAILTO) :].partition("?")[0].strip(_TAKEN_OFF)
    if _PLAIN.fullmatch(address) and _PUNYCODE not in address:
        return address if len(address) <= _ADDRESS_BYTES else None
    local, at, domain = address.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or not local.isprintable():
        return None
    stated = domain.replace("\u3002", ".").split(".")
    labels = [label for label in map(_label, stated) if label is not None]
    if len(labels) < 2 or len(labels) < len(stated) or labels[-1].isdecimal():
        return None
    address = f"{local}@{'.'.join(labels)}"
    return address if len(address.encode()) <= _ADDRESS_BYTES else None


def as_seen(text: str) -> str:
    """As people see it: without what is invisible, full-width characters as usual ones, in small letters."""
    return _composed(text.translate(_UNSEEN))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())


def _label(label: str) -> str | None:
    """One part of a domain, in Unicode; None where no domain can have it."""
    if label.startswith(_PUNYCODE):
        try:
            label = _composed(label[len(_PUNYCODE) :].encode("ascii").decode("punycode").translate(_UNSEEN))
        except UnicodeError:
            return None
        if label.isascii():
            return None
    if label.isascii():
        return label if len(label) <= _LABEL_BYTES and _ASCII_LABEL.fullmatch(label) else None
    if _SIGNS.search(label) or not label.isprintable():
        return None
    return label if len(_PUNYCODE) + len(label.encode("punycode")) <= _LABEL_BYTES else None
