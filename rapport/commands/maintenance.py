"""`rapport publish`, `compact`, `doctor` and `bench`: keeping it healthy."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rapport.commands.options import DATA, Brokers, Data, Json, Plan, names_brokers, plan_of_cluster
from rapport.commands.options import cluster as named


def publish(data: Data = DATA, plan: Plan = None, json: Json = False) -> None:
    """Write the DuckDB file anew: where it was moved, copied, damaged or deleted, or a run was killed."""
    from rapport.plan import folder as plan_folder
    from rapport.publication import publish as published
    from rapport.terminal import output
    from stream.embedded.store import PUBLISHED

    report = published(data, plan_folder.load(plan, data))
    if json:
        output.emit(asdict(report))
        return
    output.show(f"{data / PUBLISHED}: {report.events:,} events of {report.customers:,} customers.")


def compact(data: Data = DATA, plan: Plan = None, json: Json = False) -> None:
    """Few large Parquet files instead of many small ones; the same rows."""
    from rapport.compaction import compact as compacted
    from rapport.plan import folder as plan_folder
    from rapport.terminal import output

    report = compacted(data, plan_folder.load(plan, data))
    if json:
        output.emit(asdict(report))
        return
    output.show(
        f"{report.files_before:,} files became {report.files_after:,}: {report.rows_rewritten:,} rows rewritten, "
        f"{report.bytes_before / 1e6:,.1f} MB before, {report.bytes_after / 1e6:,.1f} MB after; "
        f"{report.deleted:,} old files deleted."
    )


def doctor(
    offsets: Annotated[
        bool,
        typer.Option("--set-offsets", help="Go on with a store and a lake of different days; says what is lacking."),
    ] = False,
    brokers: Brokers = None,
    data: Data = DATA,
    plan: Plan = None,
    json: Json = False,
) -> None:
    """Look the data folder, or with brokers a running cluster, and the plan over; every finding says what to do."""
    from rapport.doctor.local import Verdict, examine, set_offsets
    from rapport.terminal import output

    if offsets:
        findings = [*set_offsets(data), *examine(data, plan)]
    elif names_brokers(brokers):
        cluster = named(brokers, data)
        from rapport.doctor import cluster as cluster_doctor

        with output.progress("looking the cluster over") as progress:
            findings = cluster_doctor.examine(cluster, plan_of_cluster(plan), progress)
    else:
        findings = examine(data, plan)
    failed = any(finding.verdict is Verdict.fail for finding in findings)
    if json:
        output.emit({"ok": not failed, "findings": [asdict(finding) for finding in findings]})
    else:
        style = {Verdict.ok: "green", Verdict.warn: "yellow", Verdict.fail: "bold red"}
        rows = (
            [output.plain(each.verdict.value, style[each.verdict]), each.check, each.found, each.advice]
            for each in findings
        )
        output.show(output.table("", ("", "check", "found", "what to do"), rows))
    if failed:
        raise typer.Exit(1)


def bench(context: typer.Context) -> None:
    """The speed report of this machine; see docs/benchmarks.md."""
    from rapport.bench.throughput import main

    raise typer.Exit(main(context.args))
