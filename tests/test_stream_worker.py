"""Worker processes on a real broker: days of the demo come to the same as embedded, whatever happens to a worker."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import cast

import orjson
import pytest

from rapport.demo.broker import Broker
from rapport.demo.shop import START, Month
from rapport.demo.tour import plan_of_shop
from rapport.plan import folder as plan_folder
from schemas.instant import DAY
from schemas.keys import partition_of
from schemas.messages import Event, IdentityDecision, Rejected, RuleDecision, Trigger
from schemas.topics import OUTPUTS
from stream.core.effects import Effects
from stream.core.intake import Intake, at
from stream.core.owners import LINES_PER_PART
from stream.kafka.ownership import home
from stream.kafka.worker import EXIT_FAILED, SESSION_TIMEOUT
from stream_cluster import Workers, until
from stream_scenarios import Told

PARTITIONS = 4
TOGETHER = 3 * DAY
"""Shorter than histories are kept for late events, so that it does not matter who is first."""
LIVED = 12 * DAY
"""How much of the demo's month is lived through."""
FAULT_AT = 2
ACCEPTED = 1_900_000_000_000_000


@dataclass(frozen=True)
class Story:
    """Some days as they happened, and what the embedded engine made of them."""

    refused: list[Rejected]
    events: list[Event]
    """In order of time, each live."""
    end: int
    made: Effects

    def slices(self) -> Iterator[list[Event]]:
        """The events, some days together."""
        for _, days in groupby(self.events, key=lambda each: each.now // TOGETHER):
            yield list(days)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    plan = plan_folder.load(plan_of_shop())
    accepted = list(Intake(plan, lambda: ACCEPTED).lines(Month(1).lines(), "demo"))
    refused = [each for each in accepted if isinstance(each, Rejected)]
    events = sorted((each for each in accepted if isinstance(each, Event)), key=lambda each: each.occurred_at)
    events = [at(each, each.occurred_at) for each in events if each.occurred_at < START + LIVED]
    end = events[-1].now + 10 * DAY
    with Told.open(tmp_path_factory.mktemp("embedded"), plan) as engine:
        engine.take(refused)
        engine.take(events)
        engine.advance(end, stepwise=True)
    return Story(refused, events, end, engine.made)


@pytest.fixture
def workers(broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(broker.address, prefix, tmp_path / "cluster", PARTITIONS)
    yield made
    made.close()


def made_by(workers: Workers) -> Effects:
    """What a reader of committed records sees."""
    made = Effects()
    made.facts = cast(list[Event], workers.messages("facts"))
    made.triggers = cast(list[Trigger], workers.messages("triggers"))
    made.decisions = cast(list[RuleDecision], workers.messages("decisions"))
    made.identity = cast(list[IdentityDecision], workers.messages("identity"))
    made.rejected = cast(list[Rejected], workers.messages("rejected"))
    return made


def contended(decisions: Iterable[IdentityDecision]) -> set[str]:
    """Identifiers that two people claim: which of them wins depends on who asks the linker first."""
    return {key for each in decisions if each.kind == "refuse" for key in (each.a, each.b, each.winner, each.loser)}


def people(decisions: Iterable[IdentityDecision]) -> dict[str, set[str]]:
    """Root -> all its identifiers, decision by decision."""
    members: dict[str, set[str]] = {}
    for each in sorted(decisions, key=lambda each: each.decision):
        if each.kind == "merge":
            members.setdefault(each.winner, {each.winner}).update(each.moved)
            members.pop(each.loser, None)
    return members


def same(embedded: Effects, seen: Effects) -> None:
    """The same as sets that know how often; where an identifier is contended only the events themselves compare."""
    assert Counter(map(_name, seen.facts)) == Counter(map(_name, embedded.facts))
    assert Counter(each.rejection_id for each in seen.rejected) == Counter(
        each.rejection_id for each in embedded.rejected
    )
    assert [each.decision for each in seen.identity] == list(range(1, len(seen.identity) + 1))
    ours, theirs = people(seen.identity), people(embedded.identity)
    fought = contended([*seen.identity, *embedded.identity])
    fought = {key for group in (*ours.values(), *theirs.values()) if group & fought for key in group} | fought
    assert _settled(ours, fought) == _settled(theirs, fought)
    assert len(_settled(ours, fought)) > 100
    messages = {each.message_id for each in embedded.facts if fought.isdisjoint(each.identifiers)}
    for kind in ("triggers", "decisions"):
        ours_, theirs_ = (_acts(getattr(each, kind), messages) for each in (seen, embedded))
        assert ours_ == theirs_
        assert ours_.total() > 200


def _name(event: Event) -> tuple[str, str]:
    return event.identifiers[0], event.message_id


def _settled(groups: dict[str, set[str]], fought: set[str]) -> set[tuple[str, tuple[str, ...]]]:
    return {(root, tuple(sorted(members))) for root, members in groups.items() if members.isdisjoint(fought)}


def _acts(acts: Iterable[Trigger | RuleDecision], messages: set[str]) -> Counter[tuple[str, ...]]:
    """Not those on an order without a cart: whether a cart was known to wait then depends on what came first."""
    return Counter(
        (each.rule, each.version, each.run_key, each.action if isinstance(each, Trigger) else each.verdict)
        for each in acts
        if (each.run_key in messages or getattr(each, "message_id", "") in messages)
        and getattr(each, "verdict", "") != "unusable"
    )


def play(workers: Workers, story: Story, fault: Callable[[], None] | None = None) -> Effects:
    """Lives through the story, a few days at a time, and gives what is visible then.

    In the days that are fed together workers see people in any order; timers that are due by then have fired. The
    `fault` comes when some days have been fed and not all of them are done.
    """
    for number, days in enumerate(story.slices()):
        workers.set_clock(days[0].now)
        workers.feed(days)
        if number == FAULT_AT and fault is not None:
            fault()
        workers.settled()
    workers.set_clock(story.end)
    until(lambda: workers.overdue(story.end) == 0, "the timers have fired")
    workers.settled()
    return made_by(workers)


# --- the ordinary day -----------------------------------------------------------------------------------------------


def test_two_workers_come_to_the_same_as_one_process(workers: Workers, story: Story) -> None:
    workers.start("one")
    workers.start("two")
    workers.feed(story.refused)
    same(story.made, play(workers, story))
    assert [workers.stop("one"), workers.stop("two")] == [0, 0]
    assert not workers.said("one", "Traceback")


def test_what_is_fed_twice_is_done_once(workers: Workers, story: Story) -> None:
    workers.start("one")
    sizes = []
    for _ in range(2):
        workers.feed([*story.refused, *story.events])
        workers.settled()
        made = made_by(workers)
        sizes.append([len(getattr(made, topic)) for topic in OUTPUTS])
    assert sizes[0] == sizes[1]


# --- workers that die -----------------------------------------------------------------------------------------------


def test_a_killed_worker_loses_and_doubles_nothing(workers: Workers, story: Story) -> None:
    workers.start("one")
    workers.start("two")
    workers.feed(story.refused)

    def killed() -> None:
        workers.signal("one", signal.SIGKILL)
        assert workers.ended("one") == -signal.SIGKILL
        workers.start("one")

    same(story.made, play(workers, story, killed))


def test_a_lost_data_folder_is_rebuilt_from_the_changelog(workers: Workers, story: Story) -> None:
    workers.start("one")
    workers.feed(story.refused)

    def moved() -> None:
        assert workers.stop("one") == 0
        workers.start("elsewhere")

    same(story.made, play(workers, story, moved))


def test_a_frozen_worker_is_shut_out_and_gives_up(workers: Workers, story: Story) -> None:
    workers.start("one")
    workers.start("two")
    until(lambda: workers.said("one", "lane-") and workers.said("two", "lane-"), "both have lanes")
    workers.feed(story.refused)

    def frozen() -> None:
        workers.signal("one", signal.SIGSTOP)
        since, let_go = time.monotonic(), workers.count("one", "letting go")
        had = workers.count("two", "is open")
        until(lambda: workers.count("two", "is open") > had + PARTITIONS, "the other has taken over")
        assert time.monotonic() - since > SESSION_TIMEOUT / 2
        workers.signal("one", signal.SIGCONT)
        until(
            lambda: workers.processes["one"].poll() is not None or workers.count("one", "letting go") > let_go,
            "the thawed worker has left its lanes",
        )
        if workers.processes["one"].poll() is not None:
            assert workers.ended("one") == EXIT_FAILED

    same(story.made, play(workers, story, frozen))


# --- poison ---------------------------------------------------------------------------------------------------------

HOSTILE = (
    b"",
    None,
    b"\xff\xfe\x00 not text",
    b"[" * 100_000,
    b'{"v":1}',
    b'{"v":1,"k":"event"}',
    b'{"v":99,"k":"event"}',
    b'{"v":1,"k":"wake","row":7}',
    b'{"v":1,"k":"link","a":1,"b":[],"message_id":"m","at":"x"}',
    b'{"v":1,"k":"split","a":[{}],"b":[1],"at":0}',
    b'{"v":1,"k":"redirect","row":"user_id:x","to":[1],"decision":1}',
    b'{"v":1,"k":"admit","row":"user_id:x","members":[1,{}],"decision":1}',
    b'{"v":1,"k":"add","to":"user_id:x","pieces":[["user_id:x",[["c","[]"]]]],"hops":1,"missed_before":0,"more":false}',
)


def _event(**changed: object) -> bytes:
    fields: dict[str, object] = {
        "v": 1,
        "k": "event",
        "identifiers": ["user_id:ann"],
        "message_id": f"m{len(str(changed))}{sorted(changed)}",
        "type": "identify",
        "name": "identify",
        "channel": None,
        "occurred_at": 1,
        "received_at": 1,
        "now": 1,
        "source": "s",
        "previous": None,
        "dropped": [],
        "body": {"traits": {"a": 1}},
    }
    return orjson.dumps(fields | changed)


HOSTILE_EVENTS = (
    _event(identifiers=[]),
    _event(identifiers=["user_id:a\0b"]),
    _event(identifiers=[{}]),
    _event(now="soon"),
    _event(received_at=-1),
    _event(occurred_at=1 << 62),
    _event(message_id=[1]),
    _event(body=[]),
    _event(body={"traits": [1]}),
    _event(type="track", name="Order Completed", body={"properties": 5}),
    _event(previous={"a": 1}),
)


@pytest.mark.parametrize("topic", ["events", "internal", "links"])
def test_any_bytes_end_in_rejected_and_the_worker_goes_on(workers: Workers, story: Story, topic: str) -> None:
    workers.start("one")
    hostile = HOSTILE + (HOSTILE_EVENTS if topic == "events" else ())
    partition = partition_of("user_id:ann", PARTITIONS) if topic == "events" else 0
    good = _event() if topic == "events" else b'{"v":1,"k":"wake","row":"user_id:nobody"}'
    if topic == "links":
        good = b'{"v":1,"k":"link","a":"user_id:x","b":"email:y","message_id":"m","at":1}'
    long = [good] * LINES_PER_PART + [b"no message", good] * LINES_PER_PART + [HOSTILE[-1], good]
    workers.raw(topic, partition, *hostile, b"\n".join(long))
    workers.settled()
    refused = [cast(Rejected, each) for each in workers.messages("rejected")]
    places = {each.source for each in refused if each.stage == "record"}
    for offset, record in enumerate(hostile):
        assert f"{topic}/{partition}@{offset}" in places, record
    last = f"{topic}/{partition}@{len(hostile)}"
    lines = sorted(int(each.rejection_id.rpartition(":")[2]) for each in refused if each.source == last)
    assert lines == [*range(LINES_PER_PART, 3 * LINES_PER_PART, 2), 3 * LINES_PER_PART]
    workers.feed(story.events)
    workers.settled()
    assert len(workers.messages("facts")) >= len(story.made.facts)
    assert workers.stop("one") == 0


def test_lanes_are_named_for_good() -> None:
    """Renaming one would leave its transactions unfenced and its rows behind."""
    assert home(3).name == "lane-3"
