"""`rapport rejected`: what was refused and why, the originals, another try, and away with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rapport.commands.options import DATA, Brokers, Data, Json, Plan, To, plan_of_cluster, remark, to_kafka
from rapport.commands.options import cluster as named

if TYPE_CHECKING:
    from rich.table import Table

    from rapport.replay import cluster as cluster_replay
    from rapport.replay.local import Report

app = typer.Typer(help="What was refused and why, the originals, another try, or discard.", no_args_is_help=True)

_EXAMPLE = ("short", "source", "value", "expectation")
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids, or beginnings of ids; none means all.")]
SomeIds = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids, or beginnings of ids.")]


def _to_be_copied(table: Table) -> Table:
    """What commands take, the ids and causes of the first column, stays on one line."""
    table.columns[0].no_wrap = True
    return table


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 50,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """The newest refusals: what was wrong and what was expected."""
    from rapport.replay import rejected
    from rapport.terminal import output

    found = rejected.newest(data, limit)
    if json:
        output.emit(found)
    else:
        names = ("source", "code", "field", "value", "expectation")
        rows = ([row["short"], output.minute(row["rejected_at"]), *(row[name] for name in names)] for row in found)
        output.show(_to_be_copied(output.table("", ("id", "at", *names), rows)))
        output.say("The original bytes: rapport rejected show ID. After the cause is mended: rapport rejected replay.")
    remark(data)


@app.command()
def summary(data: Data = DATA, json: Json = False) -> None:
    """What was wrong how often, with an example of each."""
    from rapport.replay import rejected
    from rapport.terminal import output

    found = rejected.summary(data)
    if json:
        output.emit(found)
    else:
        rows = (
            [row["cause"], row["count"], output.minute(row["last"]), *(row["example"][name] for name in _EXAMPLE)]
            for row in found
        )
        output.show(_to_be_copied(output.table("", ("cause", ">count", "last", "for example", *_EXAMPLE[1:]), rows)))
        output.say("Away with what is of no use: rapport rejected discard --cause CAUSE.")
    remark(data)


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The id, or its beginning.")],
    data: Data = DATA,
    json: Json = False,
) -> None:
    """The original bytes of one refusal."""
    from rapport.replay import rejected
    from rapport.terminal import output

    found = rejected.one(data, id_)
    remark(data)
    if json:
        output.emit(found.json())
        return
    if found.cut:
        output.say(f"The first {len(found.original):,} of {found.length:,} bytes; SHA-256 of the whole: {found.sha256}")
    if sys.stdout.isatty():
        output.show(output.plain(found.original.decode("utf-8", "backslashreplace")))
    else:
        sys.stdout.buffer.write(found.original + b"\n")


@app.command()
def replay(
    ids: Ids = None, to: To = None, brokers: Brokers = None, data: Data = DATA, plan: Plan = None, json: Json = False
) -> None:
    """Take the originals in again, for example after the plan was mended. What is refused again stays.

    Of a cluster, --data names the sinks' folder: the originals come from there.
    """
    from rapport.replay import rejected
    from rapport.terminal import output

    cluster = named(brokers, data) if to_kafka(to, brokers) else None
    report: Report | cluster_replay.Report
    with output.progress("replay") as progress:
        if cluster is not None:
            report, cut = rejected.send(cluster, plan_of_cluster(plan), ids or [], progress)
            told = f"{report.sent:,} sent to {report.topic}, {report.rejected:,} refused again."
        else:
            report, cut = rejected.replay(data, plan, ids or [], progress)
            counts = report.counts
            told = f"{counts.applied:,} applied, {counts.duplicate:,} duplicate, {counts.rejected:,} refused again."
    if json:
        output.emit({**report.json(), "cut": cut})
    else:
        output.show(told)
        if cut:
            output.say(
                f"{cut:,} were longer than is kept of an original, or rows of a table, and cannot be replayed; "
                "send them again from their source."
            )
    if report.exit_code:
        raise typer.Exit(report.exit_code)


@app.command()
def discard(
    ids: SomeIds = None,
    cause: Annotated[
        str | None,
        typer.Option("--cause", metavar="CAUSE", help="All of a cause, as `rapport rejected summary` has it."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All there is.")] = False,
    to: To = None,
    brokers: Brokers = None,
    data: Data = DATA,
    plan: Plan = None,
    json: Json = False,
) -> None:
    """Take refused input out of sight: it is no longer listed, counted or replayed. The lake keeps it.

    Of a cluster, --data names the sinks' folder; what was discarded leaves its tables some seconds later.
    """
    from rapport.replay import rejected
    from rapport.terminal import output
    from schemas.errors import UsageError

    if bool(ids) + (cause is not None) + all_ != 1:
        raise UsageError("Say what to discard: ids, or --cause CAUSE, or --all")
    if to_kafka(to, brokers):
        count = rejected.send_discard(named(brokers, data), ids or [], cause)
    else:
        count = rejected.discard(data, plan, ids or [], cause)
    if json:
        output.emit({"discarded": count})
    else:
        output.show(f"{count:,} discarded.")
