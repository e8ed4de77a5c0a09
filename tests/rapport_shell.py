"""The command as a process of its own, and everything it published as plain rows to compare."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import orjson

from stream.embedded.store import PUBLISHED

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
SHOP = ROOT / "examples" / "shop"
_KAFKA_PYTHON = tuple(f"-Wignore:{name} is deprecated:DeprecationWarning" for name in ("read_text", "open_text"))
RAPPORT = (sys.executable, "-Werror", *_KAFKA_PYTHON, "-m", "rapport")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"PYTHONPATH": str(ROOT)}

TABLES = (
    "fct_event",
    "dim_customer",
    "bridge_identity",
    "fct_order",
    "fct_trigger",
    "fct_rule_decision",
    "fct_identity_decision",
    "fct_rejected",
)
WALL_TIMES = {
    "fct_event": ("received_at",),
    "bridge_identity": ("linked_at",),
    "fct_trigger": ("fired_at",),
    "fct_rule_decision": ("decided_at",),
    "fct_identity_decision": ("decided_at",),
    "fct_rejected": ("rejected_at",),
}
"""What differs between two runs on the wall clock."""
ALWAYS_WALL = {"fct_event": ("received_at",), "fct_rejected": ("rejected_at",)}
"""What differs between two runs on the events clock; so does `decided_at` of a dropped identifier."""


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    command = [*RAPPORT, *map(str, arguments)]
    return subprocess.Popen(command, **{"env": ENVIRONMENT, **options})


def ran(*arguments: object, **options: Any) -> Ran:
    """Runs a command to its end."""
    return ran_as(RAPPORT, *arguments, **options)


def ran_as(program: Sequence[str], *arguments: object, **options: Any) -> Ran:
    """Runs a program of ours to its end."""
    command = [*program, *map(str, arguments)]
    pipe = subprocess.PIPE
    options = {"env": ENVIRONMENT, "stdout": pipe, "stderr": pipe, "timeout": 300, **options}
    done = subprocess.run(command, check=False, **options)
    return Ran(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())


def tables(data: Path, without: dict[str, tuple[str, ...]] = ALWAYS_WALL) -> dict[str, list[tuple[Any, ...]]]:
    """Every mart table of a data folder, sorted, without the columns that name the wall time of the run."""
    with duckdb.connect(str(data / PUBLISHED), read_only=True) as mart:
        mart.execute("SET threads = 1")
        found = {table: mart.execute(_select(table, without.get(table, ()))).fetchall() for table in TABLES}
        counted = mart.execute("SELECT count(*) FROM raw.facts").fetchone()
    assert counted == (len(found["fct_event"]),), "a fact has more than one profile, or none"
    return found


def _select(table: str, without: tuple[str, ...]) -> str:
    columns = f"* EXCLUDE ({', '.join(without)})" if without else "*"
    if table == "fct_identity_decision" and not without:
        columns = "* REPLACE (CASE WHEN kind <> 'drop' THEN decided_at END AS decided_at)"
    return f"SELECT {columns} FROM mart.{table} ORDER BY ALL"


def assert_same(one: dict[str, list[tuple[Any, ...]]], other: dict[str, list[tuple[Any, ...]]]) -> None:
    """Names the tables that differ, and the first few rows that one of them lacks."""
    for table, rows in one.items():
        if rows != other[table]:
            mine, theirs = set(map(repr, rows)), set(map(repr, other[table]))
            raise AssertionError(
                f"{table}: {len(rows)} and {len(other[table])} rows; only in the first {sorted(mine - theirs)[:3]}, "
                f"only in the second {sorted(theirs - mine)[:3]}"
            )


def drill(named: str) -> list[str]:
    """The lines of a part of docs/backup.md."""
    page = (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")
    block = re.search(rf"<!-- {named}: .*?-->\n```console\n(.*?)```", page, re.DOTALL)
    assert block is not None
    return block[1].replace("$ ", "").splitlines()


def listing(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder below: name, time of its last change, content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [folder, *folder.rglob("*")]
    }
