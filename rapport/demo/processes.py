"""A whole cluster of plain processes on this machine: a broker, topics, two workers and a sink.

Every process runs in a session of its own: Ctrl-C is for whoever started them, who takes them down in order. Nothing
that was started may outlive it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from rapport.demo.broker import free_ports

RAPPORT = (sys.executable, "-m", "rapport")
BROKER = (sys.executable, "-m", "rapport.demo.broker")
HERE = Path(__file__).parents[2]
"""Where the packages lie that this process runs: those it starts are to run the same."""
START_TIMEOUT = 120.0
"""Seconds a step of coming up may take."""
DRAIN_TIMEOUT = 15.0
"""Seconds a process may take to end by itself."""
REFUSED = (1, 2)
"""Exit codes of a process that did not start: another try would end the same."""


class Interrupted(Exception):
    """Somebody asked to stop."""


class Failed(Exception):
    """The cluster cannot come up, or part of it ended; the text says which and why."""


class LocalCluster:
    """Use it as a context manager: on leaving, everything it started has ended."""

    def __init__(self, folder: Path, asked: Callable[[], object] = bool, address: str = "", prefix: str = "") -> None:
        """`asked`: whether somebody wants it to stop; `address`: a broker that is there already."""
        self.folder = folder
        self.address = address
        """The broker's, once it is up."""
        self.environment = {**os.environ, "RAPPORT_TOPIC_PREFIX": prefix, "PYTHONPATH": str(HERE)}
        self.urls: dict[str, str] = {}
        """HTTP address by name: worker-1, worker-2, sink."""
        self._asked = asked
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, list[str]] = {}

    def __enter__(self) -> LocalCluster:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def sink_data(self) -> Path:
        """The folder that the sink publishes to."""
        return self.folder / "sink"

    def up(self, plan: Path, workers: int = 2) -> None:
        """Everything, until all of it is ready. Raises Failed and Interrupted."""
        if not self.address:
            self.start_broker()
        self.run("topics", "topics", "create", "--brokers", self.address)
        for number in range(1, workers + 1):
            self.start(f"worker-{number}", "worker", "--plan", str(plan))
        self.start("sink", "sink")
        for name in self.urls:
            self._until(partial(answers, f"{self.urls[name]}/ready"), f"{name} does not get ready")

    def start_broker(self) -> None:
        """A broker of its own, which ends with this process whatever becomes of it."""
        told = self.folder / "broker.address"
        with told.open("wb") as out, self.log("broker").open("ab") as log:
            self._parts["broker"] = subprocess.Popen(
                BROKER, stdin=subprocess.PIPE, stdout=out, stderr=log, env=self.environment, start_new_session=True
            )
        self._until(lambda: told.read_text().endswith("\n"), "the broker does not answer")
        self.address = told.read_text().strip()

    def start(self, name: str, *arguments: str) -> None:
        """A worker or a sink with its own data folder and HTTP port."""
        (port,) = free_ports(1)
        command = [*RAPPORT, *arguments, "--brokers", self.address, "--http-port", str(port)]
        self._commands[name] = [*command, "--data", str(self.folder / name)]
        self.urls[name] = f"http://127.0.0.1:{port}"
        self._launch(name)

    def start_again(self) -> list[tuple[str, int]]:
        """As a supervisor does: starts workers and sinks that have ended; their names and exit codes.

        One that refused to start is left to `check`.
        """
        ended = []
        for name in self._commands:
            code = self._parts[name].poll() if name in self._parts else None
            if code is not None and code not in REFUSED:
                self._launch(name)
                ended.append((name, code))
        return ended

    def _launch(self, name: str) -> None:
        with self.log(name).open("ab") as log:
            self._parts[name] = self._process(self._commands[name], log)

    def run(self, name: str, *arguments: str) -> None:
        """A command to its end. Raises Failed where it does not end well."""
        with self.log(name).open("ab") as log:
            running = self._process([*RAPPORT, *arguments], log)
        try:
            while running.poll() is None:
                self.check()
                time.sleep(0.05)
        finally:
            if running.poll() is None:
                end(running)
        if running.returncode:
            raise Failed(f"{name} ended with {running.returncode}:\n{self._last_words(name)}")

    def check(self) -> None:
        """Raises Interrupted when somebody asked to stop and Failed when a process is gone."""
        if self._asked():
            raise Interrupted
        for name, process in self._parts.items():
            if process.poll() is not None:
                raise Failed(f"{name} ended with {process.returncode}:\n{self._last_words(name)}")

    def down(self) -> None:
        """The workers first, so that the sink still gets what they commit; the broker last."""
        for kind in ("worker", "sink", "broker"):
            ending = [self._parts.pop(name) for name in self.running(kind)]
            for process in ending:
                process.terminate()
            for process in ending:
                end(process)
                if process.stdin:
                    process.stdin.close()

    def _process(self, command: Sequence[str], log: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, stdout=log, stderr=log, env=self.environment, start_new_session=True)

    def running(self, kind: str) -> list[str]:
        """Names of the processes of a kind: `worker`, `sink`, `broker`."""
        return [name for name in self._parts if name.startswith(kind)]

    def take(self, name: str) -> subprocess.Popen[bytes]:
        """A process that the caller ends from here on; it is no failure when it is gone."""
        return self._parts.pop(name)

    def pid_of(self, name: str) -> int:
        """The process, to do something to it."""
        return self._parts[name].pid

    def log(self, name: str) -> Path:
        """What a process said."""
        return self.folder / f"{name}.log"

    def _until(self, there: Callable[[], bool], otherwise: str) -> None:
        until = time.monotonic() + START_TIMEOUT
        while not there():
            self.check()
            if time.monotonic() > until:
                raise Failed(f"{otherwise} within {START_TIMEOUT:.0f} s; {self.folder} has the logs")
            time.sleep(0.1)

    def _last_words(self, name: str) -> str:
        return self.log(name).read_text(errors="replace")[-2000:].strip()


def end(process: subprocess.Popen[bytes]) -> None:
    """Has it end by itself within `DRAIN_TIMEOUT`, else, or when somebody gets impatient, by force."""
    process.terminate()
    try:
        process.wait(DRAIN_TIMEOUT)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
