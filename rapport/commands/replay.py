"""`rapport replay`: events in, and what a run says that takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rapport.commands.options import DATA, Brokers, Data, Json, Plan, To, to_kafka

if TYPE_CHECKING:
    from rapport.replay import cluster as cluster_replay
    from rapport.replay.local import Report
    from rapport.replay.sources import Source

UNDONE = ("unusable", "full", "missed", "before_active")
"""Verdicts of rules that something kept from acting."""
ClockName = Annotated[
    str,
    typer.Option(
        "--clock",
        metavar="wall|events",
        help="wall: now is now. events: now follows the events, so history runs as if it were live.",
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="With --clock events: let time pass until then.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if any input was rejected.")]


Tables = Annotated[
    Path | None,
    typer.Option(
        "--tables",
        metavar="DIR",
        help="With --to kafka: a sink's data folder; old input that is there is not sent again.",
        file_okay=False,
    ),
]
CountAgain = Annotated[
    bool, typer.Option("--count-again", help="With --to kafka: send old input, though it may count once more.")
]


@dataclass(frozen=True, slots=True)
class Options:
    """What `replay` and `import` take besides their sources; each field is an option."""

    clock: ClockName = "wall"
    until: Until = None
    strict: Strict = False
    data: Data = DATA
    plan: Plan = None
    to: To = None
    brokers: Brokers = None
    tables: Tables = None
    count_again: CountAgain = False
    json: Json = False


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with `options: Options` taken apart, for a command line has no options of options."""
    names = [field.name for field in fields(Options)]
    own, options = (signature(each, eval_str=True).parameters.values() for each in (command, Options))

    @wraps(command)
    def taken_apart(**given: Any) -> None:
        options = Options(**{name: given.pop(name) for name in names})
        command(**given, options=options)

    shown = Signature([*(each for each in own if each.name != "options"), *options])
    taken_apart.__signature__ = shown  # type: ignore[attr-defined] # what typer reads
    taken_apart.__annotations__ = {name: each.annotation for name, each in shown.parameters.items()}
    return taken_apart


@with_options
def replay(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="NDJSON, plain, .gz or .zst; - is standard input.")
    ],
    options: Options,
) -> None:
    """Take event files in; the same ones again change nothing."""
    from rapport.replay.sources import files as sources

    run(sources(files), "replay", options)


def run(sources: Sequence[Source], label: str, options: Options) -> None:
    """Takes the sources in, or sends them to a cluster, and says what became of them."""
    from schemas.errors import UsageError

    if not to_kafka(options.to, options.brokers):
        if options.tables is not None or options.count_again:
            raise UsageError("--tables and --count-again are for a cluster: add --to kafka")
        _take(sources, label, options)
    elif options.clock != "wall" or options.until is not None:
        raise UsageError("A cluster lives on wall time: --clock and --until do not go with --to kafka")
    else:
        _send(sources, label, options)


def _send(sources: Sequence[Source], label: str, options: Options) -> None:
    from rapport.commands.options import cluster, plan_of_cluster
    from rapport.plan import folder as plan_folder
    from rapport.replay import cluster as cluster_replay
    from rapport.terminal import output

    target = cluster(options.brokers)
    loaded = plan_folder.load(plan_of_cluster(options.plan))
    with output.progress(label) as progress:
        report = cluster_replay.run(
            target, loaded, sources, progress, tables=options.tables, count_again=options.count_again
        )
    if options.json:
        output.emit(report.json())
    if report.broken:
        raise report.broken
    if not options.json:
        _show_sent(report)
    _say_unique(report.unique)
    if report.exit_code:
        output.say(
            "Stopped. What was read is sent; run the same command again for the rest, "
            "what is in already counts as duplicate."
        )
    _end(report, report.read, report.rejected, label, options.strict)


def _take(sources: Sequence[Source], label: str, options: Options) -> None:
    from rapport.plan import folder as plan_folder
    from rapport.replay.local import Clock, run
    from rapport.terminal import output

    chosen, end = _times(options.clock, options.until)
    loaded = plan_folder.load(options.plan, options.data)
    with output.progress(label) as progress:
        report = run(
            options.data, loaded, sources, clock=Clock(chosen), until=end, progress=progress, plan_folder=options.plan
        )
    if options.json:
        output.emit(report.json())
    if report.broken:
        raise report.broken
    if not options.json:
        _show(report, options.data)
    _remark(report, chosen, options.plan)
    _end(report, report.counts.read, report.counts.rejected, label, options.strict)


