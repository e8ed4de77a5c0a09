"""What is published opens in the DuckDB of others: the earliest that is promised, and those after it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from sinks.lake.chain import Lake
from sinks.marts.publisher import READABLE_SINCE, publish
from sinks_samples import event, merge, rejected, rule_decision, take, trigger

VERSIONS = ("1.2.2", "1.4.5", "1.5.6", "2.0.1")
INSTALLED = Path(sys.prefix) / "duckdb"
UNREACHABLE = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ReadTimeoutError", "ProxyError")
READS = """
import duckdb, sys
assert duckdb.__version__ == sys.argv[2], duckdb.__version__
connection = duckdb.connect(sys.argv[1], read_only=True)
tables = connection.execute(
    "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_catalog = 'rapport'"
).fetchall()
print(*sorted(f"{table} {len(connection.execute(f'FROM {table}').fetchall())}" for (table,) in tables), sep="\\n")
"""


def installed(version: str) -> Path:
    """A folder with that DuckDB, fetched once. Skips where the package index cannot be reached."""
    folder = INSTALLED / version
    INSTALLED.mkdir(exist_ok=True)
    with (INSTALLED / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".ready").exists():
            options = ("--quiet", "--retries", "1", "--timeout", "15", "--no-deps", "--only-binary", ":all:")
            done = subprocess.run(
                [sys.executable, "-m", "pip", "install", *options, "--target", folder, f"duckdb=={version}"],
                capture_output=True,
                text=True,
                check=False,
            )
            if any(word in done.stderr for word in UNREACHABLE):
                pytest.skip(f"the package index cannot be reached for DuckDB {version}")
            assert done.returncode == 0, done.stderr
            (folder / ".ready").touch()
    return folder


@pytest.fixture(scope="module")
def target(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("it's [1]")
    lake = Lake(folder / "lake")
    take(
        lake, "facts", 0, [event("user_id:1", "email:a@b.c", message_id=f"m{n}", when=f"2026-0{n}-02") for n in (1, 2)]
    )
    take(lake, "identity", 0, [merge(1, "user_id:1", "email:a@b.c", ["email:a@b.c"])])
    take(lake, "triggers", 0, [trigger("t1", {"to": "x"})])
    take(lake, "decisions", 0, [rule_decision("cart-1")])
    take(lake, "rejected", 0, [rejected(b"{")])
    lake.flush()
    publish(lake.root, folder / "rapport.duckdb")
    return folder / "rapport.duckdb"


def read(target: Path, version: str, folder: Path | None) -> list[str]:
    environment = {"PYTHONPATH": str(folder)} if folder else {}
    done = subprocess.run(
        [sys.executable, "-c", READS, target, version], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_table_and_view_is_read(target, version):
    import duckdb

    rows = read(target, version, installed(version))
    assert "mart.fct_event 2" in rows
    assert rows == read(target, duckdb.__version__, None)


def test_the_earliest_version_is_the_promised_one():
    assert VERSIONS[0].startswith(READABLE_SINCE.removeprefix("v").rpartition(".")[0])
