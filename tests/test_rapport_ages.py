"""A store and a lake of different days: refused with nothing taken, explained, and set right by who says so.

And a folder that was deleted while it was written: the process ends and makes nothing anew.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rapport_shell import listing, start
from schemas.errors import DataFolderError
from schemas.instant import MINUTE, render
from schemas.messages import Event
from stream.clock import wall_now
from stream.core.intake import Intake
from stream.core.plan import Plan
from stream.embedded import ages
from stream.embedded.ages import DifferentDays
from stream.embedded.engine import Engine
from stream.embedded.reader import Reader
from stream.embedded.store import LAKE, STORE

RECENT = render(wall_now() - 60 * MINUTE)
"""Homes remember what is so new; here they never saw it."""


def identified(number: int) -> dict[str, object]:
    """Joins the e-mail with one more device."""
    return {
        "type": "identify",
        "messageId": f"m{number}",
        "userId": "ann",
        "anonymousId": f"a{number}",
        "timestamp": RECENT,
        "traits": {"email": "ann@example.com"},
    }


@pytest.fixture
def taken(rapport, ndjson, tmp_path) -> Callable[..., dict]:
    """Takes these numbers into the folder and says what became of them."""

    def take(*numbers: int) -> dict:
        file = ndjson("a.ndjson", *map(identified, numbers))
        ended = rapport("replay", file, "--data", tmp_path / "d", "--json")
        assert ended.code == 0, ended.err
        return ended.json

    return take


def _deleted(data: Path, part: str) -> None:
    shutil.rmtree(data / part)


def _older(data: Path, part: str) -> None:
    shutil.rmtree(data / part)
    shutil.copytree(data.with_name(f"{part} of yesterday"), data / part)


@pytest.mark.parametrize("spoil", [_deleted, _older])
@pytest.mark.parametrize("older", [STORE, LAKE])
def test_parts_of_different_days_are_refused_until_the_offsets_are_set(rapport, ndjson, taken, tmp_path, older, spoil):
    data = tmp_path / "d"
    taken(0)
    for part in (STORE, LAKE):
        shutil.copytree(data / part, tmp_path / f"{part} of yesterday")
    taken(1, 2)
    spoil(data, older)
    lacking = 2 if spoil is _older else 3
    newer = LAKE if older == STORE else STORE
    before = listing(data)

    for command in (("replay", ndjson("b.ndjson", identified(7))), ("publish",), ("compact",)):
        refused = rapport(*command, "--data", data)
        assert (refused.code, refused.out) == (1, b""), command
        assert f"the {newer} is newer, by {lacking} events" in refused.err
        assert "rapport doctor --set-offsets --data" in refused.err
    assert {path for path, (_, content) in listing(data).items() if content != before.get(path, (0, b""))[1]} <= {
        path
        for path in listing(data)
        if path.startswith("store/")  # RocksDB opens and closes it
    }
    told = rapport("doctor", "--data", data, "--json")
    (found,) = (each for each in told.json["findings"] if each["check"] == "store")
    assert (told.code, found["verdict"]) == (1, "fail")
    assert f"the {newer} is newer, by {lacking} events" in found["found"]
    assert "--set-offsets" in found["advice"]

    told = rapport("doctor", "--set-offsets", "--data", data, "--json")
    assert told.code == 0, told.text
    found = [each["found"] for each in told.json["findings"] if each["check"] == "offsets"]
    who, knows = ("customers", "the tables") if older == STORE else ("the tables", "customers")
    assert f"{who} lack {lacking} events that {knows} know" in found
    assert rapport("doctor", "--set-offsets", "--data", data, "--json").json["findings"][0]["verdict"] == "ok"

    again = taken(0, 1, 2, 7)
    assert (again["applied"], again["duplicate"]) == (1, 3)
    tables = 4 if older == STORE else 4 - lacking
    asked = "SELECT count(*) AS events, count(DISTINCT message_id) AS ids FROM fct_event"
    assert rapport("query", asked, "--data", data, "--json").json == [{"events": tables, "ids": tables}]
    customer = rapport("profile", "user_id:ann", "--data", data, "--json").json["event_count"]
    assert customer == (4 - lacking if older == STORE else 4)
    numbers = rapport("query", "SELECT decision FROM raw.identity", "--data", data, "--json").json
    assert len({each["decision"] for each in numbers}) == len(numbers)
    assert [
        each for each in rapport("doctor", "--data", data, "--json").json["findings"] if each["verdict"] != "ok"
    ] == []


class Killed(BaseException):
    pass


def events(*numbers: int) -> list[Event]:
    import orjson

    lines = [orjson.dumps(identified(number)) for number in numbers]
    return [each for each in Intake(Plan(), lambda: 10**15).lines(lines, "x") if isinstance(each, Event)]


def test_outputs_that_wait_in_the_store_reach_a_lake_that_was_lost(rapport, tmp_path):
    with Engine.open(tmp_path, Plan()) as engine:
        engine.take(events(0, 1))
        engine.publish()
    with pytest.raises(Killed), Engine.open(tmp_path, Plan()) as engine:  # noqa: PT012
        engine.take(events(2, 3))
        raise Killed
    shutil.rmtree(tmp_path / LAKE)
    with pytest.raises(DifferentDays, match="the store is newer, by 2 events"):
        Engine.open(tmp_path, Plan())
    assert rapport("doctor", "--set-offsets", "--data", tmp_path).code == 0
    with Engine.open(tmp_path, Plan()) as engine:
        engine.take(events(4))
        assert engine.publish().events == 3


def test_where_nothing_is_nothing_is_set(rapport, tmp_path):
    assert rapport("doctor", "--set-offsets", "--data", tmp_path / "none").code == 1
    assert not (tmp_path / "none").exists()


def test_a_look_beside_a_run_that_writes_finds_nothing_wrong(tmp_path):
    """The run goes on between the looks at the lake and at the store."""
    with Engine.open(tmp_path, Plan()) as engine:
        engine.take(events(0))
        engine.flush()
        before = ages.ends(tmp_path / LAKE)
        engine.take(events(1))
        with Reader.open(tmp_path) as reader:
            engine.take(events(2))
            engine.flush()
            assert reader.gaps(before) == []


# --- deleted while it is written --------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["take", "publish", "advance"])
def test_an_engine_makes_no_folder_anew(tmp_path, what):
    data = tmp_path / "d"
    with pytest.raises(DataFolderError, match="deleted or moved"), Engine.open(data, Plan()) as engine:  # noqa: PT012
        engine.take(events(0))
        shutil.rmtree(data)
        {"take": lambda: engine.take(events(1)), "publish": engine.publish, "advance": lambda: engine.advance(1)}[
            what
        ]()
    assert not data.exists()


def test_a_run_over_a_pipe_ends_with_a_sentence(tmp_path):
    import orjson

    data = tmp_path / "d"
    with start("replay", "-", "--data", data, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(orjson.dumps(identified(0)) + b"\n")
        process.stdin.flush()
        while not any(log.stat().st_size for log in (data / STORE).glob("*.log")):  # the event is committed
            assert process.poll() is None
        shutil.rmtree(data)
        said = process.stderr.read().decode()
        assert process.wait(60) == 1
    assert "Traceback" not in said
    assert "was deleted or moved while it was written" in said
    assert not data.exists()
