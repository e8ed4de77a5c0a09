"""`rapport topics` and `rapport config`: what a cluster needs before its processes start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rapport.commands.options import DATA, INSTALL, Brokers, Data, Json, Plan
from rapport.commands.options import cluster as named

if TYPE_CHECKING:
    from stream.kafka.topics import Difference

topics = typer.Typer(help="The Kafka topics: made, compared.", no_args_is_help=True)
config = typer.Typer(help="The settings of a cluster's processes.", no_args_is_help=True)


@topics.command()
def create(brokers: Brokers = None, json: Json = False) -> None:
    """Create the topics that are missing; those that exist are compared and left as they are."""
    from rapport.terminal import output
    from stream.kafka import topics as topology

    done = topology.create(named(brokers))
    if json:
        told = [difference._asdict() for difference in done.differences]
        output.emit({"created": done.created, "existed": done.existed, "differences": told})
    else:
        output.show(f"{output.counted(len(done.created), 'topic')} created, {len(done.existed)} were there.")
        _compare(done.differences)
    if done.differences:
        raise typer.Exit(1)


@topics.command()
def check(brokers: Brokers = None, json: Json = False) -> None:
    """Name every difference between the topics as they are and as they should be."""
    from rapport.terminal import output
    from stream.kafka import topics as topology

    differences = topology.check(named(brokers))
    if json:
        told = [difference._asdict() for difference in differences]
        output.emit({"ok": not differences, "differences": told})
    elif differences:
        _compare(differences)
    else:
        output.show("All topics are as they should be.")
    if differences:
        raise typer.Exit(1)


@config.callback()
def _config() -> None:
    pass


@config.command()
def show(
    redacted: Annotated[  # noqa: ARG001 - no secret is ever shown; whoever pastes the output can say so
        bool, typer.Option("--redacted", help="Leave secrets out, as it always does.")
    ] = True,
    brokers: Brokers = None,
    data: Data = DATA,
    plan: Plan = None,
    json: Json = False,
) -> None:
    """Every setting, its value and whether it is the default. Secrets stay in their files."""
    from rapport.commands.options import needs_packages
    from rapport.terminal import output

    needs_packages()
    from rapport.settings import PREFIX, load

    settings = load(brokers=brokers, data=None if data == DATA else data, plan=plan)
    rows = [
        (PREFIX + name.upper(), value, "set" if name in settings.model_fields_set else "default")
        for name, value in settings.model_dump(mode="json").items()
    ]
    if json:
        output.emit({name: {"value": value, "from": origin} for name, value, origin in rows})
        return
    shown = ([name, _text(value), origin] for name, value, origin in rows)
    output.show(output.table("", ("setting", "value", "from"), shown))


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return ",".join(value)
    return None if value is None else str(value)


def _compare(differences: Sequence[Difference]) -> None:
    """What differs, and once for each kind what to do about it."""
    from rapport.terminal import output
    from stream.kafka.topics import COMPRESSION, MISSING

    if not differences:
        return
    output.show(
        output.table(
            "",
            ("topic", "what", "should be", "is"),
            ([each.topic, each.what, each.wanted, each.found] for each in differences),
        )
    )
    kinds = {each.what for each in differences}
    if "topic" in kinds:
        output.say(f"What is {MISSING} is created by: rapport topics create")
    if "partitions" in kinds:
        output.say(
            "Partitions are fixed when topics are created: set RAPPORT_PARTITIONS to what is there, or start anew "
            "under another RAPPORT_TOPIC_PREFIX."
        )
    if COMPRESSION in kinds:
        output.say(f"What reads every compression is installed by: {INSTALL}")
    if kinds - {"topic", "partitions", COMPRESSION}:
        output.say(
            "Set the rest with Kafka's own tools: kafka-configs for settings, kafka-reassign-partitions for copies."
        )
