"""`rapport identity`: why these are one person, why not, and taking them apart."""

from __future__ import annotations

from typing import Annotated

import typer

from rapport.commands.options import (
    DATA,
    Brokers,
    Data,
    From,
    Json,
    Plan,
    To,
    from_kafka,
    remark,
    to_kafka,
)
from rapport.commands.options import cluster as named
from rapport.commands.options import key as identifier

app = typer.Typer(help="Why these are one person, why not, and taking them apart.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(metavar="TYPE:VALUE")]
OtherKey = Annotated[str | None, typer.Argument(metavar="[TYPE:VALUE]")]


@app.command()
def log(
    key: OtherKey = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 50,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Every identity decision, or those about one identifier: merges, refusals, splits, dropped values."""
    from rapport.customers import local as lookup
    from rapport.terminal import output

    decisions = lookup.identity_log(data, identifier(key) if key else None, limit)
    if json:
        output.emit(decisions)
    else:
        names = ("decision", "kind", "a", "b", "reason")
        rows = ([*(row[name] for name in names), output.minute(row["decided_at"])] for row in decisions)
        output.show(output.table("", (*names, "at"), rows))
    remark(data)


@app.command()
def explain(
    key: Key,
    other: OtherKey = None,
    origin: From = "local",
    brokers: Brokers = None,
    data: Data = DATA,
    plan: Plan = None,
    json: Json = False,
) -> None:
    """Why these two are one customer or are not; with one identifier, how its customer came together.

    Of a cluster, --data names the sinks' folder: decisions come from there.
    """
    from rapport.terminal import output

    keys = [identifier(one) for one in (key, other) if one]
    if from_kafka(origin, brokers):
        cluster = named(brokers, data)
        from rapport.customers import cluster as cluster_lookup

        found = cluster_lookup.explain(cluster, plan, *keys)
        data = cluster.data
    else:
        from rapport.customers import local as lookup

        found = lookup.explain(data, plan, *keys)
    if json:
        output.emit(found)
    else:
        from rapport.terminal.customer_card import explanation

        output.show(*explanation(found))
    remark(data)


@app.command()
def split(
    a: Annotated[str, typer.Argument(metavar="A", help="TYPE:VALUE of one person.")],
    b: Annotated[str, typer.Argument(metavar="B", help="TYPE:VALUE of the other.")],
    with_a: Annotated[
        list[str] | None, typer.Option("--with-a", metavar="TYPE:VALUE", help="This one is A's, too; may be repeated.")
    ] = None,
    with_b: Annotated[
        list[str] | None, typer.Option("--with-b", metavar="TYPE:VALUE", help="This one is B's, too; may be repeated.")
    ] = None,
    to: To = None,
    brokers: Brokers = None,
    data: Data = DATA,
    plan: Plan = None,
    json: Json = False,
) -> None:
    """Take two people apart for good: each event goes with its identifier, and nothing joins the two again."""
    from rapport.terminal import output

    sides = [[identifier(one) for one in (first, *(more or ()))] for first, more in ((a, with_a), (b, with_b))]
    if to_kafka(to, brokers):
        cluster = named(brokers, data)
        from rapport.customers import split_cluster

        parts = split_cluster.split(cluster, *sides)
    else:
        from rapport.customers import split_local

        parts = split_local.split(data, plan, *sides)
    if json:
        output.emit(parts)
    else:
        output.show(
            output.table(
                "Two customers now",
                ("side", "customer", "identifiers", ">events"),
                (
                    [side, part["profile_id"], output.stacked(part["identifiers"]), part["event_count"]]
                    for side, part in parts.items()
                ),
            )
        )
