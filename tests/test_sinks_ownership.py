"""Who may write a chain: the holder of its lock, and only where the log goes on from the chain's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.errors import NodeNotReadyError

from schemas.errors import ClusterError
from sinks.columns.rows import record_batch
from sinks.kafka.ownership import Bounds, Ownership
from sinks.lake import locks
from sinks.lake.chain import Chain
from sinks.lake.locks import Lock
from sinks_samples import event

TOPICS = {"shop-facts": "facts"}
ZERO, ONE = TopicPartition("shop-facts", 0), TopicPartition("shop-facts", 1)


def log_of(first: int, end: int) -> Bounds:
    def bounds(partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        return dict.fromkeys(partitions, (first, end))

    return bounds


def is_free(lake: Path, partition: int) -> bool:
    lock = Lock(lake, locks.of_chain("facts", partition))
    try:
        return lock.acquire()
    finally:
        lock.release()


def filled(lake: Path, end: int) -> None:
    chain = Chain(lake, "facts", 0, "shop-facts")
    chain.append(0, end, record_batch("facts", [event("user_id:1", message_id="m")]))
    chain.flush()


def test_a_chain_that_another_process_writes_is_waited_for(tmp_path):
    filled(tmp_path, 4)
    one, two = Ownership(tmp_path, TOPICS), Ownership(tmp_path, TOPICS)
    one.acquire([ZERO], log_of(0, 9))
    assert one.owned[ZERO].chain.expected == 4
    two.acquire([ZERO, ONE], log_of(0, 9))
    assert (set(two.owned), two.waiting) == ({ONE}, {ZERO})
    one.release(ZERO)
    two.acquire([ZERO], log_of(0, 9))
    assert (set(one.owned), set(two.owned), two.waiting) == (set(), {ZERO, ONE}, set())
    two.release_all()
    assert is_free(tmp_path, 0)
    assert is_free(tmp_path, 1)


def test_what_is_no_longer_wanted_is_not_waited_for(tmp_path):
    held = Lock(tmp_path, locks.of_chain("facts", 0))
    assert held.acquire()
    ownership = Ownership(tmp_path, TOPICS)
    ownership.acquire([ZERO], log_of(0, 9))
    assert ownership.waiting == {ZERO}
    ownership.acquire([], log_of(0, 9))
    assert ownership.waiting == set()
    held.release()


@pytest.mark.parametrize(
    ("first", "end", "says"),
    [(5, 9, "ends before offset 4, but the log now begins at 5"), (0, 3, "reaches offset 4, but the log ends at 3")],
)
def test_another_log_or_a_gap_is_refused_and_nothing_stays_locked(tmp_path, first, end, says):
    filled(tmp_path, 4)
    ownership = Ownership(tmp_path, TOPICS)
    with pytest.raises(ClusterError, match=says):
        ownership.acquire([ZERO, ONE], log_of(first, end))
    assert ownership.owned == {}
    assert is_free(tmp_path, 0)
    assert is_free(tmp_path, 1)


def test_brokers_that_do_not_answer_leave_nothing_locked(tmp_path):
    def silent(_partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        raise NodeNotReadyError

    ownership = Ownership(tmp_path, TOPICS)
    with pytest.raises(NodeNotReadyError):
        ownership.acquire([ZERO], silent)
    assert is_free(tmp_path, 0)


def test_an_empty_chain_begins_where_the_log_does(tmp_path):
    ownership = Ownership(tmp_path, TOPICS)
    ownership.acquire([ZERO], log_of(7, 9))
    assert ownership.owned[ZERO].chain.expected == 7
    ownership.release_all()
