"""Doctor, compaction and refused input: what is found, and what is done about it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from profiles import identifiers
from rapport.replay.sort import SCRATCH
from sinks.lake import views
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


def test_a_copy_without_links_is_told_and_mended(rapport, data):
    for link in (data / LAKE / views.FOLDER).iterdir():
        link.unlink()
    assert "copied without its links" in findings(rapport, data)[1]["published"]["found"]
    assert rapport("publish", "--data", data).code == 0
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


WRITES = """
import duckdb, os, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE mine AS SELECT 1 AS x")
if sys.argv[2] == "clean":
    connection.close()
print("written", flush=True)
sys.stdin.read()
os._exit(9)
"""


@pytest.mark.parametrize("how", ["dies", "clean"])
def test_what_another_program_does_to_the_published_file_is_told_and_mended(rapport, data, how):
    def told():
        code, found = findings(rapport, data)
        assert (code, found["published"]["advice"]) == (0, "rapport publish writes it anew")
        return found["published"]["found"]

    with subprocess.Popen(
        [sys.executable, "-c", WRITES, data / PUBLISHED, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"written\n"
        if how == "dies":
            assert "open for writing in another program" in told()
            asked = rapport("query", "SELECT 1", "--data", data)
            assert (asked.code, "open for writing in another program" in asked.err) == (1, True)
        other.communicate(b"")
    assert "was written to by another program" in told()
    assert rapport("query", "SELECT count(*) AS n FROM fct_event", "--data", data, "--json").json == [{"n": 1}]
    assert rapport("publish", "--data", data).code == 0
    assert findings(rapport, data) == (0, {})


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


def test_every_id_that_is_printed_can_be_shown(rapport, ndjson, tmp_path):
    place = ("--data", tmp_path / "d")
    rapport("replay", ndjson("a.ndjson", *[{"type": "trak", "userId": "u"}] * 11, b"{broken"), *place)
    listed = rapport("rejected", "list", *place)
    printed = [line.split()[0] for line in listed.text.splitlines()[1:] if line[:1].strip()]
    assert len(set(printed)) == 12
    whole = [each["id"] for each in rapport("rejected", "list", *place, "--json").json]
    for short, id_ in zip(printed, whole, strict=True):
        assert len(short) < 12
        for each in (short, id_):
            assert rapport("rejected", "show", each, *place, "--json").json["id"] == id_
    ended = rapport("rejected", "show", printed[-1][:8], *place)
    assert (ended.code, printed[-1] in ended.err) == (1, True)


def test_causes_are_counted_and_discarded_for_good(rapport, ndjson, tmp_path):
    place = ("--data", tmp_path / "d")
    odd = b'{"type": "page", "userId": "u", "properties": {"list": [1, {"n": %d1e999}]}}'
    file = ndjson(
        "a.ndjson", *[{"type": "trak", "userId": "u"}] * 3, odd % 1, odd % 2, {"type": "track", "userId": "u"}
    )
    assert rapport("replay", file, *place).code == 1
    causes = rapport("rejected", "summary", *place, "--json").json
    assert [(each["cause"], each["count"]) for each in causes] == [
        ("unknown_type:type", 3),
        ("number_out_of_range:properties.list.*.n", 2),
        ("missing_field:event", 1),
    ]
    for each in causes:
        assert each["cause"] in rapport("rejected", "summary", *place).text
        assert (
            rapport("rejected", "show", each["example"]["short"], *place, "--json").json["id"] == each["example"]["id"]
        )

    def listed() -> list[str]:
        return [each["code"] for each in rapport("rejected", "list", *place, "--json").json]

    assert rapport("rejected", "discard", *place).code == 2
    assert rapport("rejected", "discard", "zz", *place).code == 1
    assert rapport("rejected", "discard", causes[0]["example"]["short"], *place, "--json").json == {"discarded": 1}
    assert listed().count("unknown_type") == 2
    assert rapport("rejected", "discard", "--cause", "number_out_of_range", *place).text == "2 discarded.\n"
    assert rapport("rejected", "discard", "--cause", "number", *place).text == "0 discarded.\n"
    for again in (("replay", file), ("rejected", "replay")):
        rapport(*again, *place)
        assert sorted(listed()) == ["missing_field", "unknown_type", "unknown_type"]
    assert rapport("rejected", "discard", "--all", *place, "--json").json == {"discarded": 3}
    assert rapport("rejected", "replay", *place, "--json").json["read"] == 0
    stored = "SELECT count(*) FILTER (stage <> 'discarded') AS n, count(*) AS all FROM raw.rejected"
    assert rapport("query", stored, *place, "--json").json == [{"n": 6, "all": 12}]
    assert (listed(), rapport("rejected", "summary", *place, "--json").json) == ([], [])


def test_an_unknown_refusal_is_told(rapport, data):
    for command in (("show", "zz"), ("replay", "zz"), ("discard", "zz")):
        ended = rapport("rejected", *command, "--data", data)
        assert ended.code == 1
        assert "rapport rejected list" in ended.err


# --- identifiers ------------------------------------------------------------------------------------------------------


def seen(number: int, time: str, **named: object) -> dict[str, object]:
    return {"type": "identify", "messageId": f"m{number}", "timestamp": time, "traits": {}, **named}


def found_suspects(rapport, data, *more):
    ended = rapport("doctor", "--data", data, "--json", *more)
    return [each["found"] for each in ended.json["findings"] if each["check"] == "identifiers"]


@pytest.mark.parametrize("backwards", [False, True])
def test_who_was_named_with_many_on_one_day_is_named_whatever_the_order(rapport, ndjson, tmp_path, backwards):
    """A day is one of UTC, by occurred_at: the last hour of the second number's day is the next one."""
    shared = [seen(n, "2026-03-02T10:00:00Z", anonymousId=f"a{n}", traits={"phone": "+4930901820"}) for n in range(21)]
    over_midnight = [
        seen(
            30 + n,
            f"2026-03-02T{23 if n % 2 else 1}:30:00-01:00",
            anonymousId=f"b{n}",
            traits={"phone": "+4930901821", "email": f"b{n}@x.example"},
        )
        for n in range(30)
    ]
    events = (shared + over_midnight)[:: -1 if backwards else 1]
    assert rapport("replay", ndjson("a.ndjson", *events), "--data", tmp_path / "d").code == 0
    assert found_suspects(rapport, tmp_path / "d") == [
        "on one day named with very many others: phone:+4930901820 with 21 anonymous_id on 2026-03-02"
    ]


