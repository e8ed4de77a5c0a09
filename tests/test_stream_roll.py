"""A plan that is rolled out worker by worker: rules that stay never notice, and what a changed one lost is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import pytest

from rapport.demo.broker import Broker
from schemas.instant import HOUR, MINUTE, parse
from schemas.messages import Event, RuleDecision, Trigger
from stream_cluster import Workers, until

T = parse("2026-03-02T10:00")
PARTITIONS = 4
PEOPLE = range(24)
"""Enough of them for every lane to have some."""
HALF = PEOPLE[:12]
RULES = ("stays", "changes")
RULE = """
rule: {name}
owner: ann
status: live
purpose: {purpose}
when: {{event: Cart, not_followed_by: {{event: Order, same: cart}}, within: {within}, key: cart}}
then: [{{send: email, template: x}}]
"""


def plan_in(folder: Path, within: str, purpose: str) -> Path:
    """`stays` says the same under another purpose; `changes` has another window."""
    rules = folder / "rules"
    rules.mkdir(parents=True)
    (rules / "stays.yaml").write_text(RULE.format(name="stays", purpose=purpose, within="1h"))
    (rules / "changes.yaml").write_text(RULE.format(name="changes", purpose=purpose, within=within))
    (folder / "plan.yaml").write_text("allow_late_input: 1s\n")
    return folder


def all_of(people: Iterable[int], name: str, day: str, at: int) -> list[Event]:
    """What these people do at that time, each with a cart of that day."""
    events = []
    for who in people:
        body = {"type": "track", "event": name, "properties": {"cart": f"{day}-{who}"}}
        told = (f"user_id:{who}",), f"{name}-{day}-{who}", "track", name, None, at, at, at, "test", None, (), body
        events.append(Event(*told))
    return events


@pytest.fixture
def workers(broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Workers]:
    before = plan_in(tmp_path / "before", "2h", "before")
    made = Workers(broker.address, prefix, tmp_path / "cluster", PARTITIONS, before)
    yield made
    made.close()


def test_rules_that_stay_fire_once_and_what_a_changed_one_lost_is_told(workers: Workers, tmp_path: Path) -> None:
    before, after = workers.plan, plan_in(tmp_path / "after", "3h", "after")

    def joined(name: str, plan: Path) -> None:
        workers.plan = plan
        had = workers.count(name, "is open") if workers.log(name).exists() else 0
        workers.start(name)
        until(lambda: workers.tend() or workers.count(name, "is open") > had, f"{name} has a lane")

    def fed(events: list[Event]) -> None:
        workers.set_clock(events[0].now)
        workers.feed(events)
        workers.settled()

    joined("one", before)
    joined("two", before)
    fed(all_of(PEOPLE, "Cart", "monday", T))
    assert workers.stop("one") == 0
    joined("one", after)
    fed(all_of(HALF, "Order", "monday", T + 5 * MINUTE))
    fed(all_of(PEOPLE, "Cart", "tuesday", T + 10 * MINUTE))
    assert workers.stop("one") == 0
    fed(all_of(HALF, "Order", "tuesday", T + 15 * MINUTE))
    joined("one", after)
    assert workers.stop("two") == 0
    fed(all_of(PEOPLE, "Cart", "wednesday", T + 20 * MINUTE))
    end = T + 5 * HOUR
    workers.set_clock(end)
    until(lambda: workers.overdue(end) == 0, "the timers have fired")
    workers.settled()

    decisions = cast(list[RuleDecision], workers.messages("decisions"))
    told = {name: Counter((each.run_key, each.verdict) for each in decisions if each.rule == name) for name in RULES}
    left = [f"{day}-{who}" for day in ("monday", "tuesday") for who in PEOPLE if who not in HALF]
    left += [f"wednesday-{who}" for who in PEOPLE]
    assert told["stays"] == Counter((cart, "fired") for cart in left)
    fired = {(cart, "fired") for cart, verdict in told["changes"] if verdict == "fired"}
    lost = {cart for cart, verdict in told["changes"] if verdict == "before_active"}
    assert fired == {(f"wednesday-{who}", "fired") for who in PEOPLE}
    assert lost
    assert all(cart.startswith("tuesday-") for cart in lost)
    assert set(told["changes"].values()) == {1}
    triggers = Counter((each.rule, each.run_key) for each in cast(list[Trigger], workers.messages("triggers")))
    assert triggers == Counter((rule, cart) for rule in RULES for cart, verdict in told[rule] if verdict == "fired")
