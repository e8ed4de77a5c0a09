"""A worker or a sink that fails where a test wants it to: `kafka_faulty.py worker ...` (as `kafka_worker.py`), or
`kafka_faulty.py sink ADDRESS PREFIX PARTITIONS DATA`.

A worker freezes itself (SIGSTOP) when it next comes to the step of a commit that the file `freeze` in its data folder
names, once. A sink kills itself (SIGKILL) between its Parquet files and the manifest that would make them count when
its data folder holds a file `die`, once. MUTANT takes one rule of the protocol away, to show that the proof can fail.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import kafka_worker

APART = 0.2
"""Seconds between the two halves of a commit that is not whole."""
MUTANT = "RAPPORT_TEST_MUTANT"
FREEZE = "freeze"
DIE = "die"
STEPS = ("before-begin", "rows-sent", "before-end", "after-end", "before-report")
"""Of a commit: nothing sent; batches handed to the producer; all acknowledged; committed but not written locally;
written but not told to the group."""


def worker(address: str, prefix: str, partitions: str, data: str, *more: str) -> int:
    _freezes(Path(data) / FREEZE)
    if mutant := os.environ.get(MUTANT):
        MUTANTS[mutant]()
    return kafka_worker.main(address, prefix, partitions, data, *more)


def sink(address: str, prefix: str, partitions: str, data: str) -> int:
    from rapport.services.sink import sink as sunk
    from schemas.errors import RapportError
    from sinks.lake import manifest
    from stream.kafka.cluster import Cluster

    store = manifest.store

    def stored(root: Path, new: manifest.Manifest) -> None:
        if new.files and _told(Path(data) / DIE):
            os.kill(os.getpid(), signal.SIGKILL)
        store(root, new)

    manifest.store = stored
    try:
        sunk(Cluster((address,), Path(data), prefix=prefix, partitions=int(partitions)))
    except RapportError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _told(file: Path, step: str = "") -> bool:
    """Whether a file asks for this step; it asks once."""
    with suppress(FileNotFoundError):
        if file.read_text() == step:
            file.unlink()
            return True
    return False


def _freezes(file: Path) -> None:
    from aiokafka import AIOKafkaProducer

    from stream.kafka.faust_driver import ConsumerThread

    def at(step: str) -> None:
        if _told(file, step):
            os.kill(os.getpid(), signal.SIGSTOP)

    _around(AIOKafkaProducer, "begin_transaction", before=lambda: at("before-begin"))
    _around(AIOKafkaProducer, "send_batch", after=lambda: at("rows-sent"))
    _around(AIOKafkaProducer, "commit_transaction", before=lambda: at("before-end"), after=lambda: at("after-end"))
    _around(ConsumerThread, "commit_group", before=lambda: at("before-report"))


def _around(owner: type, name: str, before: Callable[[], None] = int, after: Callable[[], None] = int) -> None:
    original = getattr(owner, name)

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        before()
        answer = await original(*arguments, **named)
        after()
        return answer

    setattr(owner, name, wrapped)


# --- mutants --------------------------------------------------------------------------------------------------------


def _no_fence() -> None:
    """Every owner of a lane has transactions of its own, and carries through what it began, whoever owns it by now."""
    from stream.kafka import transactions

    producer = transactions.AIOKafkaProducer
    commit, close = transactions.Transactions.commit, transactions.Transactions.close
    begun: dict[Any, asyncio.Task[Any]] = {}

    def unfenced(**settings: Any) -> Any:
        return producer(**{**settings, "transactional_id": f"{settings['transactional_id']}-{secrets.token_hex(4)}"})

    async def carried_through(self: Any, entries: Mapping[Any, Any]) -> Any:
        begun[self] = asyncio.create_task(commit(self, entries))
        return await asyncio.shield(begun[self])

    async def closed(self: Any) -> None:
        if self in begun:
            await asyncio.wait([begun.pop(self)])
        await close(self)

    transactions.AIOKafkaProducer = unfenced
    transactions.Transactions.commit = carried_through
    transactions.Transactions.close = closed


def _no_positions() -> None:
    """Positions are no part of the commit."""
    from stream.kafka import lane

    original = lane.Transactions.commit

    def elsewhere(entry: Any) -> Any:
        return (b"\0forgotten", entry[1]) if entry[0] == lane.POSITIONS else entry

    async def commit(self: Any, entries: Mapping[Any, Any]) -> Any:
        return await original(self, {log: [elsewhere(entry) for entry in each] for log, each in entries.items()})

    lane.Transactions.commit = commit


def _outputs_apart() -> None:
    """Outputs leave in a transaction of their own, before the rows and the positions."""
    from stream.kafka import lane

    original = lane.Transactions.commit

    async def commit(self: Any, entries: Mapping[Any, Any]) -> Any:
        rows = {log: each for log, each in entries.items() if log[0].endswith("rows")}
        if others := {log: each for log, each in entries.items() if log not in rows}:
            await original(self, others)
            await asyncio.sleep(APART)
        return await original(self, rows)

    lane.Transactions.commit = commit


MUTANTS = {"no-fence": _no_fence, "no-positions": _no_positions, "outputs-apart": _outputs_apart}


if __name__ == "__main__":
    sys.exit({"worker": worker, "sink": sink}[sys.argv[1]](*sys.argv[2:]))
