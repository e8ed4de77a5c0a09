"""Accept: what is kept, what is refused and why, when it happened, which id it gets."""

from __future__ import annotations

import json
import math
from decimal import Context, Decimal
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.accept.event import Accepted, Ordinals, accept, accept_value
from schemas.events import DEPTH, EVENT_BYTES, ID_FIELDS, SegmentEvent
from schemas.instant import HOUR, SECOND, parse
from schemas.messages import PAYLOAD_KEPT, Rejected
from schemas.rejection import CODES, Oversized

NOW = parse("2026-03-02T10:00:00Z")
NAUGHTY = Path(__file__).parents[2] / "shared" / "data" / "security" / "blns.json"


def taken(raw: bytes | Oversized | dict, ordinals: Ordinals | None = None) -> Accepted | Rejected:
    raw = orjson.dumps(raw) if isinstance(raw, dict) else raw
    return accept(raw, now=NOW, source="test", ordinals=ordinals or Ordinals())


def track(**fields: object) -> dict:
    return {"type": "track", "event": "Seen", "userId": "u", "messageId": "m", **fields}


def with_property(text: str) -> bytes:
    return b'{"type":"track","event":"Seen","userId":"u","messageId":"m","properties":{"x":%s}}' % text.encode()


def test_a_whole_event_is_taken_as_it_is():
    event = track(
        timestamp="2026-03-02T09:00:00Z",
        context={"channel": "web", "page": {"url": "https://e.com"}, "mine": [1]},
        properties={"price": 19.99, "none": None},
        mine={"a": "\u0000"},
    )
    got = taken(event)
    assert got == Accepted("track", "Seen", "m", "web", NOW - HOUR, NOW, event)


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        ("identify", {}),
        ("page", {"name": "Home"}),
        ("screen", {}),
        ("group", {"groupId": "g"}),
        ("alias", {"previousId": "p"}),
    ],
)
def test_other_types_are_named_after_themselves(type_, fields):
    got = taken({"type": type_, "userId": "u", **fields})
    assert (got.type, got.name) == (type_, type_)


