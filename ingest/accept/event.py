"""Accept: one JSON event becomes an accepted event or a rejection. It never raises and never loses.

What is kept is kept exactly: `body` equals what the JSON says, but for the stated exceptions. Hostile input:

| input | rule |
|---|---|
| not UTF-8, not JSON, not an object, above 32 KB, nested deeper than 250 | rejected |
| NaN, Infinity, 1e999, whole numbers beyond 64 bits | rejected: no store could hold them unchanged |
| a number that a double would change, or of more than 17 digits | rejected: send it as text |
| lone surrogates | rejected: UTF-8 cannot carry them |
| the same key twice in an object | rejected: one of the values would be lost |
| U+0000 and other control characters in texts | kept; rejected in a message id, dropped in an identifier |
| a field that is null | counts as absent, stays null in the body |
| an id that is a whole number | taken as its decimal text; any other type is rejected |
| a wrong type in a field of the spec | rejected; fields outside the spec pass untouched |
| an unknown `context.channel` | rejected; the SDKs' own top-level `channel` is not looked at |
| a time that is not ISO 8601 text of the years 1970 to 9999 | rejected; so are numbers: seconds or milliseconds? |
| a message id that is missing, null or empty | made from the content, see `Ordinals` |
| a message id above 100 characters, a group id above 1,024 | rejected |
| any other id above 1,024 characters | left to identification, which drops the id and keeps the event |

All problems of one event are in one rejection: the first in `code`, `field` and `value`, all in `expectation`.
This module must never read a clock: `now` is an argument.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson
from pydantic_core import ValidationError

from ingest.accept import damage
from schemas.events import BATCH_BYTES, DEPTH, EVENT_BYTES, ID_FIELDS, TIME_FIELDS, check, states_time
from schemas.instant import parse
from schemas.messages import Json, Rejected
from schemas.rejection import Fault, Oversized, reject

_DOUBTFUL: Final = re.compile(rb"(?<=[:\[,\s])-?(?:[0-9]+(?:\.[0-9]+)?[eE][-+]?[0-9]+|(?=[0-9.]{17})[0-9]+\.[0-9]+)")
"""Numbers that a double may not keep: those with an exponent, or with some fifteen digits."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ROOM: Final = 254 - DEPTH
"""orjson refuses to write more than 254 levels; wrapping an event in this many makes it refuse above `DEPTH`."""


class Accepted(NamedTuple):
    """An event that is taken, not yet identified."""

    type: str
    name: str
    """A track's `event`, otherwise the type."""
    message_id: str
    channel: str | None
    occurred_at: int
    received_at: int
    """The `now` it was accepted at."""
    body: Json


