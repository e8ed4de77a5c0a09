"""`rapport rules`: the plan folder, checked and tested."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rapport.commands.options import DATA, Data, Json

if TYPE_CHECKING:
    from rapport.plan.scenarios import Verdict
    from rules.language.model import Rule
    from rules.lint.names import Seen
    from rules.lint.walk import Lint
    from schemas.errors import Problem

app = typer.Typer(help="Check and test what marketers wrote.", no_args_is_help=True)


@app.callback()
def _rules() -> None:
    pass


PlanFolder = Annotated[Path, typer.Argument(metavar="DIR", envvar="RAPPORT_PLAN", help="The plan folder.")]


@app.command()
def check(folder: PlanFolder, data: Data = DATA, json: Json = False) -> None:
    """Load a plan folder and report every problem of every file as file:line:column, then what looks like a mistake.

    Names are compared with those of the events in the data folder, where there is one.
    """
    from rapport.plan import folder as plan_folder
    from rapport.terminal import output
    from schemas.errors import PlanError

    try:
        plan = plan_folder.load(folder)
    except PlanError as error:
        if not json:
            raise
        output.emit({"ok": False, "problems": [_problem(problem) for problem in error.problems]})
        raise typer.Exit(error.exit_code) from None
    rules = plan.rules.rules
    doubts = plan_folder.doubts(folder, plan, _seen(data, rules))
    if json:
        output.emit(
            {
                "ok": True,
                "plan": plan_folder.digest(plan),
                "rules": [{"rule": rule.name, "version": rule.version, "status": rule.status} for rule in rules],
                "warnings": [_problem(doubt) for doubt in doubts],
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
    for doubt in doubts:
        output.say(f"warning: {doubt}")
    warned = output.counted(len(doubts), "warning") if doubts else "no warnings"
    output.say(f"{output.counted(len(rules), 'rule')}, no problems, {warned}.")


@app.command("test")
def play(folder: PlanFolder, json: Json = False) -> None:
    """Play the stories in DIR/tests on a clock of their own, and say where rules decide otherwise than expected."""
    from rapport.plan import folder as plan_folder
    from rapport.plan.scenarios import scenarios, tried
    from rapport.terminal import output
    from schemas.errors import PlanError

    try:
        plan = plan_folder.load(folder)
        found = scenarios(folder, plan)
    except PlanError as error:
        if not json:
            raise
        output.emit({"ok": False, "problems": [_problem(problem) for problem in error.problems]})
        raise typer.Exit(error.exit_code) from None
    verdicts = [tried(scenario, plan) for scenario in found]
    wrong = sum(not verdict.ok for verdict in verdicts)
    if json:
        output.emit({"ok": bool(found) and not wrong, "tests": [_verdict(verdict) for verdict in verdicts]})
    else:
        for verdict in verdicts:
            output.show(*_lines(verdict))
        output.say(
            f"{output.counted(len(found), 'test')}, {wrong} wrong."
            if found
            else f"No tests in {folder / 'tests'}; `rapport init DIR` writes one beside its rule."
        )
    if wrong or not found:
        raise typer.Exit(1)


def _verdict(verdict: Verdict) -> dict[str, Any]:
    scenario = verdict.scenario
    return {
        "file": scenario.file,
        "line": scenario.line,
        "scenario": scenario.title,
        "ok": verdict.ok,
        "missing": verdict.missing,
        "unexpected": verdict.unexpected,
    }


def _lines(verdict: Verdict) -> list[str]:
    scenario = verdict.scenario
    lines = [f"{'ok   ' if verdict.ok else 'WRONG'}  {scenario.file}:{scenario.line}: {scenario.title}"]
    lines += [f"  - expected, not decided: {_told(decision)}" for decision in verdict.missing]
    lines += [f"  + decided, not expected: {_told(decision)}" for decision in verdict.unexpected]
    return lines


def _told(decision: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {decision[name]}" for name in ("rule", "run_key", "verdict", "at") if name in decision)


def _seen(data: Path, rules: tuple[Rule, ...]) -> Seen:
    """What the data folder shows. A plan is checked before there are data, too: then nothing is seen."""
    from rapport.plan.seen import seen_in
    from rapport.terminal import output
    from rules.lint.names import NOTHING
    from schemas.errors import QueryError

    try:
        return seen_in(data, rules)
    except QueryError as error:
        if data != DATA:
            output.say(f"Names are compared with the vocabulary only: {error}")
        return NOTHING


def _problem(problem: Problem | Lint) -> dict[str, Any]:
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
