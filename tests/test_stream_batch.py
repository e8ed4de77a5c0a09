"""Runs in the simulator: a line that makes a step fail is refused, and all others count once, whatever crashes."""

from __future__ import annotations

from collections import Counter

import pytest

from schemas.instant import HOUR, MINUTE, SECOND
from schemas.keys import partition_of
from schemas.messages import Event, SourceMark
from stream.core.effects import Address, Effects
from stream.core.envelope import envelope
from stream.core.home import Home
from stream.core.watermark import Watermark
from stream.simulation.broker import Transaction, events_log
from stream.simulation.simulator import Pause, Simulator
from stream_world import LONG, START, event, make

POISON = 3
"""Every so manyeth event makes its step fail, half-way."""


def is_poison(each: Event) -> bool:
    return int(each.message_id[1:]) % 17 == POISON


class Failing(Home):
    """Fails when everything but the rest of the record is done."""

    def _apply(self, root, member, event, now):
        super()._apply(root, member, event, now)
        if is_poison(event):
            raise TypeError("half-way")


class FailingSimulator(Simulator):
    home_type = Failing


@pytest.mark.parametrize("seed", range(40))
def test_a_line_that_no_step_can_take_is_refused_and_nothing_else_suffers(seed):
    """Poison is met by whoever applies it: at home, or at a root far away, where its fact has long been counted."""
    world = make(seed)
    for items in world.phases:
        items[:] = [each for each in items if not isinstance(each, Event) or len(each.identifiers) == 1]
    simulator = FailingSimulator(world.plan, 1, seed)
    for items, pause in zip(world.phases, world.pauses, strict=True):
        simulator.run([*items, Pause(pause)])
    sent = [each for items in world.phases for item in items for each in (item if type(item) is tuple else (item,))]
    poison = {each.message_id for each in sent if isinstance(each, Event) and is_poison(each)}
    facts = [each.message_id for each in simulator.outputs.facts]
    assert poison.isdisjoint(facts)
    refused = [each for each in simulator.outputs.rejected if each.stage == "record"]
    assert len(refused) == sum(isinstance(each, Event) and is_poison(each) for each in sent)
    others = Simulator(world.plan, 1, seed)
    for items, pause in zip(world.phases, world.pauses, strict=True):
        others.run([*(_without(each) for each in items if _without(each)), Pause(pause)])
    assert sorted(facts) == sorted(each.message_id for each in others.outputs.facts)
    if world.loose:  # elsewhere two requests may race, and who is one person depends on which came first
        assert simulator.profiles() == others.profiles()


def _without(item):
    """The item without poison."""
    if type(item) is tuple:
        return tuple(each for each in item if not is_poison(each))
    return None if isinstance(item, Event) and is_poison(item) else item


def test_effects_lose_nothing_when_they_are_added_up():
    """Whatever fields there are: what one step wants done is wanted by the run."""
    total, part = Effects(), Effects()
    for name in Effects.__slots__:
        kind = type(getattr(part, name))
        setattr(part, name, {int: 3, list: ["x"], Counter: Counter("xx")}[kind])
    total.add(part)
    total.add(part)
    for name in Effects.__slots__:
        one, both = getattr(part, name), getattr(total, name)
        assert both == one + one, name


class MovingTarget(Watermark):
    """Waits for whatever has come by now, again and again."""

    def reach(self, positions, now):
        if self._cohort is not None:
            self._cohort.ends = {partition: end + 1 for partition, end in positions.items()}
        super().reach(positions, now)


@pytest.mark.parametrize("kind", [Watermark, MovingTarget])
def test_a_timer_fires_behind_the_backlog_of_its_time_and_not_behind_all_that_follows(kind):
    """Input never pauses, so positions never reach ends that are noted anew."""

    class Simulated(Simulator):
        watermark_type = kind

    simulator = Simulated(make(0).plan, 2, seed=3)
    simulator.run([event(("email:a",), 1, "C", START, START)])
    times = [START + LONG + n * 2 * SECOND for n in range(200)]
    simulator.run([event((f"email:{n % 7}",), 100 + n, "X", at, at) for n, at in enumerate(times)])
    (fired,) = [each.decided_at for each in simulator.outputs.decisions if each.rule == "long"]
    assert (fired < times[-1]) == (kind is Watermark), "the test sees a target that moves"


def test_history_in_one_source_is_judged_when_all_of_it_is_there():
    """Cart and order of an hour ago, the order at the end of a long file: nobody who bought is reminded."""
    simulator = Simulator(make(0).plan, 4, seed=1)
    now = START + 30 * HOUR
    past = now - LONG - HOUR
    file = [
        SourceMark("file", True, now),
        event(("email:a",), 1, "C", past, now),
        event(("email:b",), 2, "C", past, now),
        *(event((f"email:{n}",), 100 + n, "X", now, now) for n in range(60)),
        event(("email:a",), 3, "D", past + MINUTE, now),
        SourceMark("file", False, now),
    ]
    simulator.run([*file, Pause(HOUR)])
    assert [(each.rule, each.run_key, each.verdict) for each in simulator.outputs.decisions] == [("long", "2", "fired")]


@pytest.mark.parametrize("bundle", ["message", "transaction"])
def test_an_event_in_another_partition_than_its_homes_is_sent_home(bundle):
    """Whoever wrote it had another identity plan, or another count in mind: it counts once, where its row is."""
    simulator = Simulator(make(0).plan, 4, seed=5)
    simulator.bundle = bundle
    lost = [event((f"email:{n}",), n, "X", START, START) for n in range(40)]
    for each in lost:
        wrong = Address("events", (events_log(each, 4).partition + 1) % 4)
        simulator.logs[wrong].append(Transaction.done(), envelope((each,)))
    simulator.run([*lost[:10], Pause(HOUR)])
    assert sorted(each.message_id for each in simulator.outputs.facts) == sorted(each.message_id for each in lost)
    assert simulator.outputs.duplicate == 10
    assert simulator.outputs.refused.total() == 0
    assert len(simulator.profiles()) == 40
    stored = [(lane, key[1:].decode()) for lane in range(4) for key, _ in simulator.lanes[lane].store.scan(b"i")]
    assert len(stored) == 40
    assert all(partition_of(key, 4) == lane for lane, key in stored)