REFUSED = {
    "not UTF-8": (b'{"type":"track","event":"\xff"}', "not_utf8", "", "UTF-8"),
    "a raw surrogate": (b'{"type":"track","event":"\xed\xa0\x80"}', "lone_surrogate", "", "surrogates"),
    "an escaped surrogate": (with_property('"\\ud800"'), "lone_surrogate", "properties.x", "surrogates"),
    "a surrogate key": (with_property('{"\\udfff":1}'), "lone_surrogate", "properties.x", "surrogates"),
    "nothing": (b"", "invalid_json", "", "JSON"),
    "half": (b'{"type":"track"', "invalid_json", "", "JSON"),
    "two": (b"{}{}", "invalid_json", "", "JSON"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "invalid_json", "", "JSON"),
    "a list": (b"[]", "not_an_object", "", "object"),
    "null": (b"null", "not_an_object", "", "object"),
    "NaN": (with_property("NaN"), "not_a_number", "properties.x", "finite"),
    "Infinity": (with_property("[1,-Infinity]"), "not_a_number", "properties.x.1", "finite"),
    "1e999": (with_property("1e999"), "number_out_of_range", "properties.x", "2^64-1"),
    "19 digits": (with_property("0.1234567890123456789"), "number_inexact", "properties.x", "or text"),
    "19 digits, large": (with_property("12345678901234567.89"), "number_inexact", "properties.x", "17 digits"),
    "18 zeros": (with_property("1.00000000000000000"), "number_inexact", "properties.x", "17 digits"),
    "next to nothing": (with_property("[1, -1e-400]"), "number_inexact", "properties.x.1", "or text"),
    "nothing at all": (with_property("1E-99999999999999999999"), "number_inexact", "properties.x", "or text"),
    "beyond 2^53, with a point": (with_property(" 9007199254740993.0"), "number_inexact", "properties.x", "or text"),
    "beyond 2^53, with an exponent": (with_property("9007199254740993e0"), "number_inexact", "properties.x", "or text"),
    "17 digits that are no double": (with_property("0.30000000000000005"), "number_inexact", "properties.x", "or text"),
    "2^70": (with_property(str(2**70)), "number_out_of_range", "properties.x", "2^64-1"),
    "2^64": (with_property(str(2**64)), "number_out_of_range", "properties.x", "2^64-1"),
    "-2^63-1": (with_property(str(-(2**63) - 1)), "number_out_of_range", "properties.x", "2^64-1"),
    "5,000 digits": (with_property("9" * 5000), "number_out_of_range", "properties.x", "2^64-1"),
    "a user id of 2^70": (b'{"type":"identify","userId":%d}' % 2**70, "number_out_of_range", "userId", "2^64-1"),
    "the same key twice": (with_property('{"a":1,"a":1}'), "duplicate_key", "properties.x.a", "once"),
    "twice, made up for": (
        with_property('{"a":1,"a":1,"b":"\\u0022\\u0022"}'),
        "duplicate_key",
        "properties.x.a",
        "once",
    ),
    "twice, spelt differently": (with_property('{"a":1,"\\u0061":1}'), "duplicate_key", "properties.x.a", "once"),
    "the same field twice": (b'{"type":"track","type":"track"}', "duplicate_key", "type", "once"),
    "too deep": (with_property("[" * (DEPTH - 1) + "]" * (DEPTH - 1)), "too_deep", None, "levels"),
    "brackets": (b"[" * 30_000, "too_deep", "", "levels"),
    "100,000 brackets": (b"[" * 100_000, "too_large", "", "32768"),
    "no type": (b"{}", "missing_field", "type", "type"),
    "null type": (b'{"type":null}', "missing_field", "type", "track"),
    "unknown type": (b'{"type":"Track"}', "unknown_type", "type", "'track', 'identify'"),
    "a number as type": (b'{"type":1}', "unknown_type", "type", "track"),
    "no name": (b'{"type":"track"}', "missing_field", "event", "event"),
    "empty name": (b'{"type":"track","event":""}', "empty_name", "event", "visible"),
    "blank name": (b'{"type":"track","event":" \\u00a0\\t"}', "empty_name", "event", "visible"),
    "a number as name": (b'{"type":"track","event":7}', "wrong_type", "event", "text"),
    "a group without id": (b'{"type":"group","userId":"u"}', "missing_field", "groupId", "groupId"),
    "a long group id": (b'{"type":"group","groupId":"%s"}' % (b"g" * 1025), "too_long", "groupId", "1024"),
    "an alias without user": (b'{"type":"alias","previousId":"p"}', "missing_field", "userId", "userId"),
    "an alias without previous": (b'{"type":"alias","userId":"p"}', "missing_field", "previousId", "previousId"),
    "a float id": (track(userId=1.5), "wrong_type", "userId", "text"),
    "a boolean id": (track(anonymousId=True), "wrong_type", "anonymousId", "text"),
    "an object as id": (track(userId={}), "wrong_type", "userId", "text"),
    "a list as properties": (track(properties=[]), "wrong_type", "properties", "object"),
    "a text as traits": (track(traits="x"), "wrong_type", "traits", "object"),
    "a text as context": (track(context="x"), "wrong_type", "context", "object"),
    "a text as page": (track(context={"page": "x"}), "wrong_type", "context.page", "object"),
    "a number as ip": (track(context={"ip": 1}), "wrong_type", "context.ip", "text"),
    "unknown channel": (track(context={"channel": "fax"}), "unknown_channel", "context.channel", "'web', 'mobile'"),
    "a long message id": (track(messageId="m" * 101), "too_long", "messageId", "100"),
    "a control character": (track(messageId="m\u0000"), "control_character", "messageId", "control"),
    "no time": (track(timestamp="yesterday"), "invalid_timestamp", "timestamp", "ISO 8601"),
    "a number as time": (track(timestamp=1772445600000), "wrong_type", "timestamp", "text"),
    "before 1970": (track(sentAt="1969-12-31T23:59:59Z"), "invalid_timestamp", "sentAt", "1970"),
    "empty time": (track(receivedAt=""), "invalid_timestamp", "receivedAt", "ISO 8601"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_input_is_refused_with_everything_said(name):
    raw, code, field, expectation = REFUSED[name]
    raw = orjson.dumps(raw) if isinstance(raw, dict) else raw
    got = taken(raw)
    assert isinstance(got, Rejected)
    assert (got.stage, got.code, got.source, got.rejected_at) == ("accept", code, "test", NOW)
    assert field is None or got.field == field
    assert expectation in got.expectation
    assert got.payload == raw[:PAYLOAD_KEPT]
    assert got.length == len(raw)
    assert bool(got.sha256) == (len(raw) > PAYLOAD_KEPT)


def test_every_code_of_this_stage_has_a_case():
    assert {code for _, code, *_ in REFUSED.values()} == set(CODES) - {
        "no_identifier",
        "not_a_message",
        "unreadable_row",
    }


@pytest.mark.parametrize(
    "text",
    [
        '"a\\u0000b"',
        "18446744073709551615",
        "-9223372036854775808",
        "1e19",
        "1E300",
        "-0.0",
        "5e-324",
        '"\\ud83d\\ude00"',
        '"\\u0022"',
        '"+e+"',
        '"NaN null \\\\u0022"',
        '{"a":{"a":1}}',
        "[]",
        "0.30000000000000004",
        "0.10000000000000001",
        "1.10",
        "0.00000",
        "0e-99999999999999999999",
        "12345678901234.56",
        "[-0.12345678901234566,1.7976931348623157e308,2.2250738585072014E-308]",
        '"0.1234567890123456789 and 1e-400"',
        '{", 0.1234567890123456789":": 1e-400"}',
        '"12345678901234567890123"',
        "[" * (DEPTH - 2) + "]" * (DEPTH - 2),
    ],
)
def test_unusual_but_sound_values_are_kept(text):
    raw = with_property(text)
    got = taken(raw)
    assert isinstance(got, Accepted)
    assert got.body == json.loads(raw)
    assert json.loads(orjson.dumps(got.body)) == json.loads(raw)


@pytest.mark.skipif(not NAUGHTY.exists(), reason="../shared/data/security/blns.json is missing")
def test_every_naughty_string_survives_as_a_trait():
    for text in json.loads(NAUGHTY.read_text()):
        for ascii_only in (True, False):
            raw = json.dumps(
                {"type": "identify", "userId": "u", "traits": {"t": text, text: 1}}, ensure_ascii=ascii_only
            )
            got = taken(raw.encode())
            assert got.body["traits"]["t"] == text
            assert orjson.loads(orjson.dumps(got.body))["traits"]["t"] == text


def test_all_problems_are_told_at_once():
    got = taken(track(event=" ", messageId="\u0001", timestamp="x", sentAt="y"))
    assert got.code == "empty_name"
    assert got.expectation.count(";") == 3
    typed = taken(track(userId=1.5, properties=1, context={"channel": "fax", "ip": 2}))
    assert typed.code == "wrong_type"
    assert typed.expectation.count(";") == 3


def test_whole_number_ids_become_text():
    got = taken({"type": "group", "userId": 7, "groupId": 2**64 - 1, "messageId": 12, "anonymousId": -3})
    assert got.body == {
        "type": "group",
        "userId": "7",
        "groupId": str(2**64 - 1),
        "messageId": "12",
        "anonymousId": "-3",
    }
    assert orjson.loads(orjson.dumps(got.body)) == got.body
    assert got.message_id == "12"


def test_null_is_absent():
    got = taken({"type": "page", "userId": "u", "event": None, "context": None, "timestamp": None, "properties": None})
    assert (got.channel, got.occurred_at) == (None, NOW)


def test_size_limit_counts_bytes():
    event = track(properties={"x": ""})
    room = EVENT_BYTES - len(orjson.dumps(event))
    assert isinstance(taken(track(properties={"x": "x" * room})), Accepted)
    assert taken(track(properties={"x": "x" * (room + 1)})).code == "too_large"


def test_a_line_too_long_for_memory_keeps_prefix_length_and_digest():
    got = taken(Oversized(b"x" * 100, 10**10, "ab"))
    assert (got.code, got.payload, got.length, got.sha256) == ("too_large", b"x" * 100, 10**10, "ab")


TIMES = {
    "no time at all": ({}, NOW),
    "its own": ({"timestamp": "2026-03-02T09:00:00+00:00"}, NOW - HOUR),
    "an offset": ({"timestamp": "2026-03-02T09:00:00+01:00"}, NOW - 2 * HOUR),
    "no offset": ({"timestamp": "2026-03-02T09:00:00"}, NOW - HOUR),
    "microseconds": ({"timestamp": "2026-03-02T09:59:59.999999Z"}, NOW - 1),
    "a day": ({"timestamp": "2026-03-02"}, NOW - 10 * HOUR),
    "the future": ({"timestamp": "2027-01-01T00:00:00Z"}, NOW),
    "the year 9999": ({"timestamp": "9999-12-31T23:59:59Z"}, NOW),
    "sent, not received": ({"timestamp": "2026-03-02T05:00:00Z", "sentAt": "2026-03-02T05:00:01Z"}, NOW - 5 * HOUR),
    "received only": ({"receivedAt": "2026-03-02T08:00:00Z"}, NOW - 2 * HOUR),
    "sent only": ({"sentAt": "2026-03-02T07:00:00Z"}, NOW - 3 * HOUR),
    "original only": ({"originalTimestamp": "2026-03-02T07:00:00Z"}, NOW - 3 * HOUR),
    "a clock two hours slow": (
        {"timestamp": "2026-03-02T06:59:50Z", "sentAt": "2026-03-02T07:00:00Z", "receivedAt": "2026-03-02T09:00:00Z"},
        NOW - HOUR - 10 * SECOND,
    ),
    "a clock a year fast": (
        {"timestamp": "2027-03-02T08:00:00Z", "sentAt": "2027-03-02T09:00:00Z", "receivedAt": "2026-03-02T09:00:00Z"},
        NOW - 2 * HOUR,
    ),
    "corrected before": (
        {
            "timestamp": "2026-03-02T08:59:50Z",
            "originalTimestamp": "2026-03-02T06:59:50Z",
            "sentAt": "2026-03-02T07:00:00Z",
            "receivedAt": "2026-03-02T09:00:00Z",
        },
        NOW - HOUR - 10 * SECOND,
    ),
    "before the epoch": (
        {"timestamp": "1970-01-01T00:00:00Z", "sentAt": "2026-03-02T09:00:00Z", "receivedAt": "1970-01-02T00:00:00Z"},
        0,
    ),
}


@pytest.mark.parametrize("name", TIMES)
def test_when_it_happened(name):
    fields, occurred_at = TIMES[name]
    got = taken(track(**fields))
    assert (got.occurred_at, got.received_at) == (occurred_at, NOW)


@pytest.mark.parametrize("missing", [{}, {"messageId": None}, {"messageId": ""}])
def test_a_missing_message_id_comes_from_content_and_ordinal(missing):
    event = {"type": "page", "userId": "u", "properties": {"a": 1, "b": 2}} | missing
    again = dict(reversed(event.items()))
    first, second = Ordinals(), Ordinals()
    ids = [taken(event, first).message_id, taken(again, first).message_id]
    assert ids == [taken(again, second).message_id, taken(event, second).message_id]
    assert [each[-2:] for each in ids] == ["-0", "-1"]
    assert ids[0].startswith("auto-")
    assert len(ids[0]) <= 100
    got = taken(event)
    assert orjson.loads(orjson.dumps(got.body)) == got.body == {**event, "messageId": got.message_id}
    assert taken(event | {"userId": "v"}, first).message_id not in ids


def test_a_refused_event_uses_no_ordinal():
    ordinals = Ordinals()
    taken({"type": "page", "userId": "u", "timestamp": "x"}, ordinals)
    assert taken({"type": "page", "userId": "u"}, ordinals).message_id.endswith("-0")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"type": "page", "properties": {"x": math.nan}}, "not_a_number"),
        ({"type": "page", "properties": {"x": -math.inf}}, "not_a_number"),
        ({"type": "page", "properties": {"x": 2**70}}, "number_out_of_range"),
        ({"type": "page", "properties": {"x": "\ud800"}}, "lone_surrogate"),
        ({"type": "page", "properties": {"x": b"bytes"}}, "invalid_json"),
        ({"type": "fax"}, "unknown_type"),
    ],
)
def test_values_follow_the_same_rules(value, code):
    got = accept_value(value, now=NOW, source="test", ordinals=Ordinals())
    assert got.code == code
    assert got.payload


