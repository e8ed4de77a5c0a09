"""compose.yaml and the Dockerfile: checked against the specification, and every service run as plain processes.

The broker is configured from the very environment that the official image would get, the other services run their very
commands; only what containers give is replaced: host names, ports, mounted folders and secrets.
`data/compose-spec.json` is the Compose Specification's own schema (Apache-2.0).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from kafka_broker import GIVEN
from rapport.customers.cluster import got
from rapport.demo.broker import CLUSTER_ID, NEEDED, VERSION, free_ports, jars
from rapport.demo.cluster import published
from rapport_shell import ROOT, ran

COMPOSE = YAML(typ="safe").load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("rapport")]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROMETHEUS = YAML(typ="safe").load((ROOT / "deploy" / "prometheus.yml").read_text())
WAIT_TIMEOUT = 60.0


def test_compose_is_what_the_specification_says() -> None:
    schema = json.loads((ROOT / "tests" / "data" / "compose-spec.json").read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(COMPOSE)] == []


def test_the_schema_would_notice_a_mistake() -> None:
    schema = json.loads((ROOT / "tests" / "data" / "compose-spec.json").read_text())
    wrong = {"services": {"sink": {"image": "rapport", "comand": ["sink"]}}}
    assert any(Draft7Validator(schema).iter_errors(wrong))


def test_all_that_is_named_is_there() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", ())) <= SERVICES.keys(), name
        assert set(service.get("secrets", ())) <= COMPOSE["secrets"].keys(), name
        for volume in service.get("volumes", ()):
            source = volume.rsplit(":", 2)[0] if volume.endswith(":ro") else volume.rsplit(":", 1)[0]
            folder = re.sub(r"\$\{\w+:-(.+?)\}", r"\1", source)
            assert folder in COMPOSE["volumes"] or (ROOT / folder).exists(), volume


def test_images_are_pinned_and_the_broker_is_the_tested_one() -> None:
    images = {service["image"] for service in SERVICES.values()}
    assert all(re.search(r":v?\d+\.\d+\.\d+$", image) for image in images - {"rapport:local"})
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{VERSION}"


def test_nothing_listens_beyond_loopback_and_no_secret_has_a_value() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    text = (ROOT / "compose.yaml").read_text()
    assert not re.search(r"(?i)(password|token|secret)\w*:[ ]+[^\s/\[.#]", text.replace("http-token:", ""))


def test_prometheus_asks_every_process_that_answers() -> None:
    [job] = PROMETHEUS["scrape_configs"]
    targets = {target for each in job["static_configs"] for target in each["targets"]}
    serving = {
        name: each["environment"]
        for name, each in SERVICES.items()
        if "RAPPORT_HTTP_PORT" in each.get("environment", {})
    }
    assert targets == {f"{name}:{environment['RAPPORT_HTTP_PORT']}" for name, environment in serving.items()}
    assert job["authorization"]["credentials_file"] == serving["sink"]["RAPPORT_HTTP_TOKEN_FILE"]


def test_the_image_runs_as_nobody_in_particular_and_gets_signals_itself() -> None:
    instructions = re.findall(r"^([A-Z]+) (.*)$", DOCKERFILE, re.MULTILINE)
    last = dict(instructions)
    assert json.loads(last["ENTRYPOINT"]) == ["rapport"]
    assert int(last["USER"]) > 0
    stages = DOCKERFILE.split("\nFROM ")
    assert not re.search(r"\b(apt-get|pip|gcc)\b", stages[-1])
    copied = {
        source for line in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]
    }
    assert all((ROOT / source).exists() for source in copied)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed


class Stack(NamedTuple):
    """The services as processes, where containers would have put them."""

    folder: Path
    ports: dict[str, int]
    processes: dict[str, subprocess.Popen[bytes]]
    token: str

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def until(self, there: Callable[[], bool]) -> None:
        until = time.monotonic() + WAIT_TIMEOUT
        while not there():
            for name, process in self.processes.items():
                assert process.poll() is None, (name, self.log(name))
            assert time.monotonic() < until, {name: self.log(name) for name in self.processes}
            time.sleep(0.1)

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder
            )

    def outside(self, text: str) -> str:
        """What a container sees, as this machine has it."""
        for inside, port in (("kafka:9092", "inside"), ("kafka:9093", "controller"), ("localhost:9094", "host")):
            text = text.replace(inside, f"127.0.0.1:{self.ports[port]}")
        for inside, port in ((":9092", "inside"), (":9093", "controller"), (":9094", "host")):
            text = re.sub(rf"//{inside}\b", f"//127.0.0.1:{self.ports[port]}", text)
        return text

    def mounted(self, service: dict[str, Any]) -> dict[str, str]:
        """Path in the container -> path here."""
        paths = {"/run/secrets/http-token": str(self.folder / "http-token")}
        for volume in service.get("volumes", ()):
            source, target = volume.removesuffix(":ro").rsplit(":", 1)
            source = re.sub(r"\$\{\w+:-(.+?)\}", r"\1", source)
            paths[target] = str(
                (ROOT / source).resolve() if source.startswith(".") else self.folder / "volumes" / source
            )
        return paths

    def environment(self, name: str) -> dict[str, str]:
        service = SERVICES[name]
        paths = self.mounted(service)
        paths.setdefault("/data", str(self.folder / "volumes" / f"{name}-data"))
        given = {key: paths.get(value, self.outside(value)) for key, value in service["environment"].items()}
        if "RAPPORT_HTTP_PORT" in given:
            given["RAPPORT_HTTP_PORT"] = str(self.ports[name])
        return {
            **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
            "PYTHONPATH": str(ROOT),
            **given,
        }


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything that compose.yaml starts but Prometheus, in its order."""
    if not (shutil.which("java") and shutil.which("mvn")):
        if os.environ.get("CI") == "true":
            pytest.fail("the broker of compose.yaml needs Java 17 and Maven")
        pytest.skip(f"A Kafka broker is needed: Java 17 and Maven ({NEEDED}; {GIVEN} cannot stand in here).")
    ports = {name: free_ports(1)[0] for name in ("inside", "controller", "host", *OURS)}
    running = Stack(tmp_path_factory.mktemp("compose"), ports, {}, secrets.token_hex(32))
    (running.folder / "http-token").write_text(running.token + "\n")
    with ExitStack() as ending:
        ending.callback(lambda: [process.kill() or process.wait() for process in running.processes.values()])
        _start_broker(running)
        for name in OURS:
            command = [sys.executable, "-m", "rapport", *SERVICES[name]["command"]]
            process = running.start(name, command, running.environment(name))
            if name == "topics":
                assert process.wait(WAIT_TIMEOUT) == 0, running.log(name)
            else:
                running.processes[name] = process
        for name in running.processes:
            if name != "kafka":
                running.until(lambda name=name: got(running.url(name), "/ready")[0] == 200)
        yield running


