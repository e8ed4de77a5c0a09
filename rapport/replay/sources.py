"""Where a run's events come from: files, standard input, a table read by SQL, or bytes kept from an earlier refusal.

A source hands out batches. One that may fall silent (a pipe, standard input) hands out an empty batch now and then, so
that what came in is committed and timers are looked at while it is silent.
"""

from __future__ import annotations

import secrets
import shlex
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING

from rapport.process.signals import WAITING
from schemas.errors import InputError, UsageError
from schemas.messages import Event, Rejected
from stream.core.intake import Intake

if TYPE_CHECKING:
    from ingest.sql_errors import Sql
    from ingest.tables import Reading

BATCH = 4_000
BATCH_TIMEOUT = 0.2
"""Seconds after which a batch is closed, full or not: what trickles in is committed as it comes."""

_JQ = {"one JSON array": ".[]", "JSON over several lines": "."}

Outcome = Event | Rejected
Seen = Callable[[int, int | None], None]
"""Told how many bytes have been read, and of how many."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A run of at most `BATCH` outcomes, to be read once."""

    outcomes: Iterable[Outcome]
    piped: bool = False
    """From a source that may fall silent and never end."""
    silent: bool = False
    """Its source had nothing more at hand when it was closed."""


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    outcomes: Callable[[Intake, Seen], Iterator[Outcome]]
    may_wait: bool = False

    def batches(self, intake: Intake, seen: Seen) -> Iterator[Batch]:
        """Each batch is made while it is read: read it to its end before asking for the next."""
        outcomes = self.outcomes(intake, seen)
        if self.may_wait:
            yield from _patient(outcomes)
        else:
            for first in outcomes:
                yield Batch(chain((first,), islice(outcomes, BATCH - 1)))


def files(names: Iterable[str]) -> list[Source]:
    """Files of NDJSON; `-` is standard input.

    Raises UsageError where one does not exist, and InputError where one is plainly of another kind.
    """
    sources = []
    for name in names:
        if name == "-":
            sources.append(Source("stdin", _lines(name, "stdin", piped=True), may_wait=True))
            continue
        path = Path(name)
        if path.is_dir():
            raise UsageError(f"{name} is a folder; name the files in it, for example {name.rstrip('/')}/*.ndjson")
        if not path.exists():
            raise UsageError(f"{name}: no such file")
        piped = not path.is_file()
        if not piped:
            _look(name)
        sources.append(Source(path.name, _lines(name, path.name, piped), may_wait=piped))
    return sources


def _lines(path: str, name: str, piped: bool) -> Callable[[Intake, Seen], Iterator[Outcome]]:
    def outcomes(intake: Intake, seen: Seen) -> Iterator[Outcome]:
        from ingest.files import read_lines

        look = _only_lines(path, piped)
        return intake.lines(read_lines(path, seen, look), name, secrets.token_hex(4) if piped else "")

    return outcomes


def _look(path: str) -> None:
    """Looks how a file begins, before any of the files is taken."""
    from ingest.files import read_lines

    with closing(read_lines(path, look=_only_lines(path, piped=False))) as lines:
        next(lines, None)


def _only_lines(path: str, piped: bool) -> Callable[[bytes], None]:
    """Shown how a file begins, raises InputError where it holds no JSON lines."""
    from ingest.kinds import other_kind

    def look(head: bytes) -> None:
        if kind := other_kind(head, piped):
            name, file = ("standard input", "FILE") if path == "-" else (path, shlex.quote(path))
            raise InputError(
                f"{name} is {kind}, and replay takes one JSON object a line: "
                f"shape it with `rapport import {file} --sql FILE.sql` (docs/imports.md)"
                + (f", or write lines with `jq -c '{_JQ[kind]}' {file}`." if kind in _JQ else ".")
            )

    return look


def table(path: Path, sql: Sql, reading: Reading, others: Mapping[str, Path]) -> Source:
    """A CSV, Parquet or JSON file as events, by a SELECT from `source` and from files under names of their own."""
    for each in (path, *others.values()):
        if not each.is_file():
            raise UsageError(f"{each}: no such file")

    def outcomes(intake: Intake, _seen: Seen) -> Iterator[Outcome]:
        from ingest.imports import rows

        return intake.values(rows(path, sql, reading, others), path.name)

    return Source(path.name, outcomes)


def kept(originals: Iterable[bytes], name: str) -> Source:
    """Originals of refused input, once more."""
    return Source(name, lambda intake, _seen: intake.lines(originals, name))


def _patient(outcomes: Iterator[Outcome]) -> Iterator[Batch]:
    """Batches that close when they are full or when their time is over; then they may be empty.

    Only a thread can wait for input and leave the main one free to commit, to fire timers and to hear a signal.
    """
    queue: Queue[Outcome | BaseException | None] = Queue(2 * BATCH)

    def read() -> None:
        try:
            for outcome in outcomes:
                queue.put(outcome)
            queue.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again by the reader of the queue
            queue.put(error)

    threading.Thread(target=read, name=WAITING, daemon=True).start()
    while True:
        batch: list[Outcome] = []
        closing = time.monotonic() + BATCH_TIMEOUT
        try:
            while len(batch) < BATCH:
                item = queue.get(timeout=max(0.0, closing - time.monotonic()))
                if item is None or isinstance(item, BaseException):
                    if batch:
                        yield Batch(batch, piped=True, silent=True)
                    if item is not None:
                        raise item
                    return
                batch.append(item)
        except Empty:
            pass
        yield Batch(batch, piped=True, silent=len(batch) < BATCH)
