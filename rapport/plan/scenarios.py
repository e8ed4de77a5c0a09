"""The tests beside a plan's rules: stories of timed events and what rules must have decided by the end of them.

    scenario: a cart that is left is remembered          # what it shows, in a sentence
    events:                                              # calls as they are sent, each with the time when it comes
      - {at: "2026-03-02T10:00:00Z", event: Cart Updated, userId: ann, properties: {cart_id: c1, total: 80}}
    until: "2026-03-03T00:00:00Z"                        # time goes on until then
    expect:
      decisions:                                         # all that are decided, each as far as it is told
        - {rule: cart-reminder, run_key: c1, verdict: shadow, at: "2026-03-02T13:20:00Z"}

A call is a `track` unless `type` says otherwise; without a `messageId` it is called m1, m2 ... by its place. A story is
played by the embedded engine on the events clock, as `rapport replay --clock events` would, in a folder of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pyarrow as pa

from rapport.plan.files import TESTS, content, yaml_files
from schemas import instant
from schemas.errors import Problem
from schemas.messages import Event, Rejected
from schemas.yaml.reader import PlanReader, raise_if_any, suggestion
from schemas.yaml.strict import Node, load, shown, value_of
from schemas.yaml.strict import Sequence as SequenceNode
from sinks.lake import manifest, parquet
from stream.core.intake import Intake, at
from stream.core.plan import Plan
from stream.embedded.engine import Engine
from stream.embedded.store import LAKE

SCENARIO = ("scenario", "events", "until", "expect")
DECISION = ("rule", "run_key", "verdict", "at")

Decision = Mapping[str, str]
"""What is told of a decision, under keys of `DECISION`; `at` in the form of `instant.render`."""


@dataclass(frozen=True, slots=True)
class Scenario:
    file: str
    line: int
    title: str
    events: tuple[Event, ...]
    """In order of the time when they come, which is their `now`."""
    until: int
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a scenario: it came true where both lists are empty."""

    scenario: Scenario
    missing: tuple[Decision, ...]
    """Expected, and not decided."""
    unexpected: tuple[Decision, ...]
    """Decided, and not expected."""

    @property
    def ok(self) -> bool:
        return not self.missing and not self.unexpected


def scenarios(folder: Path, plan: Plan) -> list[Scenario]:
    """Those of a plan folder, in the order of their files. Raises PlanError with every problem of every file."""
    problems: list[Problem] = []
    found: list[Scenario] = []
    for path in yaml_files(folder / TESTS, problems):
        text = content(path, problems)
        before = len(problems)
        nodes = load(text, str(path), problems) if text is not None else []
        if text is not None and not nodes and len(problems) == before:
            problems.append(Problem(str(path), 0, 0, "The file holds no test; write one, or remove it."))
        for node in nodes:
            scenario = _scenario(PlanReader(str(path), problems), node, plan)
            if scenario is not None:
                found.append(scenario)
    raise_if_any(problems)
    return found


def tried(scenario: Scenario, plan: Plan) -> Verdict:
    """Plays a scenario and compares."""
    decided = _decided(scenario, plan)
    pairs = _paired(scenario.decisions, decided)
    missing = tuple(each for place, each in enumerate(scenario.decisions) if place not in pairs)
    unexpected = tuple(each for place, each in enumerate(decided) if place not in pairs.values())
    return Verdict(scenario, missing, unexpected)


# --- reading --------------------------------------------------------------------------------------------------------


def _scenario(reader: PlanReader, node: Node, plan: Plan) -> Scenario | None:
    before = reader.found
    found = reader.mapping(node, "a test", SCENARIO, SCENARIO) or {}
    title = reader.text(found["scenario"], "scenario", 1_000) if "scenario" in found else None
    until = _time(reader, found["until"], "until") if "until" in found else None
    calls = _calls(reader, found["events"]) if "events" in found else []
    decisions = _decisions(reader, found["expect"], plan) if "expect" in found else []
    last = max((now for now, *_ in calls), default=0)
    if until is not None and until < last:
        reader.problem(
            found["until"], f"until is before the last event, at {instant.render(last)}; write a later time."
        )
    if reader.found > before or title is None or until is None:
        return None
    events = _events(reader, sorted(calls, key=lambda call: call[:2]), until, plan)
    if reader.found > before:
        return None
    return Scenario(reader.file, node.line, title, tuple(events), until, tuple(decisions))