def _start_broker(running: Stack) -> None:
    """As the official image does: every KAFKA_ variable is a property, the storage is formatted at the first start."""
    environment = {key: running.outside(value) for key, value in SERVICES["kafka"]["environment"].items()}
    options = shlex.split(environment.pop("KAFKA_HEAP_OPTS"))
    environment["KAFKA_LOG_DIRS"] = running.mounted(SERVICES["kafka"])[environment["KAFKA_LOG_DIRS"]]
    settings = running.folder / "server.properties"
    lines = (f"{key.removeprefix('KAFKA_').lower().replace('_', '.')}={value}\n" for key, value in environment.items())
    settings.write_text("".join(lines))
    java = ["java", *options, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{jars()}/*"]
    formatted = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings)]
    subprocess.run(formatted, check=True, capture_output=True)
    running.processes["kafka"] = running.start("kafka", [*java, "kafka.Kafka", str(settings)], dict(os.environ))
    check = ["-m", "rapport", "topics", "check", "--json", "--brokers", f"127.0.0.1:{running.ports['host']}"]
    running.until(lambda: b"differences" in ran_in(check).stdout)


def ran_in(arguments: list[str]) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=False)


def test_the_images_health_check_passes_for_each_process(stack: Stack) -> None:
    found = re.search(r'HEALTHCHECK .*?CMD (\[.*?"\])', DOCKERFILE.replace("\\\n", ""), re.DOTALL)
    assert found
    command = json.loads(found[1])
    assert command[0] == "python"
    for name in ("worker-1", "worker-2", "sink"):
        environment = {**os.environ, "RAPPORT_HTTP_PORT": str(stack.ports[name])}
        assert subprocess.run([sys.executable, *command[1:]], env=environment, check=False).returncode == 0
    nobody = {**os.environ, "RAPPORT_HTTP_PORT": str(free_ports(1)[0])}
    assert subprocess.run([sys.executable, *command[1:]], env=nobody, capture_output=True, check=False).returncode == 1


def test_what_customers_are_needs_the_token(stack: Stack) -> None:
    for name, path in (("worker-1", "/metrics"), ("worker-2", "/profile?id=a:b"), ("sink", "/metrics")):
        assert got(stack.url(name), path)[0] == 401
    assert got(stack.url("worker-1"), "/profile?id=user_id:nobody", stack.token)[0] == 404


def test_events_go_in_and_come_out_and_sigterm_drains(stack: Stack) -> None:
    events = stack.folder / "events.ndjson"
    event = '{{"type":"track","event":"Visited","userId":"u-{0}","anonymousId":"a-{0}","messageId":"m-{0}"}}\n'
    events.write_text("".join(event.format(number) for number in range(300)))
    environment = stack.environment("topics")
    sent = ran("replay", events, "--to", "kafka", env=environment)
    assert sent.code == 0, sent.err
    lake = Path(stack.mounted(SERVICES["sink"])["/data"])
    counted = "SELECT count(*) AS customers, sum(event_count) AS events FROM mart.dim_customer"
    stack.until(lambda: published(lake, counted) == [{"customers": 300, "events": 300}])
    for number in range(0, 300, 30):
        for name in ("worker-1", "worker-2"):
            status, customer = got(stack.url(name), f"/profile?id=anonymous_id:a-{number}", stack.token)
            assert (status, customer.get("event_count")) == (200, 1), customer
    asked = {**environment, "RAPPORT_HTTP_TOKEN_FILE": str(stack.folder / "http-token")}
    shown = ran("profile", "--from", "kafka", "anonymous_id:a-7", "--json", env=asked)
    assert shown.code == 0, shown.err
    assert shown.json["identifiers"][0]["value"] == "u-7"
    refused = ran("profile", "--from", "kafka", "anonymous_id:a-7", env=environment)
    assert (refused.code, "RAPPORT_HTTP_TOKEN_FILE" in refused.err) == (1, True)
    for name in ("worker-1", "worker-2", "sink"):
        process = stack.processes.pop(name)
        grace = float(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(grace) == 0, stack.log(name)
