"""Which chains of the lake this process writes: those whose lock it holds.

The group may give a partition to another process while this one still writes, so its word is not enough: the lock keeps
the next owner waiting until the chain is written and let go. A chain must never go on with another log than the one it
was filled from, or behind a gap.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kafka import TopicPartition

from schemas.errors import ClusterError
from sinks.lake import compaction, locks
from sinks.lake.chain import Chain
from sinks.lake.locks import Lock

Bounds = Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, tuple[int, int]]]
"""Tells the first offset and the end of some logs."""

log = logging.getLogger("rapport.sink")


@dataclass(frozen=True, slots=True)
class OwnedChain:
    """A chain that only this process extends."""

    chain: Chain
    lock: Lock


class Ownership:
    """The chains of one process, by partition of the Kafka topic that they copy."""

    def __init__(self, lake_root: Path, topics: Mapping[str, str]) -> None:
        """`topics`: the lake's topic by the full name of Kafka's."""
        self.owned: dict[TopicPartition, OwnedChain] = {}
        self.waiting: set[TopicPartition] = set()
        """Wanted, and another process still has them."""
        self._root = lake_root
        self._topics = topics

    def acquire(self, wanted: Sequence[TopicPartition], bounds: Bounds) -> None:
        """Opens the chains that are free. Raises ClusterError, FolderUnwritable or DataFolderError."""
        self.waiting &= set(wanted)
        locked = {partition: lock for partition in wanted if (lock := self._lock(partition))}
        if not locked:
            return
        try:
            found = bounds([*locked])
            for partition, lock in locked.items():
                chain = Chain(self._root, self._topics[partition.topic], partition.partition, partition.topic)
                _check_log(chain, *found[partition])
                compaction.tidy(chain)
                self.owned[partition] = OwnedChain(chain, lock)
                log.info("%s-%d from offset %d", *partition, chain.expected)
        finally:
            for partition, lock in locked.items():
                if partition not in self.owned:
                    lock.release()

    def release(self, partition: TopicPartition) -> None:
        """Lets the next owner have it. Whatever the chain has taken must be written by now."""
        self.owned.pop(partition).lock.release()
        log.info("%s-%d is another's now", *partition)

    def release_all(self) -> None:
        """Lets go of everything, written or not: the process ends."""
        for owned in self.owned.values():
            owned.lock.release()

    def _lock(self, partition: TopicPartition) -> Lock | None:
        lock = Lock(self._root, locks.of_chain(self._topics[partition.topic], partition.partition))
        if lock.acquire():
            self.waiting.discard(partition)
            return lock
        if partition not in self.waiting:
            self.waiting.add(partition)
            log.info("%s-%d waits until another sink lets it go", *partition)
        return None


def _check_log(chain: Chain, first: int, end: int) -> None:
    """Checks that the log holds what the chain is to read next. Raises ClusterError."""
    place, wanted = f"{chain.source}, partition {chain.partition}", chain.expected
    if wanted == 0 and first > 0:
        chain.start_at(first)
        log.warning("%s begins at offset %d: what was before has expired", place, first)
    elif wanted < first:
        raise ClusterError(
            f"{place}: the lake ends before offset {wanted}, but the log now begins at {first}: retention took what"
            " lies between. Keep topics for longer, and name another data folder with --data."
        )
    elif wanted > end:
        raise ClusterError(
            f"{place}: the lake reaches offset {wanted}, but the log ends at {end}: it is another log than before."
            " Name the cluster that filled this lake, or another data folder with --data."
        )
