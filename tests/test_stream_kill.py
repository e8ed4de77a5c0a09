"""kill -9 at chosen moments of a replay and at a drawn one, then the same command again: as if nothing had happened."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from rapport.demo.shop import START, Month
from rapport_shell import ALWAYS_WALL, ROOT, SHOP, WALL_TIMES, assert_same, ran, ran_as, start, tables
from schemas.instant import DAY, HOUR, MINUTE, parse, render
from stream_scenarios import stored_profiles

KILLED = (sys.executable, str(ROOT / "tests" / "killed.py"))
MOMENTS = (
    ("commit", 1, "before"),
    ("commit", 1, "after"),
    ("commit", 3, "after"),
    ("*.parquet", 1, "before"),
    ("*.parquet", 7, "after"),
    ("facts-0.json", 1, "before"),
    ("facts-0.json", 1, "after"),
    ("rapport.duckdb", 1, "before"),
)
"""Write, which of its kind in this process, and the side of it on which the process dies (`killed`)."""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of the shop: 15,000 events."""
    path = tmp_path_factory.mktemp("input") / "history.ndjson"
    path.write_bytes(b"\n".join(Month(1).lines()))
    return path


@pytest.fixture(scope="module")
def recent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same squeezed into the last days, so that rules act on the wall clock, too.

    The first half lies so far back that its timers of a day or less are over, the second so close that none of its
    timers is due while the test lasts; nothing lies near the border of what is late.
    """
    now = time.time_ns() // 1_000

    def moved(at: int) -> int:
        past = at - START
        return now - 60 * HOUR + past // 36 if past < 15 * DAY else now - 45 * MINUTE + (past - 15 * DAY) // 1_080

    path = tmp_path_factory.mktemp("input") / "recent.ndjson"
    with path.open("wb") as out:
        for line in Month(1).lines():
            out.write(_at(line, moved) + b"\n")
    return path


def _at(line: bytes, moved: Any) -> bytes:
    try:
        call = orjson.loads(line)
        call["timestamp"] = render(moved(parse(call["timestamp"])))
    except (ValueError, KeyError):
        return line
    return orjson.dumps(call)


def _kill_at_each_moment(*command: object) -> None:
    """Starts the command again and again; each time it gets as far as the moment."""
    for moment in MOMENTS:
        ended = ran_as(KILLED, *moment, *command)
        assert "Traceback" not in ended.err, ended.err
        assert ended.code == -signal.SIGKILL, (moment, ended.err)


def _kill_somewhere(data: Path, after: float, *command: object) -> None:
    """Kills the command from outside, so many seconds after it has opened its folder."""
    process = start(*command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not (data / "layout").exists():
        time.sleep(0.01)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert b"Traceback" not in said, said.decode()
    assert process.returncode in (-signal.SIGKILL, 0), said.decode()


@pytest.mark.parametrize("clock", ["wall", "events"])
def test_kills_leave_no_trace(clock, request, tmp_path):
    """Set RAPPORT_SEED to repeat the drawn moment of another run."""
    seed = int(os.environ.get("RAPPORT_SEED", secrets.randbelow(10_000)))
    print(f"RAPPORT_SEED={seed}")
    source = request.getfixturevalue("history" if clock == "events" else "recent")
    options = ("--plan", SHOP, "--clock", clock, "--json")
    undisturbed = ran("replay", source, "--data", tmp_path / "undisturbed", *options)
    assert undisturbed.code == 0, undisturbed.err
    assert undisturbed.json["triggers"] > 500

    command = ("replay", source, "--data", tmp_path / "killed", *options)
    _kill_somewhere(tmp_path / "killed", random.Random(seed).uniform(0, 1), *command)
    _kill_at_each_moment(*command)
    last = ran(*command)
    assert last.code == 0, last.err
    assert last.json["profiles"] == undisturbed.json["profiles"]
    assert last.json["read"] == last.json["applied"] + last.json["duplicate"] + last.json["rejected"]

    without = WALL_TIMES if clock == "wall" else ALWAYS_WALL
    assert_same(tables(tmp_path / "killed", without), tables(tmp_path / "undisturbed", without))
    assert stored_profiles(tmp_path / "killed") == stored_profiles(tmp_path / "undisturbed")
    assert ran("doctor", "--data", tmp_path / "killed", "--json").json["ok"]


@pytest.mark.parametrize(("asked", "code", "clock"), [(signal.SIGTERM, 143, "wall"), (signal.SIGINT, 130, "events")])
def test_a_run_that_is_asked_to_stop_publishes_what_it_took(history, tmp_path, asked, code, clock):
    command = ("replay", history, "--data", tmp_path, "--plan", SHOP, "--clock", clock, "--json")
    process = start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (tmp_path / "layout").exists():
        time.sleep(0.05)
    time.sleep(0.8)
    process.send_signal(asked)
    out, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in said
    assert b"run the same command again" in said
    taken = orjson.loads(out)
    assert taken["read"] == taken["applied"] + taken["duplicate"] + taken["rejected"]
    published = tables(tmp_path)
    assert len(published["fct_event"]) == taken["applied"]
    assert len(published["dim_customer"]) == taken["profiles"]
    assert len(published["fct_trigger"]) == taken["triggers"]

    again = ran(*command)
    assert again.code == 0
    assert len(tables(tmp_path)["fct_event"]) == taken["applied"] + again.json["applied"]
    assert again.json["applied"] + again.json["duplicate"] + again.json["rejected"] == again.json["read"]
