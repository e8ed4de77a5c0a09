"""A whole cluster of plain processes on this machine: a broker, topics, two workers and a sink.

As a program (`make cluster`) it runs the demo's month through it, moved so that it ends now, shows where to look, and
goes down cleanly on Ctrl-C or SIGTERM, also while it is still coming up. Its data lies in a temporary folder and goes
with it. Every process runs in a session of its own: Ctrl-C is for this program, which takes them down in order.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from rapport.demo.shop import Month
from rapport.demo.shop_world import DAYS, START
from rapport.demo.tour import plan_of_shop
from rapport.process.signals import Stop
from rapport.replay.local import wall_now
from schemas.instant import DAY, parse, render

RAPPORT = (sys.executable, "-m", "rapport")
ROOT = Path(__file__).parents[1]
BROKER = Path(__file__).with_name("kafka_broker.py")
PATIENCE = 120.0
"""Seconds a step of coming up may take."""
DRAIN = 15.0
"""Seconds a process may take to end by itself."""
SEED = 1


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
        self.environment = {**os.environ, "RAPPORT_TOPIC_PREFIX": prefix, "PYTHONPATH": str(ROOT)}
        self.urls: dict[str, str] = {}
        """HTTP address by name: worker-1, worker-2, sink."""
        self._asked = asked
        self._parts: dict[str, subprocess.Popen[bytes]] = {}

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
            self._until(lambda name=name: answers(f"{self.urls[name]}/ready"), f"{name} does not get ready")

    def start_broker(self) -> None:
        """A broker of its own, which ends with this process whatever becomes of it."""
        told = self.folder / "broker.address"
        with told.open("wb") as out, self.log("broker").open("ab") as log:
            self._parts["broker"] = subprocess.Popen(
                [sys.executable, str(BROKER)], stdin=subprocess.PIPE, stdout=out, stderr=log, start_new_session=True
            )
        self._until(lambda: told.read_text().endswith("\n"), "the broker does not answer")
        self.address = told.read_text().strip()

    def start(self, name: str, *arguments: str) -> None:
        """A worker or a sink with its own data folder and HTTP port."""
        port = free_port()
        command = [*RAPPORT, *arguments, "--brokers", self.address, "--http-port", str(port)]
        with self.log(name).open("ab") as log:
            self._parts[name] = self._process([*command, "--data", str(self.folder / name)], log)
        self.urls[name] = f"http://127.0.0.1:{port}"

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
        until = time.monotonic() + PATIENCE
        while not there():
            self.check()
            if time.monotonic() > until:
                raise Failed(f"{otherwise} within {PATIENCE:.0f} s; {self.folder} has the logs")
            time.sleep(0.1)

    def _last_words(self, name: str) -> str:
        return self.log(name).read_text(errors="replace")[-2000:].strip()


def end(process: subprocess.Popen[bytes]) -> None:
    """Has it end by itself within `DRAIN`, else, or when somebody gets impatient, by force."""
    process.terminate()
    try:
        process.wait(DRAIN)
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


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def month_until(now: int, seed: int) -> Iterator[bytes]:
    """The demo's month, moved so that it ends now; what of it would lie in the future has not happened yet."""
    by = now - (START + DAYS * DAY)
    for line in Month(seed).lines():
        at = _time_of(line)
        if at is None:
            yield line
        elif at + by <= now:
            yield orjson.dumps({**orjson.loads(line), "timestamp": render(at + by)})


def _time_of(line: bytes) -> int | None:
    try:
        return parse(orjson.loads(line)["timestamp"])
    except (ValueError, LookupError, TypeError):
        return None


def published(data: Path, sql: str) -> list[dict[str, Any]]:
    """The rows of a query to what a sink has published; none where nothing is."""
    command = [*RAPPORT, "query", sql, "--json", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, check=False, start_new_session=True)
    rows: list[dict[str, Any]] = orjson.loads(done.stdout) if done.returncode == 0 else []
    return rows


