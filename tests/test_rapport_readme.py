"""The README's transcript is real output: each command is executed and its answer compared."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from rapport import cli

README = Path(__file__).parents[1] / "README.md"
ANY_LINES = "..."


def transcript() -> list[tuple[str, list[str]]]:
    """Commands with the lines that follow them."""
    text = README.read_text(encoding="utf-8")
    block = re.search(r"<!-- transcript:.*?-->\n```console\n(.*?)```\n<!-- end of transcript -->", text, re.DOTALL)
    assert block is not None
    parts = re.split(r"^\$ (.*)\n", block[1], flags=re.MULTILINE)[1:]
    return [(command, shown.rstrip("\n").split("\n")) for command, shown in zip(parts[::2], parts[1::2], strict=True)]


def comparable(line: str) -> str:
    """A line without what differs from run to run: seconds, and spaces at its end."""
    return re.sub(r"\b\d+\.\d s\b", "N s", line).rstrip()


def matches(shown: list[str], real: list[str]) -> bool:
    pattern = "".join(".*" if line == ANY_LINES else re.escape(comparable(line)) + "\n" for line in shown)
    return re.fullmatch(pattern, "".join(comparable(line) + "\n" for line in real), re.DOTALL) is not None


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


def test_the_readme_names_every_command_and_no_other():
    text = README.read_text(encoding="utf-8")
    commands = {
        command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback
    }
    groups = {group.name for group in cli.app.registered_groups}
    named = set(re.findall(r"(?:^    |^\$ |\| |`)rapport ([a-z]+)", text, re.MULTILINE))
    assert named == commands | groups