@pytest.mark.parametrize(
    ("limit", "named"),
    [({"phone": 2}, True), ({"phone": 3}, False), ({"anonymous_id": 2}, False), ({"phone": 2, "email": 9}, True)],
)
def test_how_many_are_too_many_is_said_per_type(rapport, ndjson, tmp_path, limit, named):
    plan = tmp_path / "plan"
    plan.mkdir()
    types = ", ".join(f"{name}: {{suspect_above: {most}}}" for name, most in limit.items())
    (plan / "identity.yaml").write_text(f"types: {{{types}}}\n")
    events = [
        seen(n, "2026-03-02T10:00:00Z", anonymousId=f"a{n % 3}", traits={"phone": "+4930901820"}) for n in range(6)
    ]
    rapport("replay", ndjson("a.ndjson", *events), "--data", tmp_path / "d")
    (told,) = found_suspects(rapport, tmp_path / "d", "--plan", plan)
    assert ("phone:+4930901820 with 3 anonymous_id" in told) is named
    if named:
        assert rapport("identity", "quarantine", "phone:+4930901820", "--data", tmp_path / "d").code == 0
        (told,) = found_suspects(rapport, tmp_path / "d", "--plan", plan)
        assert "with" in told
        assert "phone" not in told


def test_what_earlier_versions_stored_otherwise_is_named(rapport, ndjson, tmp_path, monkeypatch):
    monkeypatch.setattr(identifiers, "is_placeholder", lambda _: False)
    monkeypatch.setattr(identifiers, "address_of", str.lower)
    events = [
        seen(1, "2026-03-02T10:00:00Z", anonymousId="a", traits={"email": "'Ann@x.example'"}),
        seen(2, "2026-03-02T10:00:00Z", userId="{{id}}", traits={"email": "ann@x.example"}),
        seen(3, "2026-03-02T10:00:00Z", userId="u-7", traits={"email": "bob@xn--exmple-cua.de"}),
    ]
    data = tmp_path / "d"
    assert rapport("replay", ndjson("a.ndjson", *events), "--data", data).code == 0
    monkeypatch.undo()
    respelled, blocked = found_suspects(rapport, data)
    assert respelled == (
        "stored in a spelling of earlier versions: email:'ann@x.example' (now email:ann@x.example),"
        " email:bob@xn--exmple-cua.de (now email:bob@exämple.de)"
    )
    assert blocked == "stored by earlier versions and dropped now: user_id:{{id}}"
    assert rapport("profile", "email:'ann@x.example'", "--data", data).code == 0
    assert rapport("identity", "merge", "email:'ann@x.example'", "email:ann@x.example", "--data", data).code == 0
    assert rapport("identity", "quarantine", "user_id:{{id}}", "--data", data).code == 0
    assert "dropped now" not in "".join(found_suspects(rapport, data))
