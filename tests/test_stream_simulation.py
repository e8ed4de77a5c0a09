"""Random shops on hostile lanes: crashes, changing owners, starvation, merges, splits, duplicates, late events, timers.

Every seed is a world (`stream_world`), run by the simulator and judged against naive oracles (`stream_oracle`).
A failing seed is printed with what went wrong; run it again by its name:

    RAPPORT_SEED=1234 python -m pytest tests/test_stream_simulation.py

`RAPPORT_SEEDS=50000` tries as many as that instead of the usual ones (`stream_mutants.SEEDS`). Some more are drawn each
time.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence

import pytest

import stream_mutants
from schemas.messages import Event, Split
from stream.simulation.broker import Fault, random_faults
from stream.simulation.simulator import Pause, Simulator
from stream_oracle import connected, judge
from stream_world import START, event, make

CHUNKS = 8
SEEDS: Sequence[int] = stream_mutants.SEEDS
DRAWN = 100
LONG_LIVES = 16
if "RAPPORT_SEED" in os.environ:
    SEEDS = [int(os.environ["RAPPORT_SEED"])]
elif "RAPPORT_SEEDS" in os.environ:
    SEEDS = range(int(os.environ["RAPPORT_SEEDS"]))


def wrong(seeds: Iterable[int], scale: int = 1) -> list[str]:
    """The seeds that go wrong, and how to run each again."""
    failed = []
    for seed in seeds:
        world = make(seed, scale)
        simulator = Simulator(world.plan, world.partitions, seed, world.faults)
        breaches = judge(world, simulator)
        if breaches:
            faults = [fault for fault in world.faults if fault.tick <= simulator.ticks]
            failed.append(f"RAPPORT_SEED={seed} ({world.partitions} partitions, faults {faults[:5]}): {breaches[:3]}")
    return failed


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_seed_goes_wrong(chunk: int) -> None:
    failed = wrong(SEEDS[chunk::CHUNKS])
    assert not failed, "\n".join(failed)


def test_no_drawn_seed_goes_wrong() -> None:
    first = secrets.randbelow(10**9)
    failed = wrong(range(first, first + DRAWN))
    assert not failed, "\n".join(failed)


def test_long_lives_of_few_people() -> None:
    """Histories beyond what a profile keeps, components that meet again and again."""
    failed = wrong(SEEDS[:LONG_LIVES], scale=8)
    assert not failed, "\n".join(failed)


def test_a_seed_repeats_itself() -> None:
    world = make(7)
    runs = []
    for _ in range(2):
        simulator = Simulator(world.plan, world.partitions, 7, world.faults)
        assert judge(world, simulator) == []
        runs.append(
            (simulator.ticks, simulator.outputs.identity, [dict(lane.store) for lane in simulator.lanes.values()])
        )
    assert runs[0] == runs[1]


def test_results_do_not_depend_on_commits_crashes_or_the_number_of_lanes() -> None:
    """Without a race between requests, one quiet lane and five crashing ones tell the same story."""
    for seed in range(40):
        world = make(seed)
        if not world.loose:
            continue
        stories = []
        for partitions, faults in ((1, ()), (5, random_faults(seed, 5, 0.04))):
            simulator = Simulator(world.plan, partitions, seed, faults)
            for items, pause in zip(world.phases, world.pauses, strict=True):
                simulator.run([*items, Pause(pause)])
            people = simulator.profiles()
            for shown in people.values():
                shown["recent"].sort(key=lambda entry: (entry["at"], entry["message_id"], entry["identifier"]))
            stories.append(people)
        assert stories[0] == stories[1], f"seed {seed}"


def test_played_one_by_one_every_seed_gives_the_naive_answer() -> None:
    """The ordered mode, as scenarios use it: every input with all that follows from it before the next."""
    for seed in range(30):
        world = make(seed)
        simulator = Simulator(world.plan, world.partitions)
        events = [item for items in world.phases for item in items if isinstance(item, Event)]
        simulator.play(events)
        if world.loose:
            pairs = [(each.identifiers[0], other) for each in events for other in each.identifiers[1:]]
            for key, component in connected(pairs).items():
                assert any(set(members) == component for members in simulator.people().values()), (seed, key)
        assert len(simulator.outputs.facts) + simulator.outputs.duplicate == len(events)


def test_an_owner_that_dies_in_its_commit_is_seen_or_never_happened() -> None:
    script = [event(("user_id:1", "email:a"), 1, "X", START, START), event(("email:a",), 2, "X", START, START)]
    seen = set()
    for tick in range(1, 40):
        for reached in (True, False):
            simulator = Simulator(make(0).plan, 2, 1, [Fault(tick, lane, reached, thaws=True) for lane in (-1, 0, 1)])
            simulator.run(script)
            assert simulator.people() == {"user_id:1": ("email:a", "user_id:1")}
            seen.add((len(simulator.outputs.facts), simulator.outputs.duplicate))
    assert seen == {(2, 0)}


def test_an_alias_links_whom_it_named_before_anybody_was_seen_under_that_name() -> None:
    """First seen beside a stronger identifier, an identifier gets its row by an order, and no event is its own."""
    simulator = Simulator(make(0).plan)
    simulator.play(
        [
            event(("user_id:1",), 1, "alias", START, START, previous="a"),
            event(("email:a", "anonymous_id:a"), 2, "X", START + 1, START + 1),
        ]
    )
    assert simulator.people() == {"user_id:1": ("anonymous_id:a", "email:a", "user_id:1")}


def test_a_closed_window_stays_closed_when_its_profile_is_absorbed() -> None:
    """Member by member the history would look as if nothing had closed it."""
    hour = 3_600_000_000
    simulator = Simulator(make(0).plan)
    simulator.play(
        [
            event(("email:a", "anonymous_id:a"), 1, "X", START, START),
            event(("anonymous_id:a",), 2, "C", START + 1, START + 1),
            event(("email:a",), 3, "D", START + 2, START + 2),
            event(("user_id:1", "email:a"), 4, "X", START + 20 * hour, START + 20 * hour),
        ]
    )
    assert simulator.outputs.decisions == []
    simulator.play([Split(("user_id:1", "email:a"), ("anonymous_id:a",), START + 21 * hour)])
    assert [decision.verdict for decision in simulator.outputs.decisions] == ["missed"]


def test_a_closed_window_stays_closed_when_its_closing_event_is_forgotten() -> None:
    """A busy member forgets old history, a quiet one does not."""
    day = 86_400_000_000
    simulator = Simulator(make(0).plan)
    simulator.play(
        [
            event(("email:a", "anonymous_id:a"), 1, "X", START, START),
            event(("anonymous_id:a",), 2, "C", START + 1, START + 1),
            event(("email:a",), 3, "D", START + 2, START + 2),
        ]
    )
    simulator.play(event(("email:a",), 10 + n, "B", START + 9 * day + n, START + 9 * day + n) for n in range(90))
    simulator.play([event(("anonymous_id:a",), 200, "A", START + 10 * day, START + 10 * day)])
    simulator.advance(START + 11 * day, stepwise=True)
    assert [(each.rule, each.run_key) for each in simulator.outputs.decisions] == [("short", "200")]


def test_a_window_that_fired_does_not_fire_again_under_an_older_name() -> None:
    """A late event that would have opened the window earlier is no second run of it."""
    minute = 60_000_000
    simulator = Simulator(make(0).plan)
    simulator.play(
        [
            event(("email:a",), 1, "F", START, START, s=1),
            event(("email:a",), 2, "F", START + 5 * minute, START + 5 * minute, s=2),
            event(("email:a",), 3, "E", START + 60 * minute, START + 60 * minute),
            event(("email:a",), 4, "F", START - minute, START + 61 * minute, s=3),
            event(("email:a",), 5, "E", START + 90 * minute, START + 90 * minute),
        ]
    )
    assert [each.message_id for each in simulator.outputs.decisions if each.rule == "restart"] == ["m2"]


def test_a_profile_too_big_for_one_message_is_judged_when_all_of_it_has_come() -> None:
    hour = 3_600_000_000
    heavy = [
        event(
            ("email:a",), n, "Order Completed", START + n, START + n, order_id=f"{n:0>60}", total="1.00", currency="EUR"
        )
        for n in range(100, 3_100)
    ]
    simulator = Simulator(make(0).plan, partitions=5)
    simulator.play(
        [
            event(("email:a", "anonymous_id:a"), 1, "X", START, START),
            event(("email:a",), 2, "C", START + 1, START + 1),
            event(("anonymous_id:a",), 3, "D", START + 2, START + 2),
            *heavy,
            event(("user_id:1", "email:a"), 4, "X", START + 20 * hour, START + 20 * hour),
        ]
    )
    (shown,) = simulator.profiles().values()
    assert (shown["event_count"], shown["orders"]["revenue"]) == (3_004, {"EUR": "3000"})
    assert simulator.outputs.decisions == []