def _end(report: Report | cluster_replay.Report, read: int, rejected: int, label: str, strict: bool) -> None:
    """Leaves with an exit code other than 0 where a signal ended the run, or nothing of its input could be used.

    Events of types that the spec does not have may be those of a later one: by themselves they are no failure.
    """
    from rapport.terminal import output

    useless = rejected == read and report.unknown < read
    if useless:
        hint = (
            " Where another system wrote it, shape it into events: rapport import FILE --sql FILE.sql (docs/imports.md)"
        )
        output.say("Nothing of it could be used." + (hint if label == "replay" else ""))
    if report.exit_code or useless or (rejected and strict):
        raise typer.Exit(report.exit_code or 1)


def _times(clock: str, until: str | None) -> tuple[str, int | None]:
    from schemas import instant
    from schemas.errors import UsageError

    if clock not in ("wall", "events"):
        raise UsageError(f"--clock {clock}: write wall or events")
    if until is None:
        return clock, None
    if clock != "events":
        raise UsageError("--until moves the events clock; add --clock events")
    try:
        return clock, instant.parse(until)
    except ValueError:
        raise UsageError(f"--until {until}: write an ISO 8601 time, for example 2026-03-02T10:00:00Z") from None


def _show(report: Report, data: Path) -> None:
    from rapport.terminal import output

    counts = report.counts
    rate = counts.read / report.seconds if report.seconds else 0
    output.show(
        output.fields(
            {
                "read": f"{counts.read:,} in {report.seconds:.1f} s ({rate:,.0f} a second)",
                "applied": f"{counts.applied:,}",
                "duplicate": f"{counts.duplicate:,}",
                "rejected": f"{counts.rejected:,}",
                "customers": f"{counts.profiles:,} now, {counts.merges:,} merged by this run",
                "triggers": f"{counts.triggers:,}",
                "published": str(data / "rapport.duckdb"),
            }
        )
    )


def _show_sent(report: cluster_replay.Report) -> None:
    from rapport.terminal import output

    rate = report.read / report.seconds if report.seconds else 0
    output.show(
        output.fields(
            {
                "read": f"{report.read:,} in {report.seconds:.1f} s ({rate:,.0f} a second)",
                "sent": f"{report.sent:,}",
                "rejected": f"{report.rejected:,}, sent to be recorded",
                **({"known": f"{report.known:,} are in the tables and were not sent"} if report.known else {}),
                "to": f"{report.topic}, {report.partitions} partitions, {report.records:,} records",
            }
        )
    )


def _say_unique(count: int) -> None:
    from rapport.terminal import output

    if count:
        output.say(
            f"{count:,} lines of a pipe state neither an id nor a time: they count each time they are sent. "
            "Give them a messageId or a timestamp."
        )


def _remark(report: Report, clock: str, plan: Path | None) -> None:
    from rapport.terminal import output

    counts = report.counts
    if report.exit_code:
        output.say(
            "Stopped. What was taken is kept and published; run the same command again for the rest, "
            "what is in already counts as duplicate."
        )
    _say_unique(report.unique)
    if counts.rejected:
        output.say(f"{counts.rejected:,} rejected: rapport rejected list")
    undone = {name: counts.decisions[name] for name in UNDONE if counts.decisions[name]}
    if undone:
        told = ", ".join(f"{count:,} {name}" for name, count in undone.items())
        listed = ", ".join(f"'{name}'" for name in undone)
        output.say(
            f"Rules could not act on everything: {told}. Which and why: "
            f'rapport query "FROM fct_rule_decision WHERE verdict IN ({listed})"'
        )
    if counts.unreadable:
        amounts = "1 amount" if counts.unreadable == 1 else f"{counts.unreadable:,} amounts"
        output.say(f"{amounts} of orders could not be read and count as unknown: rapport query 'FROM data_quality'")
    if counts.late and clock == "wall":
        output.say(
            f"{counts.late:,} events were too old to start rules (more than 72 h). To run history as if it were live, "
            "replay it with --clock events into a fresh data folder (--data DIR)."
            + ("" if plan else " Rules come from a plan folder: --plan DIR.")
        )