def test_a_value_that_contains_itself_is_refused():
    value: dict = {"type": "page"}
    value["properties"] = value
    assert isinstance(accept_value(value, now=NOW, source="test", ordinals=Ordinals()), Rejected)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELD = st.sampled_from([*SegmentEvent.__annotations__])
EVENT = st.builds(
    lambda type_, fields, odd: {**odd, **fields, "type": type_, "event": "e"},
    st.sampled_from(["track", "identify", "page", "screen"]),
    st.fixed_dictionaries(
        {}, optional={name: st.dictionaries(st.text(max_size=5), JSON) for name in ("properties", "traits")}
    ),
    st.dictionaries(FIELD, JSON, max_size=2),
)


def judged(raw: bytes) -> None:
    got = taken(raw)
    if isinstance(got, Rejected):
        assert got.code in CODES
        assert got.payload == raw
        got.expectation.encode()
        orjson.dumps([got.field, got.value])
        return
    original = json.loads(raw)
    for name, value in original.items():
        if name in ID_FIELDS and (isinstance(value, int) or name == "messageId"):
            assert got.body[name] == (got.message_id if name == "messageId" else str(value))
        else:
            assert got.body[name] == value
    assert set(got.body) == {*original, "messageId"}
    assert orjson.loads(orjson.dumps(got.body)) == got.body
    assert 0 <= got.occurred_at <= NOW


