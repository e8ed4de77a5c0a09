"""Scenarios: what happens to customers, as YAML, and what must come of it; every runner plays the same file.

    scenario: Her anonymous visits are hers once she signs in      # the title
    clock: events                    # or wall, the default: a timer fires when the next thing happens
    plan: examples/shop              # or {identity: {...}, rules: [{rule: ..., when: ...}]}; none: the defaults
    events:
      - {at: 2026-03-02T10:00, page: Home, anonymousId: a1, channel: web}
      - {at: 2026-03-02T10:05, identify: {email: ann@x.example}, anonymousId: a1, userId: ann}
      - {at: 2026-03-02T10:06, again: m1}                        # message m1 once more
      - {at: 2026-03-05T10:00, occurred: 2026-03-01T10:00, track: Order Completed, userId: ann}
      - {at: 2026-03-06T10:00, split: [[user_id:ann], [anonymous_id:a1]]}
      - {at: 2026-03-06T11:00, unsplit: [user_id:ann, anonymous_id:a1]}       # or merge, of two as well
      - {at: 2026-03-06T12:00, quarantine: [phone:+49301, [user_id:ann, email:a@x.example]]}   # and groups that stay
      - {at: 2026-03-06T13:00, release: "phone:+49301"}
      - {at: 2026-03-07T10:00, wait: true}                       # nothing comes, but time has passed
    expect:
      profiles: {user_id:ann: {events: {page: 1}}}               # by root; all there are, each as far as it is told
      merges: [[user_id:ann, anonymous_id:a1]]                   # winner, loser
      refusals: [[user_id:ann, user_id:bob, unique_user_id]]     # the pair that was asked about, and why
      splits: [[user_id:ann, anonymous_id:a1]]                   # who stayed, who left
      others: [[quarantine, user_id:ann, phone:+49301]]          # any other kind: who stayed, who left
      triggers: [{at: 2026-03-02T13:00, rule: cart, profile: user_id:ann, run_key: c1}]
      decisions: [{at: 2026-03-02T13:00, rule: quiet, verdict: shadow}]     # those that are not `fired`
      counts: {duplicate: 1, rejected: 0}

The word that says what a call is holds its main part: a track's event, a page's name, identify's traits, a group's id,
an alias's previousId. `email` and `phone` go to context.traits, everything else into the call as it is. Message ids
are m1, m2 ... by place. What `expect` leaves out must not have happened.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import orjson
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor

from profiles import view
from profiles.rows import Rows, Store
from profiles.settings import DEFAULT, load_identity
from rapport.plan import folder as plan_folder
from rules.evaluator import RuleSet
from rules.load import load_rules
from schemas.instant import parse, render
from schemas.keys import profile_id
from schemas.messages import ByHand, EndQuarantine, Event, Merge, Quarantine, Rejected, Split, Unsplit
from stream.core.effects import Effects
from stream.core.intake import Intake, at
from stream.core.plan import Plan
from stream.embedded.engine import Engine
from stream.embedded.store import PUBLISHED, LocalStore
from stream.simulation.simulator import Simulator

HERE = Path(__file__).parent
CALLS = {
    "track": "event",
    "page": "name",
    "screen": "name",
    "identify": "traits",
    "group": "groupId",
    "alias": "previousId",
}
RULE = {"owner": "tests@shop.example", "status": "live", "purpose": "marketing"}
BY_HAND: dict[str, Callable[[Any, int], ByHand]] = {
    "split": lambda told, at: Split(tuple(told[0]), tuple(told[1]), at),
    "unsplit": lambda told, at: Unsplit(*told, at),
    "merge": lambda told, at: Merge(*told, at),
    "quarantine": lambda told, at: Quarantine(told[0], tuple(map(tuple, told[1:])), at),
    "release": EndQuarantine,
}
REPLAYED_AT = parse("2030-01-01")
"""Wall time of a run on the events clock."""


@dataclass(frozen=True)
class Wait:
    """Nothing comes, but time has passed."""

    at: int


Item = Event | Rejected | ByHand | Wait


@dataclass(frozen=True)
class Scenario:
    title: str
    plan: Plan
    stepwise: bool
    """The events clock: every timer fires at its own time."""
    items: tuple[Item, ...]
    expect: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """All that a run of a scenario came to, comparable across runners."""

    profiles: dict[str, dict[str, Any]]
    """Root -> `profiles.view.profile`."""
    triggers: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    identity: list[tuple[str, ...]]
    """(kind, winner, loser, a, b, reason), in order of their numbers."""
    counts: dict[str, int]


# --- reading --------------------------------------------------------------------------------------------------------


def files() -> list[Path]:
    return sorted((HERE / "scenarios").glob("*.yaml"))


def load(path: Path) -> Scenario:
    told = _yaml().load(path)
    unknown = told.keys() - {"scenario", "about", "clock", "plan", "events", "expect"}
    assert not unknown, f"{path.name}: unknown keys {unknown}"
    plan = _plan(told.get("plan", {}))
    stepwise = {"wall": False, "events": True}[told.get("clock", "wall")]
    items = tuple(_items(told["events"], plan, stepwise))
    return Scenario(told["scenario"], plan, stepwise, items, told["expect"])


class _Constructor(SafeConstructor):
    """Times stay the text they are written as."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _Constructor.construct_yaml_str)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return yaml


