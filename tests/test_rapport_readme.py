"""The README's transcripts are real output: each command is executed and its answer compared.

And what the pages name is there: every command, every target of make, every page.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rapport import cli
from rapport.demo.broker import Broker, free_ports
from rapport.demo.processes import end
from rapport_shell import ENVIRONMENT, ROOT, ran

README = ROOT / "README.md"
PAGES = (README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
ANY_LINES = "..."
ASKED_AGAIN = ("profile", "query", "doctor")
"""What shows the work of others, who need some seconds for it."""
WAIT_TIMEOUT = 90.0


def transcript(kind: str = "transcript") -> list[tuple[str, list[str]]]:
    """Commands with the lines that follow them."""
    text = README.read_text(encoding="utf-8")
    block = re.search(rf"<!-- {kind}:.*?-->\n```console\n(.*?)```\n<!-- end of transcript -->", text, re.DOTALL)
    assert block is not None
    parts = re.split(r"^\$ (.*)\n", block[1], flags=re.MULTILINE)[1:]
    return [(command, shown.rstrip("\n").split("\n")) for command, shown in zip(parts[::2], parts[1::2], strict=True)]


def comparable(line: str) -> str:
    """A line without what differs from run to run: seconds, and spaces at its end."""
    return re.sub(r"\b\d+\.\d s\b", "N s", line).rstrip()


def loosely_comparable(line: str) -> str:
    """A line without what else differs from one cluster to another: ports, times, sizes, and the widths of these."""
    for pattern, name in (
        (r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b", "TIME"),
        (r"\b\d+\.\d (MB|GB)", r"N \1"),
        (r"\(\d+ a second\)", "(N a second)"),
        (r"http://127\.0\.0\.1:\d+", "URL"),
        (" {2,}", "  "),
    ):
        line = re.sub(pattern, name, line)
    return comparable(line)


def matches(shown: list[str], real: list[str], of: Callable[[str], str] = comparable) -> bool:
    pattern = "".join(".*" if line == ANY_LINES else re.escape(of(line)) + "\n" for line in shown)
    return re.fullmatch(pattern, "".join(of(line) + "\n" for line in real), re.DOTALL) is not None


def test_the_transcript_is_real(rapport, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = transcript()
    assert len(commands) == 5
    for command, shown in commands:
        program, *arguments = shlex.split(command)
        ended = rapport(*arguments)
        assert program == "rapport"
        assert ended.code == 0
        assert matches(shown, ended.text.split("\n")[:-1]), f"{command}\n{ended.text}"


class Shell:
    """Runs a transcript's commands in a folder; those that end in `&` go on until it is left."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        (folder / "examples").symlink_to(ROOT / "examples")
        settings = {"RAPPORT_BROKERS": broker.address, "RAPPORT_PLAN": "examples/shop"}
        self._place = {"cwd": folder, "env": {**ENVIRONMENT, **settings}}
        self._behind: list[subprocess.Popen[bytes]] = []
        self._ports: dict[str, int] = {}

    def answer(self, command: str) -> tuple[int, list[str]]:
        """The exit code and what was printed; nothing yet of what goes on behind."""
        kill = re.fullmatch(r"kill -9 %(\d+)", command)
        if kill:
            self._behind[int(kill[1]) - 1].kill()
            return 0, []
        program, *arguments = shlex.split(re.sub(r"(?<=--http-port )\d+", self._port, command))
        assert program == "rapport"
        if arguments[-1] == "&":
            behind = [sys.executable, "-m", "rapport", *arguments[:-1]]
            self._behind.append(subprocess.Popen(behind, stderr=subprocess.DEVNULL, **self._place))
            return 0, []
        done = ran(*arguments, **self._place)
        return done.code, (done.out + done.err).split("\n")[:-1]

    def end(self) -> None:
        for process in self._behind:
            process.terminate()
        for process in self._behind:
            end(process)

    def _port(self, named: re.Match[str]) -> str:
        return str(self._ports.setdefault(named[0], free_ports(1)[0]))


@pytest.fixture
def shell(own_broker: Broker, tmp_path: Path) -> Iterator[Shell]:
    opened = Shell(tmp_path, own_broker)
    yield opened
    opened.end()


def test_the_transcript_of_a_cluster_is_real(shell: Shell, tmp_path: Path) -> None:
    given = re.search(r"<!-- events.ndjson .*?```json\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert given is not None
    (tmp_path / "events.ndjson").write_text(given[1])
    for command, shown in transcript("cluster transcript"):
        until = time.monotonic() + WAIT_TIMEOUT
        expected = [line for line in shown if line]
        code, told = shell.answer(command)
        while command.split()[1] in ASKED_AGAIN and time.monotonic() < until and not _same(expected, told):
            code, told = shell.answer(command)
        assert code == 0
        assert _same(expected, told), f"{command}\n" + "\n".join(told)


def _same(expected: list[str], told: list[str]) -> bool:
    unwrapped = re.sub(r",\s*\n\s+(?=http)", ", ", "\n".join(told))  # a longer port may need a line of its own
    return matches(expected, [line for line in unwrapped.split("\n") if line.strip()], loosely_comparable)


def test_every_target_of_make_that_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"(?:^    |`)make ([a-z][a-z-]*)", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(named) <= targets, page.name


def test_every_page_that_a_page_names_is_there() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = [ROOT / path for path in re.findall(r"`(docs/[a-z_]+\.md)`", text)]
        named += [page.parent / path for path in re.findall(r"\]\(([a-z_/]+\.md)\)", text)]
        assert [path for path in named if not path.is_file()] == [], page.name


def test_some_page_names_every_command_of_a_group() -> None:
    text = " ".join(" ".join(page.read_text(encoding="utf-8").split()) for page in PAGES)
    for group in cli.app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            name = command.name or (command.callback.__name__ if command.callback else "")
            assert f"{group.name} {name}" in text


def test_the_readme_names_every_command_and_no_other():
    text = README.read_text(encoding="utf-8")
    commands = {
        command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback
    }
    groups = {group.name for group in cli.app.registered_groups}
    named = set(re.findall(r"(?:^    |^\$ |\| |`)rapport ([a-z]+)", text, re.MULTILINE))
    assert named == commands | groups
