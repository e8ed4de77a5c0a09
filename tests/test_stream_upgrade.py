"""Rows of every released version: a worker goes on from them, keeps what a later version appended, refuses newer ones.

`data/state/VERSION.json` holds the changelogs of a cluster of one lane as that version's worker wrote them: rows of
every kind, the positions, the linker's rows; and what they meant. `python tests/test_stream_upgrade.py VERSION` adds
the file of a new version: a worker lives through `_story`. Files of released versions are never written again.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from kafka import KafkaProducer

from profiles import component, linker, row
from rapport.demo.broker import Broker, start_broker
from schemas.messages import Event, Split, Trigger
from stream.core.effects import LINKS
from stream.core.envelope import envelope
from stream.kafka.lanestore import POSITIONS
from stream.kafka.worker import EXIT_FAILED
from stream.simulation.broker import Memory
from stream_cluster import Workers, until
from stream_scenarios import profiles_in
from test_schemas_golden import _RULES, HOUR, T, _event, _events, as_then

STATES = Path(__file__).parent / "data" / "state"
CHANGELOGS = ("rows", "linker-rows")
KINDS = b"ichtofmwa" + b"lnr#" + POSITIONS[:1]
NOW = T + 3 * HOUR
"""Before the one timer that waits is due."""
USER, MAIL, PHONE = "user_id:zoë", "email:zoë@example.com", "phone:+4915112345678"
LAYOUTS = {b"i": row.LAYOUT, b"c": component.LAYOUT, b"l": linker.LAYOUT}
"""The newest layout of each kind of row that this version reads."""
LATER = b'{"tier":"gold"}'
"""What a later version may have appended."""


class State(NamedTuple):
    """What a worker left behind."""

    changelogs: dict[str, dict[bytes, bytes]]
    profiles: dict[str, dict[str, Any]]
    """Root -> `profiles.view.profile`, as it was shown then."""
    due: list[list[str]]
    """Rule and run key of the timers that waited."""

    @classmethod
    def load(cls, path: Path) -> State:
        told = json.loads(path.read_text(encoding="utf-8"))
        logs = {
            topic: {key.encode("latin-1"): value.encode("latin-1") for key, value in rows.items()}
            for topic, rows in told["changelogs"].items()
        }
        return cls(logs, told["profiles"], told["due"])


@pytest.fixture(params=sorted(STATES.glob("*.json")), ids=lambda path: path.stem)
def state(request: pytest.FixtureRequest) -> State:
    return State.load(request.param)


@pytest.fixture
def workers(broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Workers]:
    made = _workers(broker.address, prefix, tmp_path)
    yield made
    made.close()


def _workers(address: str, prefix: str, folder: Path) -> Workers:
    (folder / "plan" / "rules").mkdir(parents=True)
    (folder / "plan" / "rules" / "cart.yaml").write_text(_RULES)
    return Workers(address, prefix, folder / "cluster", partitions=1, plan=folder / "plan")


def restored(workers: Workers, state: State, now: int = NOW) -> None:
    """The cluster as it was left: changelogs, and inputs of which as much has been taken."""
    workers.set_clock(now)
    with closing(KafkaProducer(bootstrap_servers=workers.cluster.brokers[0])) as producer:
        for topic, rows in state.changelogs.items():
            for log, offset in orjson.loads(rows[POSITIONS]).items():
                for _ in range(offset):
                    producer.send(workers.cluster.topic(log), b"taken before", partition=0)
            for key, value in rows.items():
                producer.send(workers.cluster.topic(topic), value, key=key, partition=0)
        producer.flush()


def stored(workers: Workers, topic: str) -> dict[bytes, bytes]:
    """A changelog as it stands."""
    rows = {record.key: record.value for record in workers.records(topic)}
    return {key: value for key, value in rows.items() if value is not None}


def again(number: int, keys: tuple[str, ...], name: str = "Seen again", **fields: Any) -> Event:
    """An event of today."""
    return _event(number, NOW, keys, "track", name, **fields)


# --- reading --------------------------------------------------------------------------------------------------------


def test_rows_of_every_kind_are_there(state: State) -> None:
    assert {key[:1] for rows in state.changelogs.values() for key in rows} == {bytes((kind,)) for kind in KINDS}


def test_rows_still_mean_the_same_people(state: State) -> None:
    found = profiles_in(Memory(state.changelogs["rows"]))
    assert {root: as_then(found[root], then) for root, then in state.profiles.items()} == state.profiles
    assert found.keys() == state.profiles.keys()


def test_a_worker_goes_on_where_that_version_stopped(workers: Workers, state: State) -> None:
    restored(workers, state)
    workers.start("one")
    new = again(100, (USER, PHONE))
    workers.feed([*_story(), new])
    workers.settled()
    assert [each.message_id for each in workers.messages("facts")] == [new.message_id]
    last = int(state.changelogs["linker-rows"][b"#"])
    assert [(each.decision, each.kind, each.reason) for each in workers.messages("identity")] == [
        (last + 1, "refuse", "negative_link")
    ]
    workers.set_clock(NOW + 2 * HOUR)
    until(lambda: len(workers.messages("triggers")) >= len(state.due), "the timers of old have fired")
    workers.settled()
    fired = [each for each in workers.messages("triggers") if isinstance(each, Trigger)]
    assert [[each.rule, each.run_key] for each in fired] == state.due
    found = profiles_in(Memory(stored(workers, "rows")))
    expected = {root: shown["event_count"] + (root == USER) for root, shown in state.profiles.items()}
    assert {root: shown["event_count"] for root, shown in found.items()} == expected
    assert workers.messages("rejected") == []
    assert workers.stop("one") == 0


# --- what a later version appended ----------------------------------------------------------------------------------


def extended(key: bytes, value: bytes) -> bytes:
    """A row to every list of which a later version has appended something."""
    if key[:1] not in b"iclo":
        return value
    lists = {b"i": (0, 2, 3), b"c": (1, 2), b"l": (0,), b"o": (0,)}[key[:1]]
    lines = value.split(b"\n")
    return b"\n".join(
        b"%b,%b]" % (line[:-1], LATER) if number in lists and line else line for number, line in enumerate(lines)
    )


def test_what_a_later_version_appended_survives_a_commit(workers: Workers, state: State) -> None:
    later = state._replace(
        changelogs={
            topic: {key: extended(key, value) for key, value in rows.items()}
            for topic, rows in state.changelogs.items()
        }
    )
    restored(workers, later)
    workers.start("one")
    refund = {"order_id": "o1", "total": "1", "currency": "EUR"}
    workers.feed(
        [
            again(100, (USER, "phone:+4915100000000")),
            again(101, (MAIL,), "Order Refunded", properties=refund),
            *(again(number, (MAIL,)) for number in range(110, 150)),
        ]
    )
    workers.settled()
    changed = set()
    for topic in CHANGELOGS:
        before, after = later.changelogs[topic], stored(workers, topic)
        for key, value in before.items():
            assert after.get(key, b"").count(LATER) == value.count(LATER), key
            if LATER in value and after.get(key) != value:
                changed.add(key[:1])
    assert changed == {b"i", b"c", b"l", b"o"}
    assert workers.stop("one") == 0


# --- what is newer than this version --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "kind", "lane"), [("rows", b"i", "lane-0"), ("rows", b"c", "lane-0"), ("linker-rows", b"l", "linker")]
)
def test_rows_of_a_newer_version_stop_the_worker(
    workers: Workers, state: State, topic: str, kind: bytes, lane: str
) -> None:
    read = LAYOUTS[kind]
    rows = {
        key: b"[%d%b" % (read + 1, value[2:]) if key[:1] == kind else value
        for key, value in state.changelogs[topic].items()
    }
    newer = state._replace(changelogs={**state.changelogs, topic: rows})
    restored(workers, newer)
    workers.feed([again(100, (MAIL, "phone:+4915100000000"))])
    for times in (1, 2):
        workers.start("one")
        assert workers.ended("one") == EXIT_FAILED
        refusal = f"{lane}: A stored row has layout {read + 1}; this Rapport reads up to {read}. Upgrade Rapport."
        assert workers.count("one", refusal) == times
        now = stored(workers, topic)
        assert {key: now[key] for key in rows if key[:1] == kind} == {
            key: value for key, value in rows.items() if key[:1] == kind
        }
    assert not workers.said("one", "Traceback")


# --- how a state is made --------------------------------------------------------------------------------------------


def _story() -> list[Event]:
    """The golden events, and an alias of somebody who has not been seen."""
    alias = _event(8, T + 2 * HOUR + 5, ("user_id:2",), "alias", "alias", previousId="unseen")
    return sorted([*_events(), alias._replace(previous="unseen")], key=lambda event: event.now)


def _made(workers: Workers) -> dict[str, Any]:
    workers.start("one")
    for event in _story():
        workers.set_clock(event.now)
        workers.feed([event])
        workers.settled()
    workers.raw(LINKS.topic, 0, envelope([Split((USER,), (PHONE,), T + 2 * HOUR + 100)]))
    workers.settled()
    assert workers.stop("one") == 0
    rows = {topic: stored(workers, topic) for topic in CHANGELOGS}
    shown = profiles_in(Memory(rows["rows"]))
    return {
        "changelogs": {
            topic: {key.decode("latin-1"): value.decode("latin-1") for key, value in sorted(found.items())}
            for topic, found in rows.items()
        },
        "profiles": shown,
        "due": [["cart", "c1"]],
    }


if __name__ == "__main__":
    own = start_broker()
    made = _workers(own.address, "", Path(tempfile.mkdtemp()))
    try:
        told = json.dumps(_made(made), indent=1, ensure_ascii=False)
    finally:
        made.close()
        own.stop()
    (STATES / f"{sys.argv[1]}.json").write_text(told + "\n", encoding="utf-8")
