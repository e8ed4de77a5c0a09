"""Batches are taken apart, everything else is handed on as it is."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.accept.event import Accepted, Ordinals, accept
from ingest.accept.lines import events_of
from profiles.identifiers import extract
from profiles.settings import DEFAULT
from schemas.events import BATCH_BYTES
from schemas.instant import parse
from schemas.rejection import Oversized

WIRE = Path(__file__).parents[2] / "shared" / "data" / "wire"
NOW = parse("2030-01-01T00:00:00Z")


def events(line: str) -> list[str]:
    return [bytes(event).decode() for event in events_of(line.encode())]


def test_events_are_cut_out_as_they_stand():
    first, second = '{ "type":"page", "a":[1, 2.50,"]"], "a": 1 }', '"no event"'
    assert events(f' {{"batch" : [ {first} ,{second},{{}}], "writeKey":"w"}} ') == [first, second, "{}"]


def test_what_only_the_batch_says_is_filled_in():
    line = {
        "sentAt": "T",
        "integrations": {"All": True},
        "context": {"ip": "1.1.1.1", "locale": "de"},
        "batch": [
            {},
            {"a": "é"},
            {"sentAt": None, "integrations": {}, "context": {"ip": "2.2.2.2"}},
            {"context": None},
            7,
        ],
    }
    shared = {name: line[name] for name in ("sentAt", "integrations", "context")}
    assert [json.loads(event) for event in events(json.dumps(line))] == [
        shared,
        {"a": "é"} | shared,
        {"sentAt": None, "integrations": {}, "context": {"ip": "2.2.2.2", "locale": "de"}},
        {"sentAt": "T", "integrations": {"All": True}, "context": None},
        7,
    ]


def test_an_event_with_a_repeated_key_stays_untouched():
    repeated = '{"context":{"a":1,"a":2}}'
    assert events(f'{{"context":{{"b":1}},"batch":[{repeated}]}}') == [repeated]


@pytest.mark.parametrize(
    "line",
    [
        '{"type":"page"}',
        '{"type":"track","batch":[]}',
        '{"batch":5}',
        '{"batch":[1,]}',
        '{"batch":[1],}',
        '{"batch":[1]',
        '{"batch":[1]}x',
        '{"batch":[1],"batch":[2]}',
        '["batch"]',
        '"batch"',
        '{1:2,"batch":[]}',
        '{"batch":[NaN}',
        '{"batch":' + "[" * 50_000,
        "",
    ],
)
def test_what_is_no_batch_is_handed_on_whole(line):
    assert events(line) == [line]


def test_an_empty_batch_holds_nothing():
    assert events('{"batch":[]}') == []


def test_a_batch_has_a_limit():
    line = b'{"batch":[' + b"1," * (BATCH_BYTES // 2) + b"1]}"
    assert events_of(line) == (line,)
    oversized = Oversized(b'{"batch"', 10**9, "")
    assert events_of(oversized) == (oversized,)


@given(st.binary() | st.text(st.sampled_from('{}[]",:0 ab\\')).map(lambda text: f'{{"batch":{text}'.encode()))
def test_arbitrary_lines_never_raise(line):
    for event in events_of(line):
        accept(event, now=NOW, source="test", ordinals=Ordinals())


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text() | st.integers() | st.none())))
def test_a_batch_holds_the_events_that_json_says(batch):
    for text in (json.dumps({"batch": batch}), json.dumps({"batch": batch}, ensure_ascii=False, indent=1)):
        found = events_of(text.encode("utf-8", "surrogatepass"))
        assert [json.loads(event) for event in found] == batch


@pytest.mark.skipif(not WIRE.exists(), reason="../shared/data/wire is missing")
def test_everything_real_sdks_sent_is_accepted_and_retries_have_the_same_ids():
    taken: list[Accepted] = []
    posts = 0
    for file in sorted(WIRE.glob("*.jsonl")):
        for request in map(orjson.loads, file.read_bytes().splitlines()):
            if "json" not in request:
                continue
            posts += 1
            for event in events_of(orjson.dumps(request["json"])):
                got = accept(event, now=NOW, source="wire", ordinals=Ordinals())
                assert isinstance(got, Accepted), got
                assert extract(got.body, got.type, DEFAULT).keys
                taken.append(got)
    sent = Counter(event.message_id for event in taken)
    assert not any(message_id.startswith("auto-") for message_id in sent)
    assert posts > len(list(WIRE.glob("*.jsonl")))
    assert max(sent.values()) > 1
    for message_id in sent:
        assert len({(each.type, each.name, each.occurred_at) for each in taken if each.message_id == message_id}) == 1
    assert {event.type for event in taken} == {"track", "identify", "page", "screen", "group", "alias"}
    assert {event.body["traits"]["email"] for event in taken if event.type == "identify"} == {"Ann@Example.com"}
