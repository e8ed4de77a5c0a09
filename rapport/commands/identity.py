"""`rapport identity`: why these are one person, why not, and what people decide about that by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from rapport.commands.options import customer as meant
from rapport.commands.options import customers as people_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rapport.customers.by_hand import Customers

app = typer.Typer(help="Why these are one person, why not; taking apart and joining.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(metavar="WHO", help="TYPE:VALUE, a value without its type, or a profile id.")]
A = Annotated[str, typer.Argument(metavar="A", help="One person: TYPE:VALUE, a value or a profile id.")]
B = Annotated[str, typer.Argument(metavar="B", help="The other.")]
OtherKey = Annotated[str | None, typer.Argument(metavar="[WHO]", help="TYPE:VALUE, a value or a profile id.")]


@app.command()
def log(
    key: OtherKey = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 50,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Every identity decision, or those about one identifier: merges, refusals, splits, quarantines, dropped values."""
    from rapport.customers import local as lookup
    from rapport.terminal import output

    decisions = lookup.identity_log(data, meant(key, data, None) if key else None, limit)
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

    asked = [one for one in (key, other) if one]
    if from_kafka(origin, brokers):
        cluster = named(brokers, data)
        from rapport.customers import cluster as cluster_lookup

        found = cluster_lookup.explain(cluster, plan, *(meant(one, cluster.data, plan, cluster) for one in asked))
        data = cluster.data
    else:
        from rapport.customers import local as lookup

        found = lookup.explain(data, plan, *(meant(one, data, plan) for one in asked))
    if json:
        output.emit(found)
    else:
        from rapport.terminal.customer_card import explanation

        output.show(*explanation(found))
    remark(data)


@app.command()
def split(
    a: A,
    b: B,
    with_a: Annotated[
        list[str] | None, typer.Option("--with-a", metavar="TYPE:VALUE", help="This one is A's, too; may be repeated.")
    ] = None,
    with_b: Annotated[
        list[str] | None, typer.Option("--with-b", metavar="TYPE:VALUE", help="This one is B's, too; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show who would be on which side, and why.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, also where the two are not one customer.")] = False,
    to: To = None,
    brokers: Brokers = None,
    data: Data = DATA,
    plan: Plan = None,
    json: Json = False,
) -> None:
    """Take two people apart: each event goes with its identifier, and no event joins the two again.

    Whoever was named with one side only goes with it. Of a cluster, --data names the sinks' folder, which says that.
    """
    from rapport.customers import by_hand
    from rapport.terminal import output

    customers, key = _customers(to, brokers, data, plan)
    sides = [[key(one) for one in (first, *(more or ()))] for first, more in ((a, with_a), (b, with_b))]
    by_hand.on_one_side_each(*sides)
    of_a, of_b = ([customers.known(key) for key in keys] for keys in sides)
    shown = by_hand.preview(customers, of_a, of_b)
    if dry_run:
        if json:
            output.emit({"a": shown["a"], "b": shown["b"]})
        else:
            output.show(*(part for name in ("a", "b") for part in (_side(name, shown[name]), "")))
            output.say("Nothing was changed.")
        return
    if not yes and not shown["one"] and customers.keeps_apart(of_a[:1], of_b[:1]) != "split":
        _agree(f"{of_a[0]} and {of_b[0]} are two customers already. A split says that nothing may ever join them")
    parts = by_hand.split(customers, of_a, of_b, shown)
    if json:
        output.emit(parts)
    else:
        output.show(_people("Two customers now", parts.values()))


@app.command()
def unsplit(
    a: A, b: B, to: To = None, brokers: Brokers = None, data: Data = DATA, plan: Plan = None, json: Json = False
) -> None:
    """Take splits between two people back: whom a split had cut is one again, others may join again."""
    from rapport.customers import by_hand

    customers, key = _customers(to, brokers, data, plan)
    keys = customers.known(key(a)), customers.known(key(b))
    _tell("What they are now", by_hand.unsplit(customers, *keys), json)


@app.command()
def merge(
    a: A, b: B, to: To = None, brokers: Brokers = None, data: Data = DATA, plan: Plan = None, json: Json = False
) -> None:
    """Make one customer of two, whatever caps and unique types say; only a split or a quarantine is stronger."""
    from rapport.customers import by_hand

    customers, key = _customers(to, brokers, data, plan)
    keys = customers.known(key(a)), customers.known(key(b))
    _tell("One customer now", by_hand.merge(customers, *keys), json)


@app.command()
def quarantine(
    key: Key, to: To = None, brokers: Brokers = None, data: Data = DATA, plan: Plan = None, json: Json = False
) -> None:
    """Let an identifier join nobody any more: it keeps its own events, and whom only it had joined is apart.

    Of a cluster, --data names the sinks' folder, which says who belongs together without it.
    """
    from rapport.customers import by_hand

    customers, key_of = _customers(to, brokers, data, plan)
    _tell("What they are now", by_hand.quarantine(customers, customers.known(key_of(key))), json)


@app.command()
def release(
    key: Key, to: To = None, brokers: Brokers = None, data: Data = DATA, plan: Plan = None, json: Json = False
) -> None:
    """Take a quarantine back: the identifier joins people again, first those whom it had joined before."""
    from rapport.customers import by_hand

    customers, key_of = _customers(to, brokers, data, plan)
    _tell("What it is now", by_hand.release(customers, customers.known(key_of(key))), json)


def _customers(
    to: str | None, brokers: str | None, data: Path, plan: Path | None
) -> tuple[Customers, Callable[[str], str]]:
    """Those who are decided about, and what makes an identifier of what names one of them."""
    cluster = named(brokers, data) if to_kafka(to, brokers) else None
    folder = data if cluster is None else cluster.data
    return people_of(data, plan, cluster), lambda text: meant(text, folder, plan, cluster)


def _agree(doubt: str) -> None:
    """Goes on where the person at the terminal agrees. Raises UsageError where nobody can be asked."""
    from schemas.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(f"{doubt}: add --yes if you mean that.")
    if not typer.confirm(f"{doubt}. Go on?", err=True):
        raise typer.Exit(1)


def _tell(title: str, people: list[dict[str, Any]], json: bool) -> None:
    from rapport.terminal import output

    if json:
        output.emit({"people": people})
    else:
        output.show(_people(title, people))


def _people(title: str, people: Iterable[dict[str, Any]]) -> RenderableType:
    from rapport.terminal import output

    rows = ([each["profile_id"], output.stacked(each["identifiers"]), each["event_count"]] for each in people)
    return output.table(title, ("customer", "identifiers", ">events"), rows)


def _side(name: str, told: list[dict[str, Any]]) -> RenderableType:
    from rapport.terminal import output

    rows = (
        [
            each["identifier"],
            each["why"],
            output.stacked(f"{key} {times or 'joined'}" for key, times in each["named_with"].items()),
            output.stacked(each["sources"]),
            output.minute(each["newest_at"]),
        ]
        for each in told
    )
    return output.table(f"Side {name}", ("identifier", "why here", "named with, times", "in", "last"), rows)