def through(cluster: LocalCluster, sent: int) -> int:
    """Waits until as many lines as were sent are taken, and what they did is published; gives the events applied."""
    while True:
        cluster.check()
        if figure(cluster, "rapport_received_total", "events") >= sent:
            applied = figure(cluster, "rapport_applied_total")
            rows = published(cluster.sink_data, "SELECT count(*) AS events FROM mart.fct_event")
            if rows and rows[0]["events"] == applied:
                return int(applied)
        time.sleep(0.3)


def figure(cluster: LocalCluster, metric: str, topic: str = "") -> float:
    """The sum of a metric over all lanes of all workers, perhaps of one topic alone."""
    label = f'topic="{topic}"' if topic else ""
    total = 0.0
    for name, url in cluster.urls.items():
        if name.startswith("worker"):
            with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
            found = [line for line in lines if line.partition("{")[0] == metric and label in line]
            total += sum(float(line.rpartition(" ")[2]) for line in found)
    return total


COUNTED = """
SELECT (SELECT count(*) FROM mart.dim_customer) AS customers, (SELECT count(*) FROM mart.fct_trigger) AS triggers,
       (SELECT count(*) FROM mart.fct_rejected) AS rejected
"""
LIKELY = """
SELECT user_id FROM mart.dim_customer WHERE user_id IS NOT NULL ORDER BY event_count DESC LIMIT 1
"""


def where_to_look(cluster: LocalCluster) -> Iterable[str]:
    """What to try, line by line."""
    user = published(cluster.sink_data, LIKELY)[0]["user_id"]
    rapport = "rapport" if shutil.which("rapport") else f"{sys.executable} -m rapport"
    yield f"broker     {cluster.address}"
    for name, url in cluster.urls.items():
        yield f"{name:<10} {url}/ready  {url}/metrics"
    yield f"logs       {cluster.folder}"
    yield "Try, from another terminal:"
    yield f"  {rapport} profile --from kafka user_id:{user} --brokers {cluster.address}"
    yield f"  {rapport} doctor --brokers {cluster.address}"
    yield f'  {rapport} query "FROM mart.fct_trigger LIMIT 10" --data {cluster.sink_data}'
    yield f"  kill -9 {cluster.pid_of('worker-1')}   # worker-2 takes over; nothing is lost"


def main(arguments: Sequence[str]) -> int:
    """Runs until it is told to stop; `--once` stops by itself when everything is through."""
    folder = Path(tempfile.mkdtemp(prefix="rapport-cluster-"))
    with Stop() as stop:
        try:
            with LocalCluster(folder, lambda: bool(stop)) as cluster:
                _show(cluster, once="--once" in arguments)
        except Interrupted:
            print("Stopped.", flush=True)
        except Failed as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return 0


def _show(cluster: LocalCluster, once: bool) -> None:
    print("Starting a broker, topics, two workers and a sink ...", flush=True)
    started = time.monotonic()
    cluster.up(plan_of_shop())
    print(f"Up after {time.monotonic() - started:.1f} s. Sending the demo's month, as if it ended now ...", flush=True)
    events = cluster.folder / "events.ndjson"
    lines = list(month_until(wall_now(), SEED))
    events.write_bytes(b"\n".join(lines))
    plan = str(plan_of_shop())
    cluster.run("replay", "replay", str(events), "--to", "kafka", "--brokers", cluster.address, "--plan", plan)
    applied = through(cluster, len(lines))
    counted = published(cluster.sink_data, COUNTED)[0]
    print(
        f"{applied:,} events applied, {counted['customers']:,} customers, {counted['triggers']:,} triggers "
        f"(of the last three days: history starts nothing), {counted['rejected']:,} rejected.",
        *where_to_look(cluster),
        "Ctrl-C takes it all down.",
        sep="\n",
        flush=True,
    )
    while not once:
        cluster.check()
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
