"""`rapport profile`, `find` and `query`: looking at customers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rapport.commands.options import DATA, Brokers, Data, From, Json, Plan, from_kafka, remark, sql_of
from rapport.commands.options import cluster as named
from rapport.commands.options import customer as meant


def profile(
    who: Annotated[
        str, typer.Argument(metavar="WHO", help="email:ann@example.com, or a value without its type, or a profile id.")
    ],
    events: Annotated[
        int | None, typer.Option("--events", min=1, max=10_000, help="So many of the last events, with all they said.")
    ] = None,
    origin: From = "local",
    brokers: Brokers = None,
    data: Data = DATA,
    plan: Plan = None,
    json: Json = False,
) -> None:
    """The whole customer: identifiers, traits, orders, channels, recent events, triggers."""
    from rapport.terminal import output

    if from_kafka(origin, brokers):
        cluster = named(brokers, data)
        from rapport.customers import cluster as cluster_lookup

        found = cluster_lookup.profile(cluster, meant(who, cluster.data, plan, cluster), events)
        data = cluster.data
    else:
        from rapport.customers import local as lookup

        found = lookup.profile(data, plan, meant(who, data, plan), events)
    if json:
        output.emit(found)
    else:
        from rapport.terminal.customer_card import card

        output.show(*card(found))
    remark(data)


def find(
    text: Annotated[list[str], typer.Argument(metavar="TEXT...", help="Words, numbers and ids, or parts of them.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many customers.")] = 20,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Customers by words in any order: names, addresses, phone numbers, ids of orders, tickets and carts."""
    from rapport.customers import search
    from rapport.terminal import output
    from rapport.terminal.hits import show

    asked = " ".join(text)
    found = search.find(data, asked, limit)
    if json:
        output.emit(found.customers)
    elif found.customers:
        show(found.customers, found.of_all)
    remark(data)
    if not found.customers:
        output.complain(f"nobody has {asked!r} in an identifier, a trait or an id; fewer or shorter words find more")
        raise typer.Exit(1)
    if found.instead:
        output.say(f"nobody has {asked!r}; these have {' or '.join(found.instead)}")


def query(
    sql: Annotated[
        str | None,
        typer.Argument(metavar="SQL", help="One statement, which can only read; - reads it from standard input."),
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="The statement is in a file.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="table|csv|json|parquet", help="How to write the rows.")
    ] = "table",
    safe: Annotated[
        bool, typer.Option("--safe", help="CSV for spreadsheets: no text of a customer can be a formula there.")
    ] = False,
    tables: Annotated[
        bool, typer.Option("--tables", help="Describe every table and column instead, or the table named for SQL.")
    ] = False,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """SQL on the published customers, events, orders and triggers."""
    from rapport.terminal import query_result
    from schemas.errors import UsageError

    chosen = "json" if json else format_
    if chosen not in query_result.FORMATS:
        raise UsageError(f"--format {chosen}: write one of {', '.join(query_result.FORMATS)}")
    if safe and chosen != "csv":
        raise UsageError("--safe is about spreadsheets: add --format csv")
    if tables and file is None:
        query_result.describe(data, sql, chosen)
        remark(data)
        return
    if tables or (sql is None) == (file is None):
        raise UsageError(
            'write one query, as in: rapport query "FROM mart.dim_customer LIMIT 5"; or --file FILE; or --tables'
        )
    if chosen == "parquet" and sys.stdout.isatty():
        raise UsageError(
            "Parquet is not for a terminal; send it to a file: rapport query ... --format parquet > rows.parquet"
        )
    asked = sql_of(file or "-") if sql in (None, "-") else sql
    query_result.run(data, asked, chosen, safe)
    remark(data)
