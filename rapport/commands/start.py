"""`rapport demo` and `rapport init`: the first five minutes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rapport.commands.options import Json, Plan

if TYPE_CHECKING:
    from rapport.demo.tour import Demo


def demo(
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another month.")] = 1,
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Where to; your own data is never touched.", file_okay=False)
    ] = Path("demo-data"),
    plan: Plan = None,
    json: Json = False,
) -> None:
    """A month of a shop with many channels: generate, run, show what happened."""
    from rapport.demo.tour import demo as made
    from rapport.terminal import output

    with output.progress("a month of events") as progress:
        shown = made(data, plan, seed, progress)
    if json:
        output.emit(_json(shown))
    else:
        _show(shown)
    if shown.report is not None and shown.report.exit_code:
        raise typer.Exit(shown.report.exit_code)


def _json(shown: Demo) -> dict[str, Any]:
    names = ("channels", "identity", "rules", "customers", "story", "commands")
    return {"seed": shown.seed, "run": shown.totals, **{name: getattr(shown, name) for name in names}}


def _show(shown: Demo) -> None:
    from rapport.demo.tour import EVENTS
    from rapport.terminal import output
    from rapport.terminal.customer_card import card
    from rapport.terminal.output import table

    totals = shown.totals
    if shown.report is None:
        output.say(f"This demo has run before; here it is again. To start afresh: rm -r {shown.data}")
    output.show(
        f"{totals['read']:,} events of a month in {totals['seconds']:.1f} s: {totals['applied']:,} applied, "
        f"{totals['duplicate']:,} duplicate, {totals['rejected']:,} rejected; {totals['merges']:,} merges, "
        f"{totals['triggers']:,} triggers.",
        "",
        table("Channels", ("channel", ">events", ">customers", "mostly"), (each.values() for each in shown.channels)),
        "",
        table(
            "Identity decisions",
            ("kind", "reason", ">times", "for example", "with"),
            (each.values() for each in shown.identity),
        ),
        "",
        table("Rules", ("rule", ">fired", ">otherwise", ">customers"), (each.values() for each in shown.rules)),
        "",
        table(
            "Best customers",
            ("user_id", "name", ">orders", ">revenue", ">refunded", "currency", ">events", ">identifiers"),
            (each.values() for each in shown.customers),
        ),
        "",
        "One of them, as support would see them:",
        *card(shown.story),
        "",
        f"The events are in {shown.data / EVENTS}. Now try:",
        "",
        *(f"  {command}" for command in shown.commands),
    )


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new plan folder.")] = Path("plan"),
    json: Json = False,
) -> None:
    """A plan folder with one commented rule, its test, identity.yaml and the editor schema."""
    from rapport.plan.init import write_plan
    from rapport.terminal import output

    written = write_plan(folder)
    if json:
        output.emit({"folder": str(folder), "files": [str(path) for path in written]})
        return
    output.show(*(output.plain(str(path)) for path in written))
    output.say(f"Check it after every change: rapport rules check {folder}")