def _time(reader: PlanReader, node: Node, what: str) -> int | None:
    text = reader.text(node, what)
    try:
        return None if text is None else instant.parse(text)
    except ValueError:
        reader.problem(node, f'{what} is `{shown(text or "")}`; it must be a time like "2026-03-02T10:00:00Z".')
        return None


_Call = tuple[int, int, dict[str, Any], Node]
"""When it comes, its place among the events of its story, its fields, and where it stands."""


def _calls(reader: PlanReader, node: Node) -> list[_Call]:
    calls: list[_Call] = []
    for place, item in enumerate(reader.items(node, "events") or (), 1):
        entries = reader.entries(item, "an event")
        if entries is None:
            continue
        if "at" not in entries:
            reader.problem(item, "`at` is missing in an event: the time when it comes; add it.")
            continue
        now = _time(reader, entries["at"][1], "at")
        body = {name: value_of(value) for name, (_, value) in entries.items() if name != "at"}
        if now is not None:
            own = {"type": "track", "messageId": f"m{place}", "timestamp": instant.render(now), **body}
            calls.append((now, place, own, item))
    return calls


def _events(reader: PlanReader, calls: Sequence[_Call], until: int, plan: Plan) -> list[Event]:
    """The calls as a run takes them in; what it would reject is a problem."""
    intake = Intake(plan, lambda: until + instant.SECOND)
    events: list[Event] = []
    for now, place, body, node in calls:
        try:
            line = orjson.dumps(body)
        except TypeError as error:
            reader.problem(node, f"the event cannot be sent: {error}.")
            continue
        for accepted in intake.lines([line], reader.file):
            if isinstance(accepted, Rejected):
                reader.problem(node, f"the event would be rejected ({accepted.code}): {accepted.expectation}.")
            elif accepted.occurred_at > now:
                reader.problem(
                    node, "the event occurred after it came; write an earlier time of the event, or a later `at`."
                )
            else:
                events.append(at(accepted, now)._replace(sequence=place))
    return events


def _decisions(reader: PlanReader, node: Node, plan: Plan) -> list[Decision]:
    found = reader.mapping(node, "expect", ("decisions",), ("decisions",)) or {}
    listed = found.get("decisions")
    if listed is None:
        return []
    if not isinstance(listed, SequenceNode):
        reader.items(listed, "decisions")
        return []
    names = [rule.name for rule in plan.rules.rules]
    return [_decision(reader, item, names) for item in listed.items]


def _decision(reader: PlanReader, node: Node, names: Sequence[str]) -> Decision:
    found = reader.mapping(node, "a decision", DECISION, ("rule",)) or {}
    told = {name: reader.text(value, name, 1_000) or "" for name, value in found.items() if name != "at"}
    if told.get("rule") and told["rule"] not in names:
        reader.problem(
            found["rule"], f"the plan has no rule `{shown(told['rule'])}`. {suggestion(told['rule'], names)}"
        )
    moment = _time(reader, found["at"], "at") if "at" in found else None
    return told if moment is None else {**told, "at": instant.render(moment)}


# --- playing --------------------------------------------------------------------------------------------------------


def _decided(scenario: Scenario, plan: Plan) -> list[Decision]:
    with TemporaryDirectory(prefix="rapport-test-") as folder:
        data = Path(folder) / "data"
        with Engine.open(data, plan) as engine:
            engine.take(scenario.events)
            engine.advance(scenario.until, stepwise=True)
            engine.flush()
        rows = [row for each in manifest.load_all(data / LAKE, "decisions") for row in _rows(data / LAKE, each.files)]
    rows.sort(key=lambda row: (row["at"], row["rule"], row["run_key"]))
    return [{**row, "at": instant.render(row["at"])} for row in rows]


def _rows(lake: Path, files: Sequence[manifest.DataFile]) -> list[dict[str, Any]]:
    if not files:
        return []
    table = parquet.read(lake, "decisions", files).select(["rule", "run_key", "verdict", "decided_at"])
    table = table.set_column(3, "at", table["decided_at"].cast(pa.int64()))
    return list(table.to_pylist())


def _paired(expected: Sequence[Decision], decided: Sequence[Decision]) -> dict[int, int]:
    """Expected -> decided, by their places: as many pairs as there can be, each decision in one of them."""
    taken: dict[int, int] = {}

    def find(place: int, tried: set[int]) -> bool:
        for other, decision in enumerate(decided):
            if other not in tried and expected[place].items() <= decision.items():
                tried.add(other)
                if other not in taken or find(taken[other], tried):
                    taken[other] = place
                    return True
        return False

    for place in range(len(expected)):
        find(place, set())
    return {place: other for other, place in taken.items()}