@given(
    st.text("0123456789", min_size=1, max_size=12),
    st.text("0123456789", min_size=1, max_size=12),
    st.none() | st.integers(-330, 290),
    st.booleans(),
    st.sampled_from([", ", ","]),
)
def test_a_number_is_kept_where_a_double_shows_all_its_digits(whole, fraction, exponent, negative, comma):
    whole = whole.lstrip("0") or "0"
    text = f"{'-' * negative}{whole}.{fraction}{'' if exponent is None else f'e{exponent}'}"
    stated = Decimal(text)
    digits = len(f"{whole}{fraction}".lstrip("0"))
    shown = Context(prec=max(digits, 1)).create_decimal(Decimal(float(text)))
    got = taken(with_property(f"[1{comma}{text}]"))
    assert isinstance(got, Accepted) is (digits <= 17 and shown == stated), text


@given(st.binary())
def test_arbitrary_bytes_never_raise(raw):
    judged(raw)


@given(JSON, st.booleans())
def test_arbitrary_json_never_raises_and_is_kept_whole(value, ascii_only):
    judged(json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


@given(EVENT, st.booleans())
def test_events_with_arbitrary_fields_are_kept_whole_or_refused(event, ascii_only):
    judged(json.dumps(event, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


@given(EVENT, st.data())
def test_damaged_events_never_raise(event, data):
    raw = bytearray(json.dumps(event).encode())
    harm = st.binary(max_size=3) | st.sampled_from([b'"', b"\\u0022", b"9" * 20, b"NaN", b"e9", b"{", b"\\ud800"])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(harm)
        if not raw:
            break
    got = taken(bytes(raw))
    if isinstance(got, Accepted):
        judged(bytes(raw))


@given(st.text(st.sampled_from("0123456789-+:.TZW "), max_size=35))
def test_arbitrary_times_never_raise(text):
    judged(orjson.dumps(track(timestamp=text, sentAt=text, receivedAt="2026-03-02T09:00:00Z")))
