"""`rapport identity`: why these are one person, why not, and taking them apart."""

from __future__ import annotations

from typing import Annotated

import typer

from rapport.options import DATA, Brokers, Data, From, Json, Plan, To, from_kafka, to_kafka
from rapport.options import cluster as named
from rapport.options import key as identifier

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
    from rapport import console, lookup

    decisions = lookup.identity_log(data, identifier(key) if key else None, limit)
    if json:
        console.emit(decisions)
        return
    names = ("decision", "kind", "a", "b", "reason")
    rows = ([*(row[name] for name in names), console.minute(row["decided_at"])] for row in decisions)
    console.show(console.table("", (*names, "at"), rows))


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
    from rapport import console

    keys = [identifier(one) for one in (key, other) if one]
    if from_kafka(origin, brokers):
        cluster = named(brokers, data)
        from rapport import cluster_lookup

        found = cluster_lookup.explain(cluster, plan, *keys)
    else:
        from rapport import lookup

        found = lookup.explain(data, plan, *keys)
    if json:
        console.emit(found)
    else:
        from rapport.customer import explanation

        console.show(*explanation(found))


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
    from rapport import console

    sides = [[identifier(one) for one in (first, *(more or ()))] for first, more in ((a, with_a), (b, with_b))]
    if to_kafka(to, brokers):
        cluster = named(brokers, data)
        from rapport import cluster_surgery

        parts = cluster_surgery.split(cluster, *sides)
    else:
        from rapport import surgery

        parts = surgery.split(data, plan, *sides)
    if json:
        console.emit(parts)
    else:
        console.show(
            console.table(
                "Two customers now",
                ("side", "customer", "identifiers", ">events"),
                (
                    [side, part["profile_id"], console.stacked(part["identifiers"]), part["event_count"]]
                    for side, part in parts.items()
                ),
            )
        )
