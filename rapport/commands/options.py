"""Options that several commands share, so that they read and mean the same everywhere."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rapport.customers.by_hand import Customers
    from stream.kafka.cluster import Cluster

Data = Annotated[
    Path,
    typer.Option("--data", envvar="RAPPORT_DATA", metavar="DIR", help="The data folder.", file_okay=False),
]
Plan = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        envvar="RAPPORT_PLAN",
        metavar="DIR",
        help="The plan folder: identity.yaml and rules/.",
        file_okay=False,
    ),
]
Brokers = Annotated[
    str | None,
    typer.Option("--brokers", metavar="HOST:PORT,...", help="The Kafka brokers; else RAPPORT_BROKERS names them."),
]
HttpPort = Annotated[
    int | None,
    typer.Option("--http-port", metavar="PORT", help="For probes, metrics and queries; else RAPPORT_HTTP_PORT."),
]
From = Annotated[
    str, typer.Option("--from", metavar="local|kafka", help="local: the data folder. kafka: the running workers.")
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="kafka", help="Send it to a cluster's workers instead of a data folder."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, everything else on stderr.")]

DATA = Path("data")
INSTALL = "pip install '.[cluster]' in the clone of Rapport"


def key(text: str) -> str:
    """An identifier as written on the command line, `TYPE:VALUE`. Raises UsageError where it is not one."""
    from schemas.errors import UsageError
    from schemas.keys import key_of

    type_, colon, value = text.partition(":")
    if not (colon and type_.strip() and value.strip()):
        raise UsageError(f"{text!r} is no identifier; write TYPE:VALUE, for example email:ann@example.com")
    return key_of(type_.strip(), value.strip())


def customer(text: str, data: Path, plan: Path | None, cluster: Cluster | None = None) -> str:
    """An identifier of the customer whom a person names: TYPE:VALUE as it is written, a value alone, or a profile id.

    Raises UsageError and UnknownCustomer.
    """
    from rapport.customers.asked import key_of_customer, profile_id_in

    if profile_id_in(text) is None and (":" in text or not text.strip()):
        return key(text)
    return key_of_customer(text, customers(data, plan, cluster), plan)


def customers(data: Path, plan: Path | None, cluster: Cluster | None = None) -> Customers:
    """Those of a data folder, or of a cluster."""
    if cluster is not None:
        from rapport.customers.by_hand_cluster import OnCluster

        return OnCluster(cluster, plan)
    from rapport.customers.by_hand_local import Local

    return Local(data, plan)


def sql_of(file: str) -> str:
    """The SQL in a file; `-` is standard input. Raises InputError where it cannot be read."""
    from schemas.errors import InputError

    try:
        read = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return read.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8: save it as UTF-8 text.") from error


def from_kafka(origin: str, brokers: str | None) -> bool:
    """Whether `--from` means a cluster. Raises UsageError where options contradict each other."""
    from schemas.errors import UsageError

    if origin not in ("local", "kafka"):
        raise UsageError(f"--from {origin}: write local or kafka")
    if origin == "local" and brokers is not None:
        raise UsageError("--brokers is for customers of a cluster: add --from kafka")
    return origin == "kafka"


def to_kafka(to: str | None, brokers: str | None) -> bool:
    """Whether `--to` means a cluster. Raises UsageError where options contradict each other."""
    from schemas.errors import UsageError

    if to not in (None, "kafka"):
        raise UsageError(f"--to {to}: write kafka, or leave it out to use a data folder")
    if to is None and brokers is not None:
        raise UsageError("--brokers names where to send it; add --to kafka")
    return to == "kafka"


def remark(data: Path) -> None:
    """Says on stderr why the published file does not show all that the folder holds, and what to do about it."""
    from rapport.customers import queries
    from rapport.terminal import output

    if said := queries.shortcoming(data):
        output.say(said)


def cluster(brokers: str | None, data: Path = DATA, **others: object) -> Cluster:
    """The Kafka cluster that options and settings name. Raises SettingsError, naming everything that is wrong."""
    needs_packages()
    from rapport import settings

    return settings.cluster(brokers=brokers, data=None if data == DATA else data, **others)


def names_brokers(brokers: str | None) -> bool:
    """Whether an option, a variable or the file of settings names brokers. Raises SettingsError."""
    if brokers or os.environ.get("RAPPORT_BROKERS"):
        return True
    if not os.environ.get("RAPPORT_SETTINGS_FILE"):
        return False
    needs_packages()
    from rapport import settings

    return bool(settings.load().brokers)


def plan_of_cluster(plan: Path | None) -> Path | None:
    """The plan folder that the option, the variable or the file of settings names."""
    from rapport import settings

    return plan or settings.load().plan


def needs_packages() -> None:
    """Raises UsageError where Rapport was installed without what a cluster needs."""
    from schemas.errors import UsageError

    missing = [name for name in ("aiokafka", "faust", "kafka", "pydantic_settings") if not _installed(name)]
    if missing:
        raise UsageError(f"Kafka needs more packages ({', '.join(missing)}): {INSTALL}")


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # Faust, once imported, is a module without a specification
        return True
