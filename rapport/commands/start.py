"""`rapport demo` and `rapport init`: the first five minutes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rapport.options import Json, Plan

if TYPE_CHECKING:
    from rapport.demo import Demo


def demo(
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another month.")] = 1,
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Where to; your own data is never touched.", file_okay=False)
    ] = Path("demo-data"),
    plan: Plan = None,
    json: Json = False,
) -> None:
    """A month of a shop with many channels: generate, run, show what happened."""
    from rapport import console
    from rapport.demo import demo as made

    with console.progress("a month of events") as progress:
        shown = made(data, plan, seed, progress)
    if json:
        console.emit(_json(shown))
    else:
        _show(shown)
    if shown.report is not None and shown.report.exit_code:
        raise typer.Exit(shown.report.exit_code)


def _json(shown: Demo) -> dict[str, Any]:
    names = ("channels", "identity", "rules", "customers", "story", "commands")
    return {"seed": shown.seed, "run": shown.totals, **{name: getattr(shown, name) for name in names}}


def _show(shown: Demo) -> None:
    from rapport import console
    from rapport.console import table
    from rapport.customer import card
    from rapport.demo import EVENTS

    totals = shown.totals
    if shown.report is None:
        console.say(f"This demo has run before; here it is again. To start afresh: rm -r {shown.data}")
    console.show(
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
    from rapport import console
    from rapport.init import write_plan

    written = write_plan(folder)
    if json:
        console.emit({"folder": str(folder), "files": [str(path) for path in written]})
        return
    console.show(*(console.plain(str(path)) for path in written))
    console.say(f"Check it after every change: rapport rules check {folder}")
