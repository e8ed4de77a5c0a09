"""`rapport demo`: a month of a made-up shop, taken in as history and looked at like any other data.

A folder that holds a finished demo is shown again and never run again: it may be older than message ids are remembered.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from rapport.customers import local as lookup
from rapport.customers import queries
from rapport.demo.shop import Month
from rapport.plan import folder as plan_folder
from rapport.replay.local import Clock, Report, run
from rapport.replay.sources import files
from rapport.terminal.output import Progress
from schemas.errors import FolderUnwritable, UsageError

EVENTS = "demo-events.ndjson"
DONE = "demo.json"


@dataclass(frozen=True, slots=True)
class Demo:
    """What there is to show. `report` is None where an earlier run is shown again."""

    data: Path
    seed: int
    totals: dict[str, Any]
    channels: list[dict[str, Any]]
    identity: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    customers: list[dict[str, Any]]
    story: dict[str, Any]
    commands: list[str]
    report: Report | None


def plan_of_shop() -> Path:
    """The plan that the demo runs: `examples/shop`, which an installed package carries inside."""
    installed = Path(__file__).parents[1] / "shop_plan"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "examples" / "shop"


def demo(data: Path, plan: Path | None, seed: int, progress: Progress) -> Demo:
    """Generates, runs and reads back. Raises UsageError where the folder holds something else."""
    report = None
    totals = _finished(data, seed)
    if totals is None:
        _write_events(data, seed)
        loaded = plan_folder.load(plan or plan_of_shop())
        report = run(data, loaded, files([str(data / EVENTS)]), clock=Clock.events, progress=progress)
        totals = report.json()
        if not report.exit_code:
            (data / DONE).write_bytes(orjson.dumps({"seed": seed, **totals}))
    story = lookup.profile(data, plan, f"user_id:{_rows(data, 'story')[0]['user_id']}")
    return Demo(
        data=data,
        seed=seed,
        totals=totals,
        channels=_rows(data, "channels"),
        identity=_rows(data, "identity"),
        rules=_rows(data, "rules"),
        customers=_rows(data, "customers"),
        story=story,
        commands=_commands(data, story),
        report=report,
    )


def _rows(data: Path, question: str) -> list[dict[str, Any]]:
    return queries.rows(data, question, package="rapport.demo")


def _finished(data: Path, seed: int) -> dict[str, Any] | None:
    """The totals of a finished demo in this folder."""
    if not data.exists() or not any(data.iterdir()):
        return None
    if not (data / EVENTS).exists():
        raise UsageError(f"{data} holds other data; choose an empty folder for the demo: rapport demo --data DIR")
    if not (data / DONE).exists():
        return None
    totals: dict[str, Any] = orjson.loads((data / DONE).read_bytes())
    if totals.pop("seed") != seed:
        raise UsageError(
            f"{data} holds the demo of another seed; choose another folder: rapport demo --seed {seed} --data DIR"
        )
    return totals


def _write_events(data: Path, seed: int) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
        with (data / EVENTS).open("wb") as out:
            out.writelines(line + b"\n" for line in Month(seed).lines())
    except OSError as error:
        raise FolderUnwritable(
            f"{data} cannot be written ({error.strerror}): choose another folder with --data."
        ) from error


def _commands(data: Path, story: dict[str, Any]) -> list[str]:
    """Three commands to try, on customers who exist."""
    program = "rapport" if shutil.which("rapport") else _as_called(Path(sys.argv[0]).absolute())
    strongest = {each["type"]: each["value"] for each in reversed(story["identifiers"])}
    user, other = f"user_id:{strongest['user_id']}", f"anonymous_id:{strongest['anonymous_id']}"
    folder = shlex.quote(str(data))
    top = "SELECT user_id, order_count, revenue, currency FROM mart.dim_customer ORDER BY revenue DESC LIMIT 10"
    return [
        f"{program} profile email:{strongest['email']} --data {folder}",
        f"{program} identity explain {user} {other} --data {folder}",
        f'{program} query "{top}" --data {folder}',
    ]


def _as_called(program: Path) -> str:
    if program.name == "__main__.py":
        return "python -m rapport"
    return str(program.relative_to(Path.cwd())) if program.is_relative_to(Path.cwd()) else str(program)
