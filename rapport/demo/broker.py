"""A real Kafka broker of this machine, for `make cluster`, tests and benchmarks: started, killed, restarted, stopped.

It runs in a container engine, or from jars with Java 17; Maven copies these into the user's cache, once. As a program
(`python -m rapport.demo.broker`) it prints its address on a line of its own and stops when it is told to end or its
standard input closes.
"""

from __future__ import annotations

import base64
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rapport.terminal import output

POM = Path(__file__).with_name("kafka.pom.xml")
VERSION = re.findall(r"<kafka.version>(.+?)</", POM.read_text(encoding="utf-8"))[0]
NEEDED = "a running container engine, or Java 17 and Maven"
CLUSTER_ID = base64.urlsafe_b64encode(b"rapport's broker")[:22].decode()
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 0, -1)
START_TIMEOUT = 60.0
"""Seconds a broker may take to answer; it is there after 2 on an idle machine."""
OPEN = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
SETTINGS = {
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": OPEN,
    "node.id": "1",
    "process.roles": "broker,controller",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.cleaner.dedupe.buffer.size": str(32 * 1024 * 1024),
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
}
"""One broker that is its own controller, creates no topic unasked and may return right after it was killed."""

SMALL = ("-Xmx512m", "-XX:+UseSerialGC")
"""For a broker beside much else on few cores."""
SHORT_LIVED = "-XX:TieredStopAtLevel=1"
"""In its first minutes the JVM's optimizing compiler takes more than half a core, and earns it back much later."""


class NoBroker(Exception):
    """No broker can be had here; the text says what is needed."""


class Broker:
    """One that others use, too: it can be used, and neither killed nor restarted."""

    def __init__(self, address: str) -> None:
        self.address = address

    def kill(self) -> None:
        """Ends it as `kill -9` does, at once."""
        raise NoBroker("This broker is shared; take one of your own to kill it.")

    def restart(self) -> None:
        """Starts a killed one again, at the same address and with the same data; returns when it answers."""
        raise NoBroker("This broker is shared; take one of your own to restart it.")

    def stop(self) -> None:
        """Ends it for good and removes its data."""

    def wait(self) -> None:
        """Until it answers. Raises NoBroker when it does not within `START_TIMEOUT`."""
        until = time.monotonic() + START_TIMEOUT
        while not _answers(self.address):
            if (ended := self._ended()) or time.monotonic() > until:
                raise NoBroker(f"The broker at {self.address} does not answer. {ended}")
            time.sleep(0.05)

    def _ended(self) -> str:
        """Why it never will answer; empty while it may."""
        return ""


class JarBroker(Broker):
    """A process of this machine, from the jars. `listeners` are further ones (name: address); `settings` say more.

    One that is `long_lived` optimizes itself, as a broker in production does; that takes it some minutes under load.
    """

    def __init__(
        self,
        settings: Mapping[str, str] = {},
        listeners: Mapping[str, str] = {},
        users: Mapping[str, str] = {},
        long_lived: bool = False,
    ) -> None:
        port, controller = free_ports(2)
        super().__init__(f"127.0.0.1:{port}")
        self.folder = Path(tempfile.mkdtemp(prefix="rapport-kafka-"))
        more = "".join(f",{name}://{address}" for name, address in listeners.items())
        properties = {
            **SETTINGS,
            **settings,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}{more}",
            "advertised.listeners": f"PLAINTEXT://{self.address}{more}",
            "log.dirs": str(self.folder / "data"),
        }
        self._settings = self.folder / "server.properties"
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        self._log = self.folder / "broker.log"
        self._options = SMALL if long_lived else (*SMALL, SHORT_LIVED)
        self._classpath = f"{jars()}/*"
        self._format(users)
        self.restart()

    @property
    def pid(self) -> int:
        """Of the broker's process."""
        return self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self._process = self._run()
        try:
            self.wait()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _java(self, *arguments: str) -> list[str]:
        level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return ["java", *self._options, level, "-cp", self._classpath, *arguments]

    def _format(self, users: Mapping[str, str]) -> None:
        scram = [
            f"--add-scram={kind}=[name={name},password={password}]"
            for name, password in users.items()
            for kind in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        ]
        command = self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._settings), *scram)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoBroker(f"The broker's storage cannot be prepared: {done.stderr.strip()[-2000:]}")

    def _run(self) -> subprocess.Popen[bytes]:
        """In a session of its own: Ctrl-C is for those who use the broker."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._java("kafka.Kafka", str(self._settings)), stdout=log, stderr=log, start_new_session=True
            )

    def _ended(self) -> str:
        if self._process.poll() is None:
            return ""
        return f"It ended with {self._process.returncode}: {self._log.read_text()[-2000:]}"


class ContainerBroker(Broker):
    """The official image in a container engine."""

    def __init__(self) -> None:
        (port,) = free_ports(1)
        super().__init__(f"127.0.0.1:{port}")
        properties = {
            **SETTINGS,
            "controller.quorum.voters": "1@localhost:9093",
            "listeners": f"PLAINTEXT://:{port},CONTROLLER://:9093",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "log.dirs": "/tmp/kafka-data",  # noqa: S108 - inside the container
        }
        settings = [f"--env=KAFKA_{name.upper().replace('.', '_')}={value}" for name, value in properties.items()]
        published = f"--publish=127.0.0.1:{port}:{port}"
        self._id = _docker("run", "--detach", published, *settings, f"apache/kafka:{VERSION}")
        self.wait()

    def kill(self) -> None:
        _docker("kill", "--signal=KILL", self._id)

    def restart(self) -> None:
        _docker("start", self._id)
        self.wait()

    def stop(self) -> None:
        _docker("rm", "--force", "--volumes", self._id)


def start_broker() -> JarBroker | ContainerBroker:
    """One that may be killed. Raises NoBroker where none can be started."""
    if shutil.which("docker") and _engine_answers():
        return ContainerBroker()
    if shutil.which("java") and shutil.which("mvn"):
        return JarBroker()
    raise NoBroker(f"A Kafka broker is needed: {NEEDED}.")


def jars() -> Path:
    """The folder of the broker's jars; fetched by Maven the first time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rapport"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"kafka-{VERSION}"
    with locked(cache / "kafka.lock"):
        if not folder.exists():
            partial = cache / f"kafka-{VERSION}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            goal = ["dependency:copy-dependencies", f"-DoutputDirectory={partial}"]
            done = subprocess.run(
                ["mvn", "-B", "-q", "-f", str(POM), *goal], capture_output=True, text=True, check=False
            )
            if done.returncode:
                said = next((line for line in done.stdout.splitlines() if "ERROR" in line), "no reason given")
                raise NoBroker(f"A Kafka broker is needed: {NEEDED}; Maven cannot fetch Kafka {VERSION}: {said}")
            partial.rename(folder)
    return folder


def _answers(address: str) -> bool:
    """Asks for the broker's API versions by hand: clients leave sockets open when they are refused."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1) as asked:
            asked.sendall(API_VERSIONS)
            return len(asked.recv(4)) == 4
    except OSError:
        return False


def _engine_answers() -> bool:
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoBroker(f"docker {arguments[0]}: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Runs a broker until SIGTERM, SIGINT or the end of standard input."""

    def end(_signum: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        broker = start_broker()
    except NoBroker as error:
        output.complain(str(error))
        return 1
    try:
        output.show(broker.address)
        sys.stdin.read()
    except KeyboardInterrupt:
        pass
    finally:
        broker.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