class Ordinals:
    """Counts equal events of one source, so that each gets a message id of its own.

    Start a new one whenever a source is read from its beginning: then reading it again makes the same ids.
    Holds about 100 bytes per distinct event without a message id.

    A pipe is never read again: with `run`, a text of this run alone, what states neither an id nor a time gets an id
    that no other run gives. `unique` counts these.
    """

    def __init__(self, run: str = "") -> None:
        self._run = run
        self._seen: defaultdict[bytes, int] = defaultdict(int)
        self.unique = 0

    def message_id(self, body: Mapping[str, Any]) -> str:
        """`auto-<digest of the sorted JSON>-<how many equal ones came before>`, perhaps with `-<run>`."""
        digest = hashlib.blake2b(orjson.dumps(body, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
        ordinal = self._seen[digest]
        self._seen[digest] = ordinal + 1
        if self._run and not states_time(body):
            self.unique += 1
            return f"auto-{digest.hex()}-{ordinal}-{self._run}"
        return f"auto-{digest.hex()}-{ordinal}"


def accept(raw: bytes | Oversized, *, now: int, source: str, ordinals: Ordinals) -> Accepted | Rejected:
    """Judge one event, given as the bytes of one JSON object. Pure but for counting in `ordinals`."""
    if isinstance(raw, Oversized) or len(raw) > EVENT_BYTES:
        length = raw.length if isinstance(raw, Oversized) else len(raw)
        limit = f"at most {EVENT_BYTES} bytes an event, {BATCH_BYTES} a batch"
        return _refuse(raw, [Fault("too_large", "", f"{length} bytes", limit)], source, now)
    try:
        body = orjson.loads(raw)
        encoded = orjson.dumps([[[[body]]]])[_ROOM:-_ROOM]
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        return _refuse(raw, [damage.find(raw) or Fault("invalid_json", "", "", f"JSON ({error})")], source, now)
    if inexact(raw, encoded) and (flaw := damage.find(raw)):
        return _refuse(raw, [flaw], source, now)
    try:
        check(body)
    except ValidationError as error:
        if not _ids_became_text(body):
            return _refuse(raw, _wrong_types(error), source, now)
        try:
            check(body)
        except ValidationError as second:
            return _refuse(raw, _wrong_types(second), source, now)

    type_ = body["type"]
    message_id = body.get("messageId")
    try:
        occurred_at = _occurred_at(body, now)
    except ValueError:
        return _refuse(raw, _faults(type_, body), source, now)
    name = body.get("event") if type_ == "track" else type_
    doubtful = not _complete(type_, name, body) or (message_id and not message_id.isprintable())
    if doubtful and (faults := _faults(type_, body)):
        return _refuse(raw, faults, source, now)
    if not message_id:
        message_id = body["messageId"] = ordinals.message_id(body)
    context = body.get("context")
    channel = context.get("channel") if context else None
    return Accepted(type_, name, message_id, channel, occurred_at, now, body)


def accept_value(value: Mapping[str, Any], *, now: int, source: str, ordinals: Ordinals) -> Accepted | Rejected:
    """`accept` for an event that comes as a Python value, by the same rules: its JSON is the original."""
    try:
        raw = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    except RecursionError:
        return _refuse(b"", [Fault("too_deep", "", "", f"at most {DEPTH} levels of objects and arrays")], source, now)
    except (TypeError, ValueError) as error:
        original = repr(value).encode("utf-8", "backslashreplace")
        fault = Fault("invalid_json", "", "", f"a value that JSON can express ({error})")
        return _refuse(original, [fault], source, now)
    return accept(raw, now=now, source=source, ordinals=ordinals)


def inexact(raw: bytes, encoded: bytes) -> bool:
    r"""Whether `encoded`, by orjson, might not say all that `raw` said. Cheap, and never wrong when it says no.

    A lost duplicate takes at least its key's two quotes along, and only the escape \u0022 brings new ones. A whole
    number beyond 64 bits was read as a float, which orjson writes with `e+`. Up to fifteen digits a double keeps any
    number that is neither huge nor tiny.
    """
    if raw.rstrip() == encoded:
        return False
    return (
        raw.count(b'"') != encoded.count(b'"')
        or (b"\\" in raw and b"\\u0022" in raw)
        or (b"+" in encoded and b"e+" in encoded)
        or any(not damage.is_kept(each.decode(), float(each)) for each in _DOUBTFUL.findall(raw))
    )


def _ids_became_text(body: object) -> bool:
    """Write whole-number ids as text, in place. False where there are none."""
    if not isinstance(body, dict):
        return False
    numbers = [field for field in ID_FIELDS if type(body.get(field)) is int]
    for field in numbers:
        body[field] = str(body[field])
    return bool(numbers)


def _occurred_at(body: Json, now: int) -> int:
    """When it happened, by a clock we trust, never after `now`. Raises ValueError for a time that cannot be read.

    With all three known, the sender's clock is off by receivedAt - sentAt (Segment, "timestamps"). Without receivedAt
    nothing is known about the sender's clock, so its word is taken.
    """
    get = body.get
    stamp = None if (text := get("timestamp")) is None else parse(text)
    original = None if (text := get("originalTimestamp")) is None else parse(text)
    sent = None if (text := get("sentAt")) is None else parse(text)
    received = None if (text := get("receivedAt")) is None else parse(text)
    at = stamp if stamp is not None else original
    if received is not None and sent is not None and at is not None:
        at = received - (sent - (at if original is None else original))
    elif at is None:
        at = received if received is not None else sent
    return now if at is None else max(0, min(at, now))


def _complete(type_: str, name: str | None, body: Json) -> bool:
    if type_ == "track":
        return bool(name) and not name.isspace()  # type: ignore[union-attr]
    if type_ == "group":
        return bool(body.get("groupId"))
    if type_ == "alias":
        return bool(body.get("userId")) and bool(body.get("previousId"))
    return True


_NEEDED: Final = {"track": ("event",), "group": ("groupId",), "alias": ("userId", "previousId")}


def _faults(type_: str, body: Json) -> list[Fault]:
    """Everything wrong with an event whose fields have the right types."""
    faults = []
    for field in _NEEDED.get(type_, ()):
        value = body.get(field)
        if value is None or (not value and field != "event"):
            faults.append(Fault("missing_field", field, "", f"{field} in every {type_} event"))
        elif field == "event" and not value.strip():
            faults.append(Fault("empty_name", field, value, "a name with at least one visible character"))
    message_id = body.get("messageId") or ""
    if _CONTROL.search(message_id):
        faults.append(Fault("control_character", "messageId", message_id, "a message id without control characters"))
    for field in TIME_FIELDS:
        value = body.get(field)
        try:
            if value is not None:
                parse(value)
        except ValueError:
            expectation = f"{field} as ISO 8601 text of the years 1970 to 9999, like 2026-03-02T10:00:00Z"
            faults.append(Fault("invalid_timestamp", field, value, expectation))
    return faults


def _wrong_types(error: ValidationError) -> list[Fault]:
    faults = []
    for problem in error.errors(include_url=False, include_context=True):
        field = ".".join(str(part) for part in problem["loc"])
        value, context = problem["input"], problem.get("ctx", {})
        match problem["type"]:
            case "missing":
                code, value, expectation = "missing_field", "", f"{field} in every event"
            case "literal_error" if field == "type":
                code = "missing_field" if value is None else "unknown_type"
                expectation = f"type to be {context['expected']}"
            case "literal_error":
                code, expectation = "unknown_channel", f"{field} to be {context['expected']}"
            case "string_too_long":
                code, expectation = "too_long", f"{field} of at most {context['max_length']} characters"
            case "dict_type" if not field:
                code, expectation = "not_an_object", "one JSON object"
            case "dict_type" | "is_instance_of":
                code, expectation = "wrong_type", f"{field} to be an object"
            case _:
                code, expectation = "wrong_type", f"{field} to be text"
        faults.append(Fault(code, field, value, expectation))
    return faults


def _refuse(raw: bytes | Oversized, faults: Sequence[Fault], source: str, now: int) -> Rejected:
    first = faults[0]
    expectations = [fault.expectation for fault in faults]
    return reject(raw, "accept", first.code, first.field, first.value, "; ".join(expectations), source, now)
