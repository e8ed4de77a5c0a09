"""What `deploy/` holds fits what Rapport is: alerts, dashboard, units; and the lines that install it do."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from conftest import Rapport
from rapport.settings import load
from rapport_shell import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
OURS = re.compile(r"\b(?:rapport|process)_[a-z_]+")


@pytest.fixture(scope="module")
def promtool() -> str:
    """The one of this machine, else that of Debian's package prometheus, fetched once; skips where neither is there."""
    if found := shutil.which("promtool"):
        return found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rapport" / "prometheus"
    cache.mkdir(parents=True, exist_ok=True)
    tool = cache / "usr" / "bin" / "promtool"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tool.exists():
            fetched = shutil.which("apt-get") and shutil.which("dpkg")
            if (
                not fetched
                or subprocess.run(["apt-get", "-qq", "download", "prometheus"], cwd=cache, check=False).returncode
            ):
                pytest.skip("the alert rules are not tested: promtool is in Debian's package prometheus")
            [package] = cache.glob("prometheus_*.deb")
            subprocess.run(["dpkg", "-x", package, cache], check=True)
            package.unlink()
    return str(tool)


def checked(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_only_then(promtool: str) -> None:
    checked(promtool, "check", "config", "--syntax-only", str(DEPLOY / "prometheus.yml"))
    checked(promtool, "test", "rules", str(DEPLOY / "alerts.test.yml"))
    named = re.findall(r"- alert: (\w+)", (DEPLOY / "alerts.yml").read_text())
    tested = re.findall(r"alertname: (\w+)", (DEPLOY / "alerts.test.yml").read_text())
    assert sorted(tested) == sorted(named * 2), "on a bad day and on a good one"


@pytest.mark.parametrize("file", ["alerts.yml", "grafana/rapport.json"])
def test_every_metric_that_is_named_exists(file: str) -> None:
    """The page has every metric and no other: its own test says so."""
    documented = set(OURS.findall((ROOT / "docs" / "metrics.md").read_text()))
    expressions = re.findall(r'(?:expr: |"expr": )(.*)', (DEPLOY / file).read_text())
    named = {re.sub("_(bucket|sum|count)$", "", each) for line in expressions for each in OURS.findall(line)}
    assert len(named) > 8
    assert named <= documented


def test_the_dashboard_shows_each_panel_in_a_place_of_its_own() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "rapport.json").read_text())
    panels = dashboard["panels"]
    [source] = dashboard["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    for panel in panels:
        assert panel["title"]
        assert [target["expr"] for target in panel["targets"]]
        assert panel["datasource"]["uid"] == f"${{{source['name']}}}"
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def test_the_units_are_what_systemd_takes(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("the units are not checked: systemd-analyze is in Debian's package systemd")
    (tmp_path / "rapport").write_text("#!/bin/sh\n")
    (tmp_path / "rapport").chmod(0o755)
    for unit in UNITS:
        copy = tmp_path / unit.name.replace("@", "@8081")
        copy.write_text(unit.read_text().replace("/opt/rapport/.venv/bin/rapport", str(tmp_path / "rapport")))
        done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), unit.name


def test_the_units_start_what_there_is_with_settings_that_there_are(
    rapport: Rapport, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [unit.name for unit in UNITS] == ["rapport-sink@.service", "rapport-worker@.service"]
    for unit in UNITS:
        text = unit.read_text()
        [command] = re.findall(r"^ExecStart=/opt/rapport/.venv/bin/rapport (.*)$", text, re.MULTILINE)
        assert rapport(*shlex.split(command), "--help").code == 0
        assert (command == "worker") == ("/worker-%i\n" in text), "workers have a folder each, sinks share one"
        for name, value in re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE):
            monkeypatch.setenv(name, value.replace("%i", "8081"))
        monkeypatch.setenv("RAPPORT_SETTINGS_FILE", str(DEPLOY / "systemd" / "rapport.env"))
        settings = load()
        assert (settings.http_port, len(settings.brokers), settings.data.parent) == (8081, 3, Path("/var/lib/rapport"))


def test_the_lines_that_install_it_do(tmp_path: Path) -> None:
    """In a clone, beside what this environment has: what it needs is not fetched once more."""
    if not (ROOT / ".git").exists():
        pytest.skip("only a clone can be cloned")
    text = (ROOT / "docs" / "cluster.md").read_text()
    block = re.search(r"<!-- install:.*?-->\n```console\n(.*?)```", text, re.DOTALL)
    assert block
    environment, install, run = block[1].replace("$ ", "").splitlines()
    assert environment == "python3 -m venv .venv"
    assert "pip install '.[cluster]'" in (ROOT / "README.md").read_text()
    clone, site = tmp_path / "clone", tmp_path / "site"
    checked("git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", str(clone))
    python = shlex.quote(sys.executable)
    pip = f"{python} -m pip --disable-pip-version-check install --quiet --no-deps --target {site}"
    program = f"PYTHONPATH={site} {python} -P -c 'import rapport.__main__ as main; print(main.__file__); main.main()'"
    for line in (install.replace(".venv/bin/pip install", pip), run.replace(".venv/bin/rapport", program)):
        done = subprocess.run(line, shell=True, cwd=clone, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr)
    assert re.fullmatch(rf"{site}/rapport/__main__.py\nrapport [0-9.]+\n", done.stdout)
    assert (site / "rapport" / "shop_plan" / "identity.yaml").exists()
