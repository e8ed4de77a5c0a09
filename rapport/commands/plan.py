"""`rapport rules`: the plan folder, checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rapport.commands.options import Json

if TYPE_CHECKING:
    from rules.language.model import Rule
    from schemas.errors import Problem

app = typer.Typer(help="Check what marketers wrote.", no_args_is_help=True)


@app.callback()
def _rules() -> None:
    pass


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", envvar="RAPPORT_PLAN", help="The plan folder.")],
    json: Json = False,
) -> None:
    """Load a plan folder and report every problem of every file as file:line:column."""
    from rapport.plan import folder as plan_folder
    from rapport.terminal import output
    from schemas.errors import PlanError

    try:
        rules = plan_folder.load(folder).rules.rules
    except PlanError as error:
        if not json:
            raise
        output.emit({"ok": False, "problems": [_problem(problem) for problem in error.problems]})
        raise typer.Exit(error.exit_code) from None
    if json:
        output.emit(
            {
                "ok": True,
                "rules": [{"rule": rule.name, "version": rule.version, "status": rule.status} for rule in rules],
            }
        )
        return
    output.show(
        output.table(
            "",
            ("rule", "status", "when", "then", "purpose", "owner"),
            ([rule.name, rule.status, _when(rule), _then(rule), rule.purpose, rule.owner] for rule in rules),
        )
    )
    output.say(
        f"{output.counted(len(rules), 'rule')}, no problems."
        if rules
        else f"No rules in {folder / 'rules'}; `rapport init` writes a first one."
    )


def _problem(problem: Problem) -> dict[str, Any]:
    return {"file": problem.file, "line": problem.line, "column": problem.column, "message": problem.message}


def _when(rule: Rule) -> str:
    from schemas.yaml.reader import duration_text

    when, window = rule.when, rule.when.window
    if window is None:
        return when.event
    return f"{when.event}, then no {window.event} for {duration_text(window.within)}"


def _then(rule: Rule) -> str:
    return ", ".join(" ".join((action.kind, *_channels(action.payload))) for action in rule.then)


def _channels(payload: Mapping[str, Any]) -> list[str]:
    if "channels" in payload:
        return [str(channel) for channel in payload["channels"]]
    return [str(payload.get("channel") or payload.get("name") or "")]
