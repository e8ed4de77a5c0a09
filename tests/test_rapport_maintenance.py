"""Doctor, compaction and refused input: what is found, and what is done about it."""

from __future__ import annotations

import pytest

from rapport.replay.sort import SCRATCH
from stream.embedded.store import LAKE, PUBLISHED


@pytest.fixture
def data(rapport, ndjson, tmp_path):
    event = {"type": "track", "event": "Signed Up", "userId": "ann", "timestamp": "2026-03-02T10:00:00Z"}
    lines = [
        {**event, "messageId": "m1"},
        b'{"type": "track", "event": "Bought", "loyalty": 1, "properties": {"card": "c1"}}',
        b"{nonsense",
    ]
    rapport("replay", ndjson("a.ndjson", *lines), "--data", tmp_path / "d")
    return tmp_path / "d"


def findings(rapport, data, *more):
    ended = rapport("doctor", "--data", data, "--json", *more)
    return ended.code, {each["check"]: each for each in ended.json["findings"] if each["verdict"] != "ok"}


def test_a_healthy_folder_has_nothing_to_complain_of(rapport, data):
    assert findings(rapport, data) == (0, {})


def test_a_missing_or_cut_file_fails(rapport, data):
    file = next((data / LAKE / "facts").rglob("*.parquet"))
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    code, found = findings(rapport, data)
    assert (code, found["lake"]["verdict"]) == (1, "fail")
    file.unlink()
    code, found = findings(rapport, data)
    assert (code, found["lake"]["verdict"]) == (1, "fail")
    assert "missing" in found["lake"]["found"]


def test_what_a_crash_left_is_named_and_harmless(rapport, data):
    (data / SCRATCH).mkdir()
    stray = next((data / LAKE / "facts").rglob("*.parquet")).with_name("part-0-7-9.parquet")
    stray.write_bytes(b"half")
    (data / PUBLISHED).unlink()
    code, found = findings(rapport, data)
    assert code == 0
    assert {name: each["verdict"] for name, each in found.items()} == {
        "lake": "warn",
        "published": "warn",
        "leftovers": "warn",
    }
    assert rapport("compact", "--data", data).code == 0
    assert set(findings(rapport, data)[1]) == {"leftovers"}


def test_a_newer_folder_a_bad_plan_and_no_folder_are_told(rapport, data, tmp_path):
    code, found = findings(rapport, data, "--plan", tmp_path / "none")
    assert (code, found["plan"]["verdict"]) == (1, "fail")
    (data / "layout").write_text("99\n")
    assert findings(rapport, data)[1]["store"]["verdict"] == "fail"
    assert findings(rapport, tmp_path / "none")[0] == 1
    assert not (tmp_path / "none").exists()


def test_compaction_keeps_every_row(rapport, data, ndjson):
    for number in range(5):
        event = {
            "type": "track",
            "event": "Seen",
            "userId": "ann",
            "messageId": f"n{number}",
            "timestamp": "2026-03-02",
        }
        rapport("replay", ndjson("b.ndjson", event), "--data", data)
    rows = rapport("query", "FROM fct_event ORDER BY message_id", "--data", data, "--json").json
    report = rapport("compact", "--data", data, "--json").json
    assert report["files_after"] < report["files_before"]
    assert rapport("query", "FROM fct_event ORDER BY message_id", "--data", data, "--json").json == rows


def test_refused_input_is_listed_shown_and_taken_once_its_cause_is_mended(rapport, data, tmp_path):
    listed = rapport("rejected", "list", "--data", data, "--json").json
    assert {each["code"] for each in listed} == {"no_identifier", "invalid_json"}
    (id_,) = (each["id"] for each in listed if each["code"] == "no_identifier")
    assert b'"card": "c1"' in rapport("rejected", "show", id_[:8], "--data", data).out

    unmended = rapport("rejected", "replay", "--data", data, "--json").json
    assert (unmended["applied"], unmended["rejected"]) == (0, 2)
    plan = tmp_path / "plan"
    plan.mkdir()
    (plan / "identity.yaml").write_text("types:\n  card: {from_properties: [card]}\n")
    mended = rapport("rejected", "replay", id_, "--data", data, "--plan", plan, "--json").json
    assert (mended["applied"], mended["rejected"]) == (1, 0)
    assert rapport("rejected", "replay", id_, "--data", data, "--plan", plan, "--json").json["duplicate"] == 1
    assert len(rapport("rejected", "list", "--data", data, "--json").json) == 2
    assert rapport("profile", "card:c1", "--data", data, "--json").json["event_count"] == 1


def test_an_unknown_refusal_is_told(rapport, data):
    for command in (("show", "zz"), ("replay", "zz")):
        ended = rapport("rejected", *command, "--data", data)
        assert ended.code == 1
        assert "rapport rejected list" in ended.err
