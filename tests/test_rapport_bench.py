"""The benchmark measures what it says, and looking changes nothing. No test here asks how fast anything is."""

from __future__ import annotations

from typing import Any

from rapport.bench.events import mixed_events
from rapport.bench.pipeline import Measured, Stages, pipeline
from rapport.bench.report import MANY_STRANGERS, STANDARD, STRANGERS, rendered
from rapport.plan import folder as plan_folder
from rapport_shell import SHOP
from schemas.instant import HOUR, parse
from stream.core.intake import Intake, at
from stream.embedded.engine import Engine

PLAN = plan_folder.load(SHOP)
START = parse("2026-03-02T10:00:00Z")
CUSTOMERS = 100
EVENTS = 4 * CUSTOMERS


def _measured(folder: Any) -> tuple[Engine, Measured]:
    lines = folder / "events.ndjson"
    lines.write_bytes(b"".join(line + b"\n" for line in mixed_events(EVENTS, CUSTOMERS, START, visitors=True)))
    stages = Stages()
    with Engine.open(folder / "data", PLAN, stages) as engine:
        return engine, pipeline(engine, stages, PLAN, lines, lambda: START + HOUR, by_event_time=True)


def test_strangers_are_merged_once_they_say_who_they_are(tmp_path):
    engine, measured = _measured(tmp_path)
    assert measured.events == EVENTS == engine.counts.applied
    assert 0.6 < measured.merges / CUSTOMERS < 1.0


def test_every_stage_of_a_run_is_watched(tmp_path):
    _, measured = _measured(tmp_path)
    assert set(measured.stages) == {"accept", "step", "encode rows", "columns", "write", "parquet"}
    assert all(seconds > 0 for seconds in measured.stages.values())
    assert measured.row_bytes > 0


def test_a_watched_engine_does_what_another_does(tmp_path):
    engine, _ = _measured(tmp_path)
    lines = mixed_events(EVENTS, CUSTOMERS, START, visitors=True)
    with Engine.open(tmp_path / "other", PLAN) as other:
        accepted = Intake(PLAN, lambda: START + HOUR).lines(lines, "bench")
        other.take(at(each, each.occurred_at) for each in accepted)
    assert other.counts == engine.counts


def _times(rate: float, warm: float = 20_000.0, memory: float = 400.0) -> dict[str, Any]:
    stages = dict.fromkeys(("accept", "step", "encode rows", "columns", "write", "parquet"), 1.0)
    one = {"events": 1_000, "rate": rate, "stages": stages, "memory": memory, "from_disk": 0.0, "row_bytes": 1}
    one |= {"triggers": 1, "merges": 200}
    return {"rules": 11, "floor": 50_000.0, "mixed": one, "warm": one | {"rate": warm}, "first": one}


def test_the_page_begins_with_strangers_and_their_goals():
    runs = {STRANGERS: (1_000, 250, 0), STANDARD: (1_000, 250, 250), MANY_STRANGERS: (5_000, 1_250, 0)}
    found = {STRANGERS: [_times(8_000)], STANDARD: [_times(20_000)], MANY_STRANGERS: [_times(6_000, memory=890)]}
    page = rendered(found, runs, "a machine").splitlines()
    goals = page[page.index("| | goal | measured |") :]
    assert goals[2:6] == [
        "| strangers, beside the warm rate of the same process | 0.6 | 0.40 |",
        "| 1,000 events of strangers, beside warm | 0.6 | 0.30 |",
        "| their rate beside that of a fifth of them | 0.9 | 0.75 |",
        "| their memory | 600 MB | 890 MiB |",
    ]
    table = next(number for number, line in enumerate(page) if line.startswith("| run |"))
    assert page[table + 2].startswith("| Strangers | 1,000 | 250 | 8,000 | 8,000 to 8,000 | 20,000 | 50,000 | 0.16 |")
