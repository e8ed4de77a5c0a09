"""Replay and import: what a run takes, says and leaves behind, however it ends."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from rapport.replay.sort import SCRATCH
from rapport.replay.sources import Source
from stream.core.plan import Plan
from stream.embedded.engine import Engine

RULES = """
rule: cart-left
title: A cart was left
owner: a@shop.example
status: live
purpose: marketing
when:
  event: Cart Updated
  not_followed_by: {event: Order Completed, same: cart_id}
  within: 3h
  key: cart_id
then:
  - {send: email, template: cart}
"""


def cart(number: int, at: str, event: str = "Cart Updated") -> dict[str, Any]:
    return {
        "type": "track",
        "event": event,
        "messageId": f"{event}-{number}-{at}",
        "userId": f"u{number}",
        "timestamp": at,
        "properties": {"cart_id": f"c{number}", "total": 80},
    }


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    folder = tmp_path / "plan"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "carts.yml").write_text(RULES)
    return folder


def test_a_second_replay_changes_nothing(rapport, ndjson, tmp_path):
    file = ndjson("a.ndjson", cart(1, "2026-03-02T10:00:00Z"), cart(2, "2026-03-02T11:00:00Z"), b"{broken")
    first = rapport("replay", file, "--data", tmp_path / "d", "--json")
    before = rapport("query", "FROM mart.dim_customer", "--data", tmp_path / "d", "--json").json
    second = rapport("replay", file, "--data", tmp_path / "d", "--json")

    assert (first.code, second.code) == (0, 0)
    assert {name: first.json[name] for name in ("read", "applied", "duplicate", "rejected", "profiles")} == {
        "read": 3,
        "applied": 2,
        "duplicate": 0,
        "rejected": 1,
        "profiles": 2,
    }
    assert (
        ",".join(first.json)
        == "read,applied,duplicate,rejected,profiles,merges,triggers,decisions,unreadable_amounts,seconds"
    )
    assert second.json["duplicate"] == 2
    assert second.json["profiles"] == 2
    assert rapport("query", "FROM mart.dim_customer", "--data", tmp_path / "d", "--json").json == before
    assert rapport("query", "SELECT count(*) AS n FROM mart.fct_rejected", "--data", tmp_path / "d", "--json").json == [
        {"n": 1}
    ]


def test_strict_turns_rejected_input_into_exit_1(rapport, ndjson, tmp_path):
    file = ndjson("a.ndjson", cart(1, "2026-03-02T10:00:00Z"), b"{broken")
    ended = rapport("replay", file, "--data", tmp_path / "d", "--strict", "--json")
    assert ended.code == 1
    assert ended.json["applied"] == 1
    assert "rapport rejected list" in ended.err


def test_old_events_are_told_about_with_the_way_out(rapport, ndjson, tmp_path, plan):
    file = ndjson("a.ndjson", cart(1, "2026-03-02T10:00:00Z"))
    ended = rapport("replay", file, "--data", tmp_path / "d", "--plan", plan)
    assert "1 events were too old" in ended.err
    assert "--clock events" in ended.err


@pytest.mark.parametrize("seed", range(3))
def test_the_events_clock_sorts_its_input(rapport, ndjson, tmp_path, plan, seed):
    events = [
        cart(number, f"2026-03-0{1 + number % 7}T{10 + hour}:00:00Z") for number in range(20) for hour in range(3)
    ]
    events += [cart(number, f"2026-03-0{1 + number % 7}T12:30:00Z", "Order Completed") for number in range(0, 20, 2)]
    random.Random(seed).shuffle(events)
    file = ndjson("a.ndjson", *events)
    ended = rapport(
        "replay", file, "--data", tmp_path / "d", "--plan", plan, "--clock", "events", "--until", "2026-04-01", "--json"
    )
    fired = rapport(
        "query", "SELECT run_key, fired_at FROM mart.fct_trigger ORDER BY ALL", "--data", tmp_path / "d", "--json"
    ).json

    assert ended.json["applied"] == len(events)
    assert {each["run_key"] for each in fired} == {f"c{number}" for number in range(1, 20, 2)}
    assert {each["fired_at"][11:] for each in fired} == {"13:00:00Z"}
    assert not (tmp_path / "d" / SCRATCH).exists()


def test_the_events_clock_stops_at_the_last_event_unless_told_to_go_on(rapport, ndjson, tmp_path, plan):
    file = ndjson("a.ndjson", cart(1, "2026-03-02T10:00:00Z"))
    base = ("replay", file, "--data", tmp_path / "d", "--plan", plan, "--clock", "events", "--json")
    assert rapport(*base).json["triggers"] == 0
    assert rapport(*base, "--until", "2026-03-02T12:59:59Z").json["triggers"] == 0
    assert rapport(*base, "--until", "2026-03-02T13:00:00Z").json["triggers"] == 1
    assert rapport(*base, "--until", "2026-03-03T13:00:00Z").json["triggers"] == 0


def test_what_a_broken_file_held_is_in_before_it_is_told(rapport, tmp_path):
    dice = random.Random(7)
    lines = b"".join(
        orjson.dumps({**cart(number, "2026-03-02T10:00:00Z"), "context": {"noise": dice.randbytes(99).hex()}}) + b"\n"
        for number in range(3_000)
    )
    whole = gzip.compress(lines)
    broken = tmp_path / "a.ndjson.gz"
    broken.write_bytes(whole[: len(whole) // 2])
    for clock in ("wall", "events"):
        ended = rapport("replay", broken, "--data", tmp_path / clock, "--clock", clock)
        assert ended.code == 1
        assert ended.err.count("\n") == 1
        assert "damaged or cut off" in ended.err
        count = rapport("query", "SELECT count(*) AS n FROM fct_event", "--data", tmp_path / clock, "--json").json[0][
            "n"
        ]
        assert 500 < count < 3_000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("replay", "missing.ndjson"), "no such file"),
        (("replay", "."), "is a folder"),
        (("replay", __file__, "--clock", "sun"), "wall or events"),
        (("replay", __file__, "--until", "2026-01-01"), "--clock events"),
        (("replay", __file__, "--until", "tomorrow", "--clock", "events"), "ISO 8601"),
        (("replay",), "Missing argument"),
        (("import", __file__), "--sql"),
        (("import", __file__, "--sql", "missing.sql"), "No such file"),
        (("query",), "write one query"),
        (("query", "SELECT 1", "--format", "xml"), "table, csv, json, parquet"),
        (("frobnicate",), "No such command"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_to_write(rapport, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    ended = rapport(*arguments)
    assert ended.code == 2
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == b""
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_one_clear_line(rapport, ndjson, tmp_path):
    file = ndjson("a.ndjson", cart(1, "2026-03-02T10:00:00Z"))
    with Engine.open(tmp_path / "d", Plan()):
        ended = rapport("replay", file, "--data", tmp_path / "d")
    assert ended.code == 1
    assert "in use" in ended.err
    assert ended.err.count("\n") == 1


def test_import_reads_a_table_by_sql(rapport, tmp_path):
    (tmp_path / "t.csv").write_text("who,what,sum\nann,Order Completed,12.50\nbob,Order Completed,7\n")
    (tmp_path / "t.sql").write_text(
        "SELECT 'track' AS type, what AS event, who AS user_id, TIMESTAMP '2026-03-02' AS timestamp,"
        " {'total': sum, 'currency': 'EUR'} AS properties FROM source"
    )
    arguments = ("import", tmp_path / "t.csv", "--sql", tmp_path / "t.sql", "--data", tmp_path / "d", "--json")
    assert rapport(*arguments).json["applied"] == 2
    assert rapport(*arguments).json["duplicate"] == 2
    found = rapport("profile", "user_id:ann", "--data", tmp_path / "d", "--json").json
    assert found["orders"]["revenue"] == {"EUR": "12.5"}


ODD = (
    {"order_id": "a", "revenue": "1,234", "currency": "EUR"},
    {"order_id": "b", "revenue": "1.234,50", "currency": "EUR"},
    {"order_id": "c", "total": {"amount": 5}, "currency": "EUR"},
    {"order_id": "d"},
)


def ordered(number: int, properties: dict[str, Any], event: str = "Order Completed") -> dict[str, Any]:
    at = f"2026-03-02T10:00:{number:02}Z"
    return {**cart(number, at, event), "userId": "ann", "properties": properties}


@pytest.mark.parametrize("clock", ["wall", "events"])
def test_amounts_that_cannot_be_read_are_told_once(rapport, ndjson, tmp_path, clock):
    file = ndjson("a.ndjson", *(ordered(number, properties) for number, properties in enumerate(ODD)))
    arguments = ("replay", file, "--data", tmp_path / "d", "--clock", clock)
    first = rapport(*arguments)
    assert "2 amounts of orders could not be read and count as unknown: rapport query 'FROM data_quality'" in first.err
    again = rapport(*arguments)
    assert again.code == 0
    assert "could not be read" not in again.err
    assert rapport(*arguments, "--json").json["unreadable_amounts"] == 0
    fresh = rapport("replay", file, "--data", tmp_path / "e", "--clock", clock, "--json").json
    assert fresh["unreadable_amounts"] == 2
    query = "SELECT field, value, event_name, order_id, source FROM data_quality"
    assert rapport("query", query, "--data", tmp_path / "d", "--json").json == [
        dict(zip(("field", "value", "event_name", "order_id", "source"), row, strict=True))
        for row in (
            ("revenue", "1,234", "Order Completed", "a", "a.ndjson"),
            ("total", '{"amount":5}', "Order Completed", "c", "a.ndjson"),
        )
    ]


def test_one_amount_that_cannot_be_read_is_one(rapport, tmp_path):
    (tmp_path / "o.csv").write_text("id,who,total\n1,ann,a lot\n2,ann,\n3,ann,5\n")
    (tmp_path / "o.sql").write_text(
        "SELECT 'track' AS type, 'Order Completed' AS event, who AS user_id,"
        " {'order_id': id, 'total': total, 'currency': 'EUR'} AS properties FROM source"
    )
    ended = rapport("import", tmp_path / "o.csv", "--sql", tmp_path / "o.sql", "--data", tmp_path / "d")
    assert ended.err.startswith("1 amount of orders could not be read")
    query = "SELECT order_id, revenue FROM fct_order ORDER BY 1"
    assert [list(row.values()) for row in rapport("query", query, "--data", tmp_path / "d", "--json").json] == [
        ["1", None],
        ["2", None],
        ["3", 5],
    ]


# --- endings from outside -------------------------------------------------------------------------------------------


def test_what_trickles_in_is_taken_as_it_comes():
    """A source that never falls silent for long would otherwise be held back until a whole batch is there."""

    def steady():
        for number in range(20):
            time.sleep(0.05)
            yield number

    source = Source("steady", lambda _intake, _seen: steady(), may_wait=True)
    batches = [list(batch.outcomes) for batch in source.batches(None, None)]
    assert [each for batch in batches for each in batch] == list(range(20))
    assert len(batches) > 2


def _started(*arguments: object) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-W", "error", "-m", "rapport", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)


def _applied(rapport, data: Path) -> int:
    ended = rapport("query", "SELECT count(*) AS n FROM fct_event", "--data", data, "--json")
    return ended.json[0]["n"] if ended.code == 0 else 0


def _has_taken(rapport, data: Path, events: int) -> bool:
    found = rapport("doctor", "--data", data, "--json").json["findings"]
    return any(each["check"] == "store" and each["found"].endswith(f", {events} events") for each in found)


@pytest.mark.parametrize(("asked", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_waiting_engine_commits_at_once_and_publishes_when_asked_to_stop(rapport, tmp_path, asked, code):
    process = _started("replay", "-", "--data", tmp_path / "d", "--json")
    assert process.stdin is not None
    process.stdin.write(b"".join(orjson.dumps(cart(number, "2026-03-02T10:00:00Z")) + b"\n" for number in range(7)))
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while not _has_taken(rapport, tmp_path / "d", 7):
        assert time.monotonic() < deadline, "seven lines on a pipe that stays open were not committed"
        time.sleep(0.1)
    process.send_signal(asked)
    assert process.wait(30) == code
    assert process.stdout is not None
    assert process.stderr is not None
    said = process.stderr.read().decode()
    assert orjson.loads(process.stdout.read())["applied"] == 7
    assert "Stopped." in said
    assert "Traceback" not in said
    assert "Fatal" not in said
    assert _applied(rapport, tmp_path / "d") == 7
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()


def test_a_reader_that_leaves_early_is_no_error(rapport, ndjson, tmp_path):
    file = ndjson("a.ndjson", *(cart(number, "2026-03-02T10:00:00Z") for number in range(2_000)))
    rapport("replay", file, "--data", tmp_path / "d")
    with _started("query", "FROM fct_event", "--format", "csv", "--data", tmp_path / "d") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr.read() == b""


@pytest.mark.parametrize("clock", ["wall", "events"])
def test_a_full_disk_is_one_clear_line_and_loses_nothing(rapport, ndjson, tmp_path, clock):
    """A limit on the size of a file fails writes halfway, as a full disk does."""
    file = ndjson("a.ndjson", *(cart(number, "2026-03-02T10:00:00Z") for number in range(3_000)))
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000));"
        "from rapport.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["replay", str(file), "--data", str(tmp_path / "d"), "--clock", clock]
    command = [sys.executable, "-c", limited, *arguments]
    ended = subprocess.run(command, capture_output=True, check=False, cwd=Path(__file__).parents[1])
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"rapport: ")
    assert ended.stderr.count(b"\n") == 1
    assert b"free some space" in ended.stderr
    again = rapport(*arguments, "--json").json
    assert again["applied"] + again["duplicate"] == 3_000
    assert _applied(rapport, tmp_path / "d") == 3_000
