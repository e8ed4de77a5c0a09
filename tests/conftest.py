"""Shared fixtures: the command line, called as a person would call it, and a real broker."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import settings

from kafka_broker import GIVEN, shared_broker
from rapport import cli
from rapport.demo.broker import Broker, NoBroker, start_broker
from rapport.terminal import output

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        """Stdout as the one JSON document it must be."""
        return orjson.loads(self.out)


Rapport = Callable[..., Ended]

LONG = (
    "test_stream_chaos",
    "test_stream_zombies",
    "test_stream_worker",
    "test_rapport_bad_days",
    "test_stream_kill",
    "test_stream_simulation",
    "test_rapport_cluster",
    "test_sinks_consumer",
    "test_rapport_readme",
    "test_stream_upgrade",
    "test_rapport_real_inputs_cluster",
    "test_stream_scenarios",
    "test_rapport_local_cluster",
    "test_rapport_compose",
    "test_stream_topics",
    "test_stream_engine",
)
"""The slowest files: they start first, lest one of them runs alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """Whoever starts the tests may ignore Ctrl-C (`nohup make test &`), and every process started here would inherit
    that: tests that press it would wait for ever."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name == "COLUMNS" or (name.startswith("RAPPORT_") and name != GIVEN):
            monkeypatch.delenv(name)
    for terminal in (output.out, output.err):
        monkeypatch.setattr(terminal, "width", output.PIPED_WIDTH)


@pytest.fixture
def rapport(capfdbinary: pytest.CaptureFixture[bytes]) -> Rapport:
    """`rapport("replay", file, "--data", folder)`; arguments become text."""

    def call(*arguments: object) -> Ended:
        capfdbinary.readouterr()
        code = cli.main([str(each) for each in arguments])
        out, err = capfdbinary.readouterr()
        return Ended(code, out, err.decode())

    return call


@pytest.fixture
def ndjson(tmp_path: Path) -> Callable[..., Path]:
    """Writes events to a file: `ndjson("name.ndjson", {...}, b"raw line", ...)`."""

    def write(name: str, *events: dict[str, Any] | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(
            b"".join((event if isinstance(event, bytes) else orjson.dumps(event)) + b"\n" for event in events)
        )
        return path

    return write


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty data folder that has been published, to be read only."""
    from stream.core.plan import Plan
    from stream.embedded.engine import Engine

    folder = tmp_path_factory.mktemp("published") / "data"
    with Engine.open(folder, Plan()) as engine:
        engine.publish()
    return folder


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One Kafka broker for all tests of this run, in however many processes; each keeps to topics with its `prefix`."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with needed(), shared_broker(folder / "kafka") as shared:
        yield shared


@pytest.fixture
def own_broker() -> Iterator[Broker]:
    """A broker of this test's own, to kill and to restart."""
    with needed():
        own = start_broker()
    yield own
    own.stop()


@pytest.fixture
def prefix(broker: Broker) -> Iterator[str]:
    """What the names of this test's topics, groups and transactions start with; its topics are deleted afterwards."""
    from kafka import KafkaAdminClient

    mine = f"t{secrets.token_hex(4)}-"
    yield mine
    with closing(KafkaAdminClient(bootstrap_servers=broker.address)) as admin:
        if topics := [name for name in admin.list_topics() if name.startswith(mine)]:
            admin.delete_topics(topics, raise_errors=False)


@contextmanager
def needed() -> Iterator[None]:
    """Without a broker a test counts as skipped, in continuous integration as failed."""
    try:
        yield
    except NoBroker as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{error} Or name one in {GIVEN}, as HOST:PORT.")
