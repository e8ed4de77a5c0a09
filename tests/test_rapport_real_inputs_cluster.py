"""Real inputs through a cluster of plain processes, by its own commands: the same tables as embedded.

Two workers and a sink take everything that an embedded run takes, file by file. All of it is history, which starts no
rule on wall time: a month with its timers is `test_stream_worker`'s. The data is no part of the repository; without it
these tests are skipped.
"""

from __future__ import annotations

import gzip
import secrets
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import orjson
import pytest

from rapport.demo.broker import Broker
from rapport.demo.processes import LocalCluster
from rapport_shell import DATA, ROOT, SHOP, ran
from schemas.instant import SECOND, parse, render
from schemas.topics import OUTPUTS
from sinks_topics import caught_up, ends, leave_published
from stream.embedded.store import LAKE, PUBLISHED
from stream_cluster import Workers, until
from stream_parity import TABLES, differences

RETAIL = DATA / "online_retail_first_10_trading_days.parquet"
CLICKS = DATA / "retentioneering_ecom.csv.gz"
WIRE = DATA / "wire"
NAUGHTY = DATA / "security" / "blns.json"
PARTITIONS = 4
AT = parse("2026-03-02")


def imported(path: Path, sql: str) -> list[object]:
    return ["import", path, "--sql", ROOT / "examples" / sql]


def clicks(folder: Path) -> list[object]:
    """The first of the clicks: all of them go in embedded, in `test_rapport_real_inputs`."""
    path = folder / "clicks.csv"
    with gzip.open(CLICKS, "rb") as all_of_them:
        path.write_bytes(b"".join(islice(all_of_them, 8_000)))
    return imported(path, "retentioneering.sql")


def wire(folder: Path) -> list[object]:
    """What real SDKs posted, request by request, repeated ones included."""
    paths: list[object] = []
    for path in sorted(WIRE.glob("*.jsonl")):
        requests = map(orjson.loads, path.read_bytes().splitlines())
        bodies = [orjson.dumps(request["json"]) for request in requests if request.get("json")]
        paths.append(folder / f"{path.stem}.ndjson")
        (folder / f"{path.stem}.ndjson").write_bytes(b"\n".join(bodies))
    return ["replay", *paths]


def naughty(folder: Path) -> list[object]:
    """Naughty strings as identifiers, names, keys and values."""
    strings = orjson.loads(NAUGHTY.read_bytes())
    calls: list[dict[str, Any]] = [
        {
            "type": "track",
            "event": text or "x",
            "userId": text,
            "anonymousId": f"a{number}",
            "messageId": f"m{number}",
            "properties": {text: text, "order_id": text},
            "context": {"campaign": {"name": text}, "traits": {text: text}},
        }
        for number, text in enumerate(strings)
    ]
    calls += [
        {"type": "identify", "userId": f"user-{number}", "messageId": f"t{number}", "traits": {"naughty": text}}
        for number, text in enumerate(strings)
    ]
    for number, call in enumerate(calls):
        call["timestamp"] = render(AT + number * SECOND)
    (folder / "naughty.ndjson").write_bytes(b"\n".join(map(orjson.dumps, calls)))
    return ["replay", folder / "naughty.ndjson"]


INPUTS = {
    RETAIL: lambda _: imported(RETAIL, "online_retail.sql"),
    CLICKS: clicks,
    WIRE: wire,
    NAUGHTY: naughty,
}


class Both(NamedTuple):
    """The same inputs embedded and through a cluster."""

    embedded: Path
    cluster: Path
    """Where each published."""
    reports: list[tuple[dict[str, Any], dict[str, Any]]]
    """What each said, input by input."""


@pytest.fixture(scope="module")
def both(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    if missing := [str(path.relative_to(ROOT.parent)) for path in INPUTS if not path.exists()]:
        pytest.skip(f"not here: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("both")
    commands = [of(folder) for of in INPUTS.values()]
    prefix = f"t{secrets.token_hex(4)}-"
    with LocalCluster(folder, address=broker.address, prefix=prefix) as cluster:
        cluster.environment["RAPPORT_PARTITIONS"] = str(PARTITIONS)
        cluster.up(SHOP)
        reports = []
        for command in commands:
            here = ran(*command, "--plan", SHOP, "--data", folder / "embedded", "--json")
            to_kafka = ("--to", "kafka", "--brokers", broker.address)
            there = ran(*command, "--plan", SHOP, *to_kafka, "--json", env=cluster.environment)
            assert (here.code, there.code) == (0, 0), here.err + there.err
            reports.append((here.json, there.json))
        Workers(broker.address, prefix, folder / "watching", PARTITIONS, SHOP).settled()
        written = ends(broker.address, {topic: prefix + topic for topic in OUTPUTS})
        until(lambda: caught_up(cluster.sink_data / LAKE, written), "the sink has everything")
        cluster.down()
        leave_published(cluster.sink_data / LAKE, cluster.sink_data / PUBLISHED)
        yield Both(folder / "embedded" / PUBLISHED, cluster.sink_data / PUBLISHED, reports)


def test_every_input_is_accepted_alike(both: Both) -> None:
    for here, there in both.reports:
        assert (there["sent"] + there["rejected"], there["rejected"]) == (here["read"], here["rejected"])
        assert here["read"] > 0


def test_the_tables_are_the_same(both: Both) -> None:
    """No two owners contend for an identifier in any of these inputs, so nothing is left out."""
    found = differences(both.embedded, both.cluster)
    assert not found, "\n".join(found)


def test_no_table_is_the_same_for_being_empty(both: Both) -> None:
    with duckdb.connect(str(both.cluster), read_only=True) as mart:
        counts = {table: mart.execute(f"SELECT count(*) FROM mart.{table}").fetchall()[0][0] for table in TABLES}
    may_be = ("fct_trigger", "fct_rule_decision", "data_quality")  # history starts no rule; its amounts are readable
    assert min(counts[table] for table in counts if table not in may_be) > 0, counts