def _plan(told: Any) -> Plan:
    if isinstance(told, str):
        return replace(plan_folder.load(HERE.parent / told), allow_late_input=0)
    identity = load_identity(orjson.dumps(told["identity"]), "identity.yaml") if "identity" in told else DEFAULT
    rules = {f"{rule['rule']}.yaml": orjson.dumps({**RULE, **rule}) for rule in told.get("rules", ())}
    return Plan(identity, load_rules(rules) if rules else RuleSet(), allow_late_input=0)


def _items(told: list[dict[str, Any]], plan: Plan, stepwise: bool) -> Iterator[Item]:
    bodies: dict[str, dict[str, Any]] = {}
    for number, each in enumerate(told, 1):
        now = parse(each.pop("at"))
        if "wait" in each:
            yield Wait(now)
        elif hand := each.keys() & BY_HAND.keys():
            (word,) = hand
            yield BY_HAND[word](each[word], now)
        else:
            body = bodies[each["again"]] if "again" in each else _body(each, now, f"m{number}")
            bodies[body["messageId"]] = body
            for found in accepted([(now, body)], plan, stepwise):
                yield found._replace(sequence=number) if isinstance(found, Event) else found


def _body(told: dict[str, Any], now: int, id_: str) -> dict[str, Any]:
    (type_,) = told.keys() & CALLS.keys()
    body = {"type": type_, CALLS[type_]: told.pop(type_), "messageId": told.pop("id", id_)}
    body["timestamp"] = told.pop("occurred", render(now))
    context = told.pop("context", {})
    if traits := {name: told.pop(name) for name in ("email", "phone") if name in told}:
        context = {**context, "traits": traits}
    if "channel" in told:
        context = {**context, "channel": told.pop("channel")}
    return {**body, **told, "context": context}


def accepted(sent: list[tuple[int, dict[str, Any]]], plan: Plan, stepwise: bool = False) -> Iterator[Event | Rejected]:
    """Calls as a run takes them in, each when the clock shows what stands beside it."""
    for now, body in sent:
        intake = Intake(plan, lambda: REPLAYED_AT if stepwise else now)  # noqa: B023 - used up in this round
        for each in intake.lines([orjson.dumps(body)], "scenario"):
            yield at(each, now) if isinstance(each, Event) else each


# --- runners --------------------------------------------------------------------------------------------------------


