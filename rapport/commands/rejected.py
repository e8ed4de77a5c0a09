"""`rapport rejected`: what was refused and why, the originals, and another try."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rapport.options import DATA, Brokers, Data, Json, Plan, To, to_kafka
from rapport.options import cluster as named

if TYPE_CHECKING:
    from rapport import feeding
    from rapport.runs import Report

app = typer.Typer(help="What was refused and why, the originals, and another try.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids, or beginnings of ids; none means all.")]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 50,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """The newest refusals: what was wrong and what was expected."""
    from rapport import console, refused

    found = refused.newest(data, limit)
    if json:
        console.emit(found)
        return
    names = ("source", "code", "field", "value", "expectation")
    rows = ([row["id"][:8], console.minute(row["rejected_at"]), *(row[name] for name in names)] for row in found)
    console.show(console.table("", ("id", "at", *names), rows))
    console.say("The original bytes: rapport rejected show ID. After the cause is mended: rapport rejected replay.")


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The id, or its beginning.")],
    data: Data = DATA,
    json: Json = False,
) -> None:
    """The original bytes of one refusal."""
    from rapport import console, refused

    found = refused.one(data, id_)
    if json:
        console.emit(found.json())
        return
    if found.cut:
        console.say(
            f"The first {len(found.original):,} of {found.length:,} bytes; SHA-256 of the whole: {found.sha256}"
        )
    if sys.stdout.isatty():
        console.show(console.plain(found.original.decode("utf-8", "backslashreplace")))
    else:
        sys.stdout.buffer.write(found.original + b"\n")


@app.command()
def replay(
    ids: Ids = None, to: To = None, brokers: Brokers = None, data: Data = DATA, plan: Plan = None, json: Json = False
) -> None:
    """Take the originals in again, for example after the plan was mended. What is refused again stays.

    Of a cluster, --data names the sinks' folder: the originals come from there.
    """
    from rapport import console, refused

    cluster = named(brokers, data) if to_kafka(to, brokers) else None
    report: Report | feeding.Report
    with console.progress("replay") as progress:
        if cluster is not None:
            report, cut = refused.send(cluster, plan, ids or [], progress)
            told = f"{report.sent:,} sent to {report.topic}, {report.rejected:,} refused again."
        else:
            report, cut = refused.replay(data, plan, ids or [], progress)
            counts = report.counts
            told = f"{counts.applied:,} applied, {counts.duplicate:,} duplicate, {counts.rejected:,} refused again."
    if json:
        console.emit({**report.json(), "cut": cut})
    else:
        console.show(told)
        if cut:
            console.say(
                f"{cut:,} were longer than is kept of an original and cannot be replayed; "
                "send them again from their source."
            )
    if report.exit_code:
        raise typer.Exit(report.exit_code)
