"""Shared fixtures: the command line, called as a person would call it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import settings

from rapport import cli, console

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


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAPPORT_DATA", "RAPPORT_PLAN", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for terminal in (console.out, console.err):
        monkeypatch.setattr(terminal, "width", console.PIPED_WIDTH)


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
