"""`--json`: one JSON value on stdout and nothing else, with the fields that docs/json.md names, for every command."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer

from conftest import Ended
from rapport import cli
from rapport.demo.broker import Broker, free_ports
from rapport.demo.processes import answers
from rapport_shell import ENVIRONMENT, ROOT, start

PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `rapport ([a-z ]+)` \| (.+) \|$", PAGE, re.MULTILINE))
OTHERS = {"replay", "profile", "--to kafka", "--tables"}
"""What stands in backticks in a row and is no field."""
EVENTS = (
    {"type": "identify", "messageId": "m1", "userId": "ann", "traits": {"email": "ann@example.com"}},
    {"type": "track", "event": "Signed Up", "userId": "ann", "messageId": "m2"},
    b"{nonsense",
)
LOCAL = {
    "doctor": (),
    "profile": ("user_id:ann",),
    "find": ("ann",),
    "identity log": (),
    "identity explain": ("user_id:ann", "email:ann@example.com"),
    "rejected list": (),
    "rejected show": ("",),
    "rejected summary": (),
    "rejected replay": (),
    "publish": (),
    "compact": (),
    "config show": (),
    "identity split": ("user_id:ann", "email:ann@example.com"),
    "identity unsplit": ("user_id:ann", "email:ann@example.com"),
    "identity merge": ("user_id:ann", "email:ann@example.com"),
    "identity quarantine": ("user_id:ann",),
    "identity release": ("user_id:ann",),
    "rejected discard": ("--all",),
}
"""Commands on a data folder, and their other arguments."""
ELSEWHERE = {
    "init",
    "replay",
    "import",
    "query",
    "demo",
    "rules check",
    "rules test",
    "topics create",
    "topics check",
    "sink",
}
WAIT_TIMEOUT = 90.0


def commands(group: Any = None, names: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command that has `--json`, by its name."""
    for name, command in (group or typer.main.get_command(cli.app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*names, name))
        elif any("--json" in option.opts for option in command.params):
            yield " ".join((*names, name))


def fields(command: str) -> list[set[str]]:
    """The fields that the page names for a command, and for other ways to call it."""
    ways = ROWS[command].split(" With `")
    return [set(re.findall(r"`([a-z_0-9]+)`", way)) - OTHERS for way in ways]


def printed(ended: Ended) -> Any:
    """The value; nothing stands before or behind it."""
    assert ended.code == 0, ended.err
    return orjson.loads(ended.out)


def test_the_page_names_every_command_that_has_it_and_each_is_run_here() -> None:
    assert set(ROWS) == set(commands()) == LOCAL.keys() | ELSEWHERE


def test_what_a_command_on_a_data_folder_prints(
    rapport: Callable[..., Ended], ndjson: Callable[..., Path], tmp_path: Path
) -> None:
    place = ("--data", tmp_path / "d", "--json")
    file = ndjson("a.ndjson", *EVENTS)
    assert set(printed(rapport("replay", file, *place))) == fields("replay")[0]
    for command, arguments in LOCAL.items():
        value = printed(rapport(*command.split(), *arguments, *place))
        named = fields(command)[0] | (fields("replay")[0] if command == "rejected replay" else set())
        found = value[0] if isinstance(value, list) else value
        if command == "config show":
            assert all(set(each) == {"value", "from"} for each in found.values())
        else:
            assert set(found) == named, command
    assert printed(rapport("query", "SELECT 1 AS one", *place)) == [{"one": 1}]
    assert set(printed(rapport("query", "--tables", *place))[0]) == fields("query")[1]

    (tmp_path / "a.csv").write_text("who\nann\n")
    (tmp_path / "a.sql").write_text("SELECT 'page' AS type, who AS user_id FROM source")
    imported = printed(rapport("import", tmp_path / "a.csv", "--sql", tmp_path / "a.sql", *place))
    assert set(imported) == fields("replay")[0]


def test_what_a_command_on_a_plan_prints(rapport: Callable[..., Ended], tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    assert set(printed(rapport("init", plan, "--json"))) == fields("init")[0]
    assert set(printed(rapport("rules", "check", plan, "--json"))) == {"ok", "plan", "rules", "warnings"}
    assert set(printed(rapport("rules", "test", plan, "--json"))) == {"ok", "tests"}
    (plan / "identity.yaml").write_text("prioritee: [email]\n")
    for command in ("check", "test"):
        refused = rapport("rules", command, plan, "--json")
        assert (refused.code, set(orjson.loads(refused.out))) == (1, {"ok", "problems"})
    assert fields("rules check") == [{"ok", "plan", "rules", "warnings", "problems"}]
    assert fields("rules test") == [{"ok", "tests", "problems"}]


def test_what_the_demo_prints(rapport: Callable[..., Ended], tmp_path: Path) -> None:
    assert set(printed(rapport("demo", "--data", tmp_path / "d", "--json"))) == fields("demo")[0]


def test_what_a_command_that_is_refused_prints(rapport: Callable[..., Ended], tmp_path: Path) -> None:
    ended = rapport("profile", "user_id:nobody", "--data", tmp_path / "none", "--json")
    assert (ended.code, ended.out) == (1, b"")
    assert ended.err.startswith("rapport: ")


def test_what_a_command_on_a_cluster_prints(
    rapport: Callable[..., Ended],
    ndjson: Callable[..., Path],
    broker: Broker,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"RAPPORT_TOPIC_PREFIX": prefix, "RAPPORT_BROKERS": broker.address}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert set(printed(rapport("topics", "create", "--json"))) == fields("topics create")[0]
    assert set(printed(rapport("topics", "check", "--json"))) == fields("topics check")[0]
    sent = printed(rapport("replay", ndjson("a.ndjson", *EVENTS), "--to", "kafka", "--json"))
    assert set(sent) == fields("replay")[1] | {"read", "rejected", "seconds"}

    (port,) = free_ports(1)
    options = ("sink", "--json", "--data", tmp_path / "tables", "--http-port", port)
    sink = start(*options, env={**ENVIRONMENT, **given}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    until = time.monotonic() + WAIT_TIMEOUT
    while not answers(f"http://127.0.0.1:{port}/ready") and time.monotonic() < until:
        time.sleep(0.1)
    sink.send_signal(signal.SIGTERM)
    out, _ = sink.communicate(timeout=WAIT_TIMEOUT)
    assert (sink.returncode, set(orjson.loads(out))) == (0, fields("sink")[0])
