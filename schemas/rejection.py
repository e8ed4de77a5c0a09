"""Refused input as a value: the codes, and how a `Rejected` is made so that nothing of the original is lost."""

from __future__ import annotations

import hashlib
import json
from typing import Final, NamedTuple

from schemas.messages import PAYLOAD_KEPT, Rejected

CODES: Final = {
    "too_large": "The event, the batch or the line is longer than allowed.",
    "not_utf8": "The bytes are not UTF-8.",
    "invalid_json": "The text is not JSON.",
    "not_an_object": "The JSON is not an object.",
    "too_deep": "Objects and arrays are nested too deep.",
    "duplicate_key": "An object has the same key twice, so it is unclear which value was meant.",
    "not_a_number": "NaN or Infinity: JSON has no such numbers.",
    "number_inexact": "A number has more digits than a double keeps; send it as text.",
    "number_out_of_range": "A number does not fit 64 bits and could not be kept as it is.",
    "lone_surrogate": "A text holds half of a UTF-16 pair, which no database can store.",
    "missing_field": "A field that this type of event needs is absent, null or empty.",
    "wrong_type": "A field holds a value of the wrong type.",
    "unknown_type": "`type` is none of the six types of the Segment spec.",
    "unknown_channel": "`context.channel` is not a known channel.",
    "empty_name": "A track event's name is blank.",
    "too_long": "An id is longer than allowed.",
    "control_character": "A message id holds a control character.",
    "invalid_timestamp": "A time is not ISO 8601 or lies outside the years 1970 to 9999.",
    "unreadable_row": "A row of a table has other columns than its header, or its quotes are not those of one field.",
    "no_identifier": "No usable identifier is left, so the event belongs to nobody.",
    "not_a_message": "A line of a record on an input topic is no message that this topic takes.",
}

READ: Final = "read"
"""The stage of a row of a table that could not be read: it is no event, so it cannot be taken in again by itself."""

DISCARDED: Final = "discarded"
"""The stage of a record that takes an earlier one out of sight. What was refused stays in the lake."""

SHOWN: Final = 200
"""Characters of an offending value that are kept beside the original."""


class Oversized(NamedTuple):
    """A line too long to be held in memory: its beginning, its length and what identifies the whole."""

    prefix: bytes
    length: int
    sha256: str


class Fault(NamedTuple):
    """One thing wrong with an input. `field` is a dotted path, empty where the whole input is meant."""

    code: str
    field: str
    value: object
    expectation: str


class Unreadable(NamedTuple):
    """A row of an imported table that could not be read."""

    raw: bytes | Oversized
    fault: Fault
    source: str
    """The name of the table's file."""


def shown(value: object) -> str:
    """A value as text, at most `SHOWN` characters; what UTF-8 cannot carry is escaped."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    cut = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return cut.encode("utf-8", "backslashreplace").decode()


def discarded(rejection_id: str, code: str, source: str, now: int) -> Rejected:
    """The record that somebody discarded a refusal: from then on nobody lists it or takes it in again."""
    return Rejected(now, DISCARDED, code, "", "", "", source, b"", 0, "", f"{DISCARDED}/{rejection_id}")


def reject(
    raw: bytes | Oversized,
    stage: str,
    code: str,
    field: str,
    value: object,
    expectation: str,
    source: str,
    now: int,
) -> Rejected:
    """The record of a refusal. Originals above `PAYLOAD_KEPT` bytes keep their beginning, length and SHA-256."""
    if isinstance(raw, Oversized):
        payload, length, sha256 = raw.prefix[:PAYLOAD_KEPT], raw.length, raw.sha256
    elif len(raw) > PAYLOAD_KEPT:
        payload, length, sha256 = raw[:PAYLOAD_KEPT], len(raw), hashlib.sha256(raw).hexdigest()
    else:
        payload, length, sha256 = raw, len(raw), ""
    return Rejected(now, stage, code, shown(field), shown(value), expectation, source, payload, length, sha256)
