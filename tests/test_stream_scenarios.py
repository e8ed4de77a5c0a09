"""Every scenario on every runner: the same events must come to the same profiles, merges, triggers and decisions.

To look at one: pytest tests/test_stream_scenarios.py -k split-reopens
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from kafka_scenarios import played
from rapport.demo.broker import Broker
from schemas.instant import parse
from schemas.keys import profile_id
from stream.embedded.store import PUBLISHED
from stream_scenarios import Outcome, Scenario, compared, embedded, files, load, published, simulated

RUNNERS: dict[str, Callable[[Scenario, Path], Outcome]] = {
    "embedded, one by one": lambda scenario, folder: embedded(scenario, folder, 1),
    "embedded, by sevens": lambda scenario, folder: embedded(scenario, folder, 7),
    "embedded, at once": published,
    "simulated, four lanes": lambda scenario, _: simulated(scenario),
}
FIRST, *OTHERS = RUNNERS
CLUSTER = "Kafka, two workers"


class Stage:
    """One scenario; each runner plays it at most once."""

    def __init__(self, path: Path, folder: Path, cluster: Callable[[], Mapping[str, Outcome]]) -> None:
        self.scenario = load(path)
        self.folder = folder
        self._name = path.stem
        self._cluster = cluster
        self._outcomes: dict[str, Outcome] = {}

    def outcome(self, runner: str) -> Outcome:
        if runner not in self._outcomes:
            self._outcomes[runner] = self._play(runner)
        return self._outcomes[runner]

    def _play(self, runner: str) -> Outcome:
        if runner == CLUSTER:
            return self._cluster()[self._name]
        return RUNNERS[runner](self.scenario, self.folder / runner)


@pytest.fixture(scope="module")
def on_kafka(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    """What every scenario comes to on a cluster, which plays them all at once."""
    return played(broker.address, f"t{secrets.token_hex(4)}-", tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="module", params=files(), ids=lambda path: path.stem)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp(request.param.stem)
    return Stage(request.param, folder, lambda: request.getfixturevalue("on_kafka"))


@pytest.mark.parametrize("runner", [*RUNNERS, CLUSTER])
def test_a_scenario_comes_to_what_it_says(stage, runner):
    happened, expected = compared(stage.scenario, stage.outcome(runner))
    assert happened == expected, stage.scenario.title


@pytest.mark.parametrize("runner", [*OTHERS, CLUSTER])
def test_all_runners_agree_on_everything(stage, runner):
    assert stage.outcome(runner) == stage.outcome(FIRST)


def test_the_mart_tells_of_each_customer_what_the_profile_tells(stage):
    profiles = stage.outcome("embedded, at once").profiles
    told = {profile_id(root): _told(found) for root, found in profiles.items()}
    assert _mart(stage.folder / "embedded, at once" / PUBLISHED) == told


def _told(profile: dict[str, Any]) -> dict[str, Any]:
    orders = profile["orders"]
    return {
        "event_count": profile["event_count"],
        "seen": (parse(profile["first_seen"]), parse(profile["last_seen"])),
        "traits": profile["traits"],
        "orders": orders["count"],
        "revenue": {unit: Decimal(amount) for unit, amount in orders["revenue"].items()},
        "refunded": sum(map(Decimal, orders["refunded"].values())),
        "identifiers": {f"{each['type']}:{each['value']}" for each in profile["identifiers"]},
        "channels": sorted(profile["channels"]),
    }


def _mart(published: Path) -> dict[str, dict[str, Any]]:
    with duckdb.connect(str(published), read_only=True) as mart:
        rows = mart.execute(
            "SELECT profile_id, event_count, epoch_us(first_seen), epoch_us(last_seen), traits, order_count,"
            " revenue_by_currency, (SELECT coalesce(sum(refunded), 0) + coalesce(sum("
            "list_sum(map_values(CAST(refunded_other AS MAP(VARCHAR, DECIMAL(38, 6)))))), 0) FROM mart.fct_order AS o"
            " WHERE o.profile_id = customer.profile_id),"
            " (SELECT list(identifier_type || ':' || identifier_value) FROM mart.bridge_identity AS b"
            " WHERE b.profile_id = customer.profile_id), channels FROM mart.dim_customer AS customer"
        ).fetchall()
    return {
        id_: {
            "event_count": count,
            "seen": (first, last),
            "traits": orjson.loads(traits),
            "orders": orders,
            "revenue": revenue or {},
            "refunded": refunded,
            "identifiers": set(identifiers),
            "channels": [channel for channel in channels if channel],
        }
        for id_, count, first, last, traits, orders, revenue, refunded, identifiers, channels in rows
    }
