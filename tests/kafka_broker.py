"""The broker of the tests: the one that RAPPORT_TEST_BROKER names, else one for all processes of a run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rapport.demo.broker import Broker, locked, start_broker

GIVEN = "RAPPORT_TEST_BROKER"


def any_broker() -> Broker:
    """The given one, else one of our own. Raises NoBroker where none can be had."""
    if not (given := os.environ.get(GIVEN)):
        return start_broker()
    broker = Broker(given)
    broker.wait()
    return broker


@contextmanager
def shared_broker(folder: Path) -> Iterator[Broker]:
    """The broker of all processes that name the same folder; whoever started it stops it when the others have left."""
    folder.mkdir(parents=True, exist_ok=True)
    address = folder / "broker.address"
    with (folder / "broker.users").open("a") as users:
        started: Broker | None = None
        with locked(folder / "broker.lock"):
            if not address.exists():
                started = any_broker()
                address.write_text(started.address)
            shared = Broker(address.read_text())
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield shared
        finally:
            if started is not None:
                with locked(folder / "broker.lock"):
                    fcntl.flock(users, fcntl.LOCK_EX)
                    address.unlink()
                    started.stop()
