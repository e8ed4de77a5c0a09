"""Metrics say what the lanes' figures say, and docs/metrics.md documents every one of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from rapport.http import metrics
from rapport.http.metrics import Labelled
from rapport.plan import folder as plan_folder
from rapport_shell import ROOT, SHOP
from schemas.instant import SECOND
from sinks.kafka.consumer import Tally
from sinks.marts.schedule import PublishSchedule
from stream.core.lanestats import AGE_BOUNDS, LaneStats

PAGE = (ROOT / "docs" / "metrics.md").read_text()
NOW = 1_000_000 * SECOND

BUSY = LaneStats(
    received=Counter(events=12, internal=3),
    applied=9,
    duplicate=2,
    rejected=Counter(events=1),
    decisions=Counter(fired=4, unusable=1),
    unreadable=6,
    newest_event=NOW - 7 * SECOND,
    ages=[0, 3, 0, 1] + [0] * (len(AGE_BOUNDS) - 3),
    ages_sum=0.75,
    stages={"identify": 1},
    open=True,
    positions={"events": 40, "internal": 7},
)


class Work:
    """A worker with one lane that works and one that recovers."""

    plan = "abc123"

    def __init__(self, behind: Labelled) -> None:
        self._behind = behind

    def lanes(self) -> Mapping[str, LaneStats]:
        return {"lane-0": BUSY, "lane-1": LaneStats(recovery_done=5, recovery_total=9)}

    def behind(self, lane: str) -> Labelled:
        return self._behind if lane == "lane-0" else {}

    def broker_up(self) -> bool:
        return True

    def disk_free(self) -> int:
        return 5_000


def worker(behind: Labelled) -> CollectorRegistry:
    return metrics.of_worker(Work(behind), lambda: NOW)


@pytest.fixture
def sink(tmp_path: Path) -> CollectorRegistry:
    publishing = PublishSchedule(tmp_path / "lake", tmp_path / "out.duckdb")
    tally = Tally(records=3, assigned=2)
    tally.rows["facts"] = 11
    return metrics.of_sink(tally, publishing, Work({}))


def shown(registry: CollectorRegistry) -> dict[str, float]:
    """What Prometheus would see: series -> value."""
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {series: float(value) for series, value in (line.rsplit(" ", 1) for line in lines)}


def test_a_workers_metrics_are_its_lanes_figures() -> None:
    seen = shown(worker({"events": 4, "internal": 0}))
    assert {
        'rapport_received_total{lane="lane-0",topic="events"}': 12,
        'rapport_received_total{lane="lane-0",topic="internal"}': 3,
        'rapport_applied_total{lane="lane-0"}': 9,
        'rapport_duplicate_total{lane="lane-0"}': 2,
        'rapport_rejected_total{lane="lane-0",topic="events"}': 1,
        'rapport_refusals_total{lane="lane-0",stage="identify"}': 1,
        'rapport_unreadable_amounts_total{lane="lane-0"}': 6,
        'rapport_position{lane="lane-0",topic="internal"}': 7,
        'rapport_lag_records{lane="lane-0",topic="events"}': 4,
        'rapport_lag_seconds{lane="lane-0"}': 7,
        'rapport_lane_open{lane="lane-0"}': 1,
        'rapport_lane_open{lane="lane-1"}': 0,
        'rapport_recovery_done{lane="lane-1"}': 5,
        'rapport_recovery_total{lane="lane-1"}': 9,
        f'rapport_event_age_seconds_bucket{{lane="lane-0",le="{AGE_BOUNDS[0]}"}}': 0,
        f'rapport_event_age_seconds_bucket{{lane="lane-0",le="{AGE_BOUNDS[1]}"}}': 3,
        f'rapport_event_age_seconds_bucket{{lane="lane-0",le="{AGE_BOUNDS[3]}"}}': 4,
        'rapport_event_age_seconds_bucket{lane="lane-0",le="+Inf"}': 4,
        'rapport_event_age_seconds_count{lane="lane-0"}': 4,
        'rapport_event_age_seconds_sum{lane="lane-0"}': 0.75,
        'rapport_plan_info{hash="abc123"}': 1,
        "rapport_broker_up": 1,
        "rapport_disk_free_bytes": 5_000,
    }.items() <= seen.items()


def test_nobody_lags_while_nothing_waits() -> None:
    assert shown(worker({"events": 0, "internal": 1}))['rapport_lag_seconds{lane="lane-0"}'] == 0


def test_a_sinks_metrics(sink: CollectorRegistry) -> None:
    assert {
        'rapport_sink_rows_total{topic="facts"}': 11,
        "rapport_sink_records_total": 3,
        "rapport_sink_partitions": 2,
        "rapport_broker_up": 1,
        "rapport_disk_free_bytes": 5_000,
    }.items() <= shown(sink).items()


def test_every_metric_is_documented_and_nothing_else_is(sink: CollectorRegistry) -> None:
    given = {
        re.sub(r"_(bucket|count|sum)$", "", series.partition("{")[0])
        for registry in (worker({"events": 1}), sink)
        for series in shown(registry)
    }
    documented = set(re.findall(r"^\| `(rapport_\w+)", PAGE, re.MULTILINE)) | set(re.findall(r"`(process_\w+)`", PAGE))
    assert given == documented


def test_every_figure_of_a_lane_is_shown() -> None:
    """A figure that is added to the lanes is added to the metrics."""
    before = generate_latest(worker({"events": 1}))
    for name in LaneStats.__dataclass_fields__:
        value = getattr(BUSY, name)
        if isinstance(value, dict):
            changed = {key: number + 1 for key, number in value.items()}
        else:
            changed = [number + 1 for number in value] if isinstance(value, list) else value + 3
        other = Work({"events": 1})
        other.lanes = lambda name=name, changed=changed: {  # type: ignore[method-assign]
            "lane-0": replace(BUSY, **{name: changed}),
            "lane-1": LaneStats(recovery_done=5, recovery_total=9),
        }
        assert generate_latest(metrics.of_worker(other, lambda: NOW)) != before, name


def test_the_plans_hash_changes_with_what_the_plan_does_and_with_nothing_else(tmp_path: Path) -> None:
    shop = plan_folder.digest(plan_folder.load(SHOP))
    assert re.fullmatch(r"[0-9a-f]{12}", shop)
    assert shop == plan_folder.digest(plan_folder.load(SHOP)) != plan_folder.digest(plan_folder.load(None))
    (tmp_path / "identity.yaml").write_text("default_region: DE\n")
    one = plan_folder.digest(plan_folder.load(tmp_path))
    (tmp_path / "identity.yaml").write_text("# the same\n\ndefault_region:   DE\n")
    assert plan_folder.digest(plan_folder.load(tmp_path)) == one != shop
