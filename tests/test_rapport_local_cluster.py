"""`make cluster`: up, the demo through it, and down cleanly whenever it is interrupted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from kafka_broker import GIVEN
from rapport.demo.processes import answers
from rapport_shell import ENVIRONMENT, ROOT

GIVEN_BROKER = (f"--brokers={os.environ[GIVEN]}",) if GIVEN in os.environ else ()
PROGRAM = (sys.executable, "-m", "rapport.demo.cluster", *GIVEN_BROKER)


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The program in a session of its own, its temporary folders below `folder`."""
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def left_running(folder: Path) -> list[str]:
    """Command lines of processes that still know the folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={folder}".encode() in each.read_bytes():
                found.append(each.with_name("cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def kills_a_worker(shown: str, out: IO[str]) -> str:
    """Runs the line that the cluster suggests, and asks for a customer as it suggests; gives what it showed."""
    killing, asking = (next(each for each in shown.splitlines() if word in each) for word in ("kill -9", "profile"))
    assert subprocess.run(killing, shell=True, check=False).returncode == 0
    told = out.readline() + out.readline()
    assert "worker-1 ended with -9 and is started again" in told
    assert re.search(r"kill -9 \d+", told)
    ready = re.search(r"worker-1 +(http\S+/ready)", shown)
    assert ready
    until = time.monotonic() + 60
    while not answers(ready[1]):
        assert time.monotonic() < until
        time.sleep(0.2)
    asked = subprocess.run(asking, shell=True, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert (asked.returncode, "Identifiers" in asked.stdout) == (0, True), asked
    return told


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes left behind in /proc")
@pytest.mark.parametrize("said", ["Starting a broker", "Ctrl-C takes it all down"])
@pytest.mark.usefixtures("broker")
def test_it_goes_down_cleanly_whenever_it_is_interrupted(said: str, tmp_path: Path) -> None:
    folder = tmp_path / "its"
    running = started(folder)
    assert running.stdout
    shown = ""
    for line in running.stdout:
        shown += line
        if said in line:
            break
    if said.startswith("Ctrl-C"):
        shown += kills_a_worker(shown, running.stdout)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, ""), shown + out
    assert (shown + out).endswith("Stopped.\n")
    assert left_running(folder) == []
    assert list(folder.glob("rapport-cluster-*")) == []
    if said.startswith("Ctrl-C"):
        assert "events applied" in shown
        assert "profile --from kafka user_id:" in shown
        assert " 0 triggers" not in shown
