"""The drill of docs/backup.md for one process: its lines are run, and nothing is lost or there twice."""

from __future__ import annotations

import shlex
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from conftest import Rapport
from rapport.demo.shop import Month
from rapport_shell import SHOP, assert_same, drill, tables

KNOWN_BY_NO_CLOCK = ("fct_event", "dim_customer", "fct_order")


def test_a_data_folder_comes_back_and_takes_what_came_since(
    rapport: Rapport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAPPORT_PLAN", str(SHOP))
    lines = list(islice(Month(5).lines(), 1_500))
    events, data = Path("events.ndjson"), Path("data")

    def take(count: int) -> None:
        events.write_bytes(b"\n".join(lines[:count]))
        assert rapport("replay", events, "--data", data).code == 0

    take(1_000)
    backup, *restore = drill("one process")
    subprocess.run(backup, shell=True, check=True)
    take(1_500)
    before = tables(data)
    for line in restore:
        if line.startswith("rapport "):
            ended = rapport(*shlex.split(line)[1:])
            assert ended.code == 0, (line, ended.err)
        else:
            subprocess.run(line, shell=True, check=True)
    after = tables(data)
    assert_same(*({name: each[name] for name in KNOWN_BY_NO_CLOCK} for each in (before, after)))
