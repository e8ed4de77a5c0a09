"""The port `profiles.rows.Store`: the contract that each store of rows passes, both of RocksDB and the simulator's."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from stream.embedded.store import LocalStore
from stream.kafka.lanestore import CHANGELOG, LaneStore, Memory, Reached
from stream.simulation import broker

Changes = Mapping[bytes, bytes | None]


class Kept(Protocol):
    """A store and how its runner writes, closes and opens it."""

    store: Any

    def write(self, changes: Changes) -> None: ...

    def reopen(self) -> None: ...

    def end(self) -> None: ...


class Local:
    """The embedded engine's; every commit is on disk, whether or not it is closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = LocalStore(folder)

    def write(self, changes: Changes) -> None:
        self.store.commit(changes, {})

    def reopen(self) -> None:
        self.store.release()
        self.store = LocalStore(self.folder)

    def end(self) -> None:
        self.store.close()


class Lane:
    """A worker's; what it was not closed with comes from the changelog."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory = Memory()
        self.store = LaneStore(folder, self.memory)

    def write(self, changes: Changes) -> None:
        self.store.write(changes.items(), Reached(0, 0))

    def reopen(self) -> None:
        self.store.close()
        self.store = LaneStore(self.folder, self.memory)

    def end(self) -> None:
        self.store.close()


class Simulated:
    """The simulator's, which is durable by itself."""

    def __init__(self, folder: Path) -> None:
        self.store = broker.Memory()

    def write(self, changes: Changes) -> None:
        self.store.write(changes)

    def reopen(self) -> None:
        pass

    def end(self) -> None:
        pass


@pytest.fixture(params=[Local, Lane, Simulated], ids=lambda kind: kind.__name__)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    found: Kept = request.param(tmp_path)
    yield found
    found.end()


def scanned(kept: Kept, prefix: bytes) -> list[tuple[bytes, bytes]]:
    """What a scan gives, without what a store notes for itself."""
    return [(key, value) for key, value in kept.store.scan(prefix) if key != CHANGELOG]


def test_what_was_never_written_is_none(kept: Kept) -> None:
    assert kept.store.get(b"iemail:a") is None
    assert scanned(kept, b"i") == []


@pytest.mark.parametrize("value", [b"", b"\0", b"[1]\n\xff", b"x" * 70_000], ids=len)
def test_a_value_comes_back_to_the_byte(kept: Kept, value: bytes) -> None:
    kept.write({b"w\0\0\0\0\0\0\0\1email:a": value})
    assert kept.store.get(b"w\0\0\0\0\0\0\0\1email:a") == value
    assert scanned(kept, b"w") == [(b"w\0\0\0\0\0\0\0\1email:a", value)]


def test_a_later_value_replaces_an_earlier_one(kept: Kept) -> None:
    kept.write({b"ia": b"1"})
    kept.write({b"ia": b"2"})
    assert kept.store.get(b"ia") == b"2"
    assert scanned(kept, b"i") == [(b"ia", b"2")]


def test_what_is_deleted_is_gone_and_may_come_again(kept: Kept) -> None:
    kept.write({b"ia": b"1", b"ib": b"1"})
    kept.write({b"ia": None, b"never": None})
    assert kept.store.get(b"ia") is None
    assert scanned(kept, b"i") == [(b"ib", b"1")]
    kept.write({b"ia": b"2"})
    assert scanned(kept, b"i") == [(b"ia", b"2"), (b"ib", b"1")]


def test_a_scan_gives_what_starts_so_in_order_of_the_bytes(kept: Kept) -> None:
    keys = [
        b"o\xc3\xa9\0m",
        b"oa\0m\0z",
        b"oa\0m\0a",
        b"oa\0ma",
        b"oa\0l",
        b"oab\0m",
        b"o",
        b"p",
        b"n",
        b"\xff",
        b"\xff\xff",
    ]
    kept.write(dict.fromkeys(keys, b"1"))
    found = [key for key, _ in scanned(kept, b"oa\0m")]
    assert found == [b"oa\0m\0a", b"oa\0m\0z", b"oa\0ma"]
    assert [key for key, _ in scanned(kept, b"\xff")] == [b"\xff", b"\xff\xff"]
    assert [key for key, _ in scanned(kept, b"")] == sorted(keys)


def test_all_of_a_write_or_nothing(kept: Kept) -> None:
    """What fails half-way has changed nothing."""

    class Failing(dict[bytes, bytes | None]):
        def items(self) -> Any:
            yield b"ia", b"2"
            yield b"ib", None
            raise ArithmeticError

    kept.write({b"ia": b"1", b"ib": b"1"})
    with pytest.raises(ArithmeticError):
        kept.write(Failing())
    assert scanned(kept, b"i") == [(b"ia", b"1"), (b"ib", b"1")]


def test_what_was_written_is_there_after_opening_again(kept: Kept) -> None:
    kept.write({b"ia": b"1", b"ib": b"1", b"w": b""})
    kept.write({b"ia": None})
    kept.reopen()
    assert kept.store.get(b"ia") is None
    assert scanned(kept, b"") == [(b"ib", b"1"), (b"w", b"")]


def test_several_keys_are_read_as_one_by_one(tmp_path: Path) -> None:
    """Only the embedded store reads several in one go."""
    kept = Local(tmp_path)
    kept.write({b"ia": b"1", b"ib": b""})
    keys = [b"ib", b"ic", b"ia", b"ib"]
    assert kept.store.get_all(keys) == [kept.store.get(key) for key in keys] == [b"", None, b"1", b""]
    assert kept.store.get_all([]) == []
    kept.end()


@pytest.mark.parametrize("seed", [1, os.environ.get("RAPPORT_SEED", "drawn")])
def test_any_history_of_writes_leaves_what_a_dictionary_would(kept: Kept, seed: int | str) -> None:
    """Set RAPPORT_SEED to repeat the drawn one."""
    drawn = secrets.randbelow(10_000) if seed == "drawn" else int(seed)
    print(f"RAPPORT_SEED={drawn}")
    dice = random.Random(drawn)
    parts = (b"\0", b"a", b"b", b"\xff", b"")
    key: Callable[[], bytes] = lambda: b"k" + b"".join(dice.choice(parts) for _ in range(4))  # noqa: E731
    expected: dict[bytes, bytes] = {}
    for _ in range(60):
        changes = {
            key(): None if dice.random() < 0.4 else b"%d" % dice.randrange(99) for _ in range(dice.randrange(12))
        }
        kept.write(changes)
        expected = {**expected, **changes}
        expected = {name: value for name, value in expected.items() if value is not None}
        if dice.random() < 0.1:
            kept.reopen()
        prefix, name = key()[: dice.randrange(5)], key()
        assert kept.store.get(name) == expected.get(name)
        assert scanned(kept, prefix) == sorted((k, v) for k, v in expected.items() if k.startswith(prefix))