class Told(Engine):
    """Keeps what its commits emit in `made`."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.made = Effects()

    def commit(self) -> None:
        self._columns_of_facts()
        self.made.add(self._home.effects)
        super().commit()

    def _columns_of_facts(self) -> None:
        self.made.facts += self._home.effects.facts
        super()._columns_of_facts()


def embedded(scenario: Scenario, folder: Path, size: int) -> Outcome:
    """The embedded engine, taking runs of `size` inputs; on the wall clock one by one, as from a pipe."""
    with Told.open(folder, scenario.plan) as engine:
        _live(engine, scenario, size)
    return outcome_of(stored_profiles(folder), engine.made)


def published(scenario: Scenario, folder: Path) -> Outcome:
    """The same with all inputs in one run, as the published tables tell it."""
    with Engine.open(folder, scenario.plan) as engine:
        _live(engine, scenario, sys.maxsize)
        engine.publish()
        counts = engine.counts
    figures = {"applied": counts.applied, "duplicate": counts.duplicate, "rejected": counts.rejected}
    with duckdb.connect(str(folder / PUBLISHED), read_only=True) as mart:
        outputs = {name: _fetched(mart, sql) for name, sql in OUTPUTS.items()}
    return Outcome(
        profiles=stored_profiles(folder),
        triggers=_sorted({**each, "payload": orjson.loads(each["payload"])} for each in outputs["triggers"]),
        decisions=_sorted(outputs["decisions"]),
        identity=[tuple(each.values()) for each in outputs["identity"]],
        counts=figures,
    )


def _live(engine: Engine, scenario: Scenario, size: int) -> None:
    for group, items in groupby(scenario.items, key=lambda item: isinstance(item, Event | Rejected)):
        found = list(items)
        if group:
            for start in range(0, len(found), size if scenario.stepwise else 1):
                if not scenario.stepwise:
                    engine.advance(_now(found[start]))
                engine.take(found[start : start + (size if scenario.stepwise else 1)])
        else:
            for item in found:
                if isinstance(item, Wait):
                    engine.advance(item.at, stepwise=scenario.stepwise)
                else:
                    engine.ask(item)


def _now(each: Event | Rejected) -> int:
    return each.now if isinstance(each, Event) else each.rejected_at


OUTPUTS = {
    "triggers": "SELECT trigger_id, rule, profile_id, run_key, action, payload, epoch_us(fired_at) AS at,"
    " epoch_us(event_at) AS event_at FROM mart.fct_trigger",
    "decisions": "SELECT rule, profile_id, run_key, message_id, verdict, epoch_us(decided_at) AS at"
    " FROM mart.fct_rule_decision",
    "identity": "SELECT kind, coalesce(winner_identifier, ''), coalesce(loser_identifier, ''), a, b, reason"
    " FROM mart.fct_identity_decision WHERE decision IS NOT NULL ORDER BY decision",
}


def _fetched(mart: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    found = mart.execute(sql)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def stored_profiles(folder: Path) -> dict[str, dict[str, Any]]:
    """Root -> `profiles.view.profile` of a data folder that nobody writes."""
    store = LocalStore(folder, read_only=True)
    try:
        return profiles_in(store)
    finally:
        store.release()


def profiles_in(store: Store) -> dict[str, dict[str, Any]]:
    """Root -> `profiles.view.profile` of the rows in a store."""
    rows = Rows(store)
    found = [rows.find(key[1:].decode()) for key, _ in store.scan(b"i")]
    return {row.key: view.profile(rows, row) for row in found if row is not None and row.to is None}


def simulated(scenario: Scenario, partitions: int = 4) -> Outcome:
    """Several lanes in memory, in the order of the scenario."""
    simulator = played(scenario, partitions)
    return outcome_of(simulator.profiles(), simulator.outputs)


def played(scenario: Scenario, partitions: int) -> Simulator:
    """A simulator that has taken a scenario."""
    simulator = Simulator(scenario.plan, partitions)
    for item in scenario.items:
        if isinstance(item, Wait):
            simulator.advance(item.at, scenario.stepwise)
        else:
            simulator.play([item])
    return simulator


def outcome_of(profiles: dict[str, dict[str, Any]], outputs: Effects) -> Outcome:
    """What a run came to, by its profiles and everything it emitted."""
    triggers = (
        {
            "trigger_id": each.trigger_id,
            "rule": each.rule,
            "profile_id": each.profile_id,
            "run_key": each.run_key,
            "action": each.action,
            "payload": each.payload,
            "at": each.fired_at,
            "event_at": each.event_at,
        }
        for each in outputs.triggers
    )
    decisions = (
        {
            "rule": each.rule,
            "profile_id": each.profile_id,
            "run_key": each.run_key,
            "message_id": each.message_id,
            "verdict": each.verdict,
            "at": each.decided_at,
        }
        for each in outputs.decisions
    )
    identity = sorted(outputs.identity, key=lambda each: each.decision)
    figures = {
        "applied": len(outputs.facts),
        "duplicate": outputs.duplicate,
        "rejected": len(outputs.rejected),
    }
    shown = [(each.kind, each.winner, each.loser, each.a, each.b, each.reason) for each in identity]
    return Outcome(profiles, _sorted(triggers), _sorted(decisions), shown, figures)


def _sorted(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda each: (each["at"], each["rule"], each["run_key"], each.get("action"), str(each)))


# --- comparing ------------------------------------------------------------------------------------------------------


def compared(scenario: Scenario, outcome: Outcome) -> tuple[dict[str, Any], dict[str, Any]]:
    """(What came of it, what was expected), in the words of the file and as far as it tells."""
    expected: dict[str, Any] = {
        "merges": [],
        "refusals": [],
        "splits": [],
        "others": [],
        "triggers": [],
        "decisions": [],
        **scenario.expect,
        "counts": {"duplicate": 0, "rejected": 0, **scenario.expect.get("counts", {})},
    }
    keys = [f"{each['type']}:{each['value']}" for found in outcome.profiles.values() for each in found["identifiers"]]
    names = {profile_id(key): key for key in keys}
    happened = {
        "profiles": {root: _profile(found) for root, found in outcome.profiles.items()},
        "merges": [[winner, loser] for kind, winner, loser, *_ in outcome.identity if kind == "merge"],
        "refusals": [[a, b, reason] for kind, _, _, a, b, reason in outcome.identity if kind == "refuse"],
        "splits": [[winner, loser] for kind, winner, loser, *_ in outcome.identity if kind == "split"],
        "others": [
            [kind, winner, loser]
            for kind, winner, loser, *_ in outcome.identity
            if kind not in ("merge", "refuse", "split")
        ],
        "triggers": [_told(each, names) for each in outcome.triggers],
        "decisions": [_told(each, names) for each in outcome.decisions if each["verdict"] != "fired"],
        "counts": outcome.counts,
    }
    fired = [(each["rule"], each["run_key"], each["at"]) for each in outcome.decisions if each["verdict"] == "fired"]
    assert sorted(set(fired)) == sorted({(each["rule"], each["run_key"], each["at"]) for each in outcome.triggers})
    assert happened.keys() == expected.keys()
    shown = {name: _as_far_as(happened[name], expected[name]) for name in expected}
    shown["profiles"] |= dict.fromkeys(outcome.profiles.keys() - expected["profiles"].keys(), "unexpected")
    return shown, expected


def _told(each: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The time as a scenario writes it, the customer by the root that its profile had then."""
    moment = render(each["at"]).removesuffix("Z").removesuffix(":00")
    return {**each, "at": moment, "profile": names[each["profile_id"]]}


def _profile(found: dict[str, Any]) -> dict[str, Any]:
    return {
        **found,
        "identifiers": [f"{each['type']}:{each['value']}" for each in found["identifiers"]],
        "events": {name: each["count"] for name, each in found["events"].items()},
        "channels": {name: each["count"] for name, each in found["channels"].items()},
        "groups": [each["group"] for each in found["groups"]],
        "recent": [each["message_id"] for each in found["recent"]],
    }


def _as_far_as(happened: Any, expected: Any) -> Any:
    """`happened` without what `expected` does not speak of; lists keep all they have."""
    if isinstance(expected, dict) and isinstance(happened, dict):
        return {name: _as_far_as(happened.get(name), each) for name, each in expected.items()}
    if isinstance(expected, list) and isinstance(happened, list):
        told = [_as_far_as(*pair) for pair in zip(happened, expected, strict=False)]
        return told + happened[len(expected) :]
    return happened
