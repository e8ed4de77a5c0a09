"""What Prometheus sees of a worker and of a sink: read from plain numbers when it asks, never counted per event.

A lane that moves to another worker takes its series along; its counters begin at 0 wherever it is opened, which is what
Prometheus expects of a restart. docs/metrics.md says what to make of each, and a test compares the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from schemas.instant import SECOND
from schemas.topics import OUTPUTS
from stream.core.lanestats import AGE_BOUNDS, LaneStats

if TYPE_CHECKING:
    from sinks.kafka.consumer import Tally
    from sinks.marts.schedule import PublishSchedule

Labelled = Mapping[str, float]
"""Label value -> value."""


@dataclass(frozen=True, slots=True)
class Counter:
    """A metric of each lane that only grows, perhaps split by one label more."""

    name: str
    help: str
    read: Callable[[LaneStats], float | Labelled]
    label: str = ""


class Gauge(Counter):
    """One that goes up and down."""


LANE: tuple[Counter, ...] = (
    Counter("rapport_received", "Inputs taken.", lambda lane: lane.received, "topic"),
    Counter("rapport_applied", "Events applied, each once.", lambda lane: lane.applied),
    Counter("rapport_duplicate", "Events whose message id had been seen.", lambda lane: lane.duplicate),
    Counter("rapport_rejected", "Inputs refused, repeats included.", lambda lane: lane.rejected, "topic"),
    Counter("rapport_refusals", "Refusals written to the topic rejected.", lambda lane: lane.stages, "stage"),
    Counter("rapport_late", "Events applied, but too old to start a rule.", lambda lane: lane.late),
    Counter("rapport_unreadable_amounts", "Amounts of orders that could not be read.", lambda lane: lane.unreadable),
    Counter("rapport_forwarded", "Events sent on to where their profile lives.", lambda lane: lane.forwarded),
    Counter("rapport_merged", "Merges that the linker decided.", lambda lane: lane.merges),
    Counter("rapport_triggers", "Triggers written.", lambda lane: lane.triggers),
    Counter("rapport_decisions", "Rule decisions written.", lambda lane: lane.decisions, "verdict"),
    Counter("rapport_step_seconds", "Time spent in steps.", lambda lane: lane.step_seconds),
    Counter("rapport_transactions", "Kafka transactions committed.", lambda lane: lane.commits),
    Counter("rapport_commit_seconds", "Time spent committing.", lambda lane: lane.commit_seconds),
    Counter("rapport_changelog_rows", "Rows written to the changelog.", lambda lane: lane.rows),
    Counter("rapport_changelog_bytes", "Bytes of their keys and values.", lambda lane: lane.row_bytes),
    Gauge("rapport_position", "Next offset of each input, as committed.", lambda lane: lane.positions, "topic"),
    Gauge("rapport_waiting_records", "Records delivered and not yet taken.", lambda lane: lane.waiting),
    Gauge("rapport_timers_pending", "Timers that wait.", lambda lane: lane.timers),
    Gauge("rapport_timers_late_seconds", "How overdue the earliest timer is.", lambda lane: lane.timers_late),
    Gauge(
        "rapport_partitions_not_awaited",
        "Partitions of events that timers did not wait for: nothing has moved there for ten minutes.",
        lambda lane: lane.standing,
    ),
    Gauge("rapport_lane_open", "1 once the lane works, 0 while it recovers.", lambda lane: lane.open),
    Gauge("rapport_recovery_done", "Changelog offsets applied on opening.", lambda lane: lane.recovery_done),
    Gauge("rapport_recovery_total", "Changelog offsets to apply on opening.", lambda lane: lane.recovery_total),
)


class Work(Protocol):
    """What a worker tells about itself, at any time."""

    plan: str
    """The plan's digest."""

    def lanes(self) -> Mapping[str, LaneStats]:
        """By name: `lane-3`, `linker`."""

    def behind(self, lane: str) -> Labelled:
        """Records not yet taken, by input topic."""

    def broker_up(self) -> bool:
        """Whether a broker took a connection lately."""

    def disk_free(self) -> int:
        """Bytes free where it writes."""


class Place(Protocol):
    """What a sink tells about where it works."""

    def broker_up(self) -> bool:
        """Whether a broker took a connection lately."""

    def disk_free(self) -> int:
        """Bytes free where it writes."""


def of_worker(work: Work, now: Callable[[], int]) -> CollectorRegistry:
    """A registry of its own with a worker's metrics. `now` is the wall clock."""
    return _registry(_WorkerCollector(work, now))


def of_sink(tally: Tally, publishing: PublishSchedule, place: Place) -> CollectorRegistry:
    """A registry of its own with a sink's metrics."""
    return _registry(_SinkCollector(tally, publishing, place))


def _registry(collector: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


@dataclass(frozen=True, eq=False)
class _WorkerCollector(Collector):
    work: Work
    now: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        lanes = self.work.lanes()
        yield from (_of_lanes(metric, lanes) for metric in LANE)
        yield _ages(lanes)
        yield from self._lag(lanes)
        yield from _surroundings(self.work)
        plan = GaugeMetricFamily("rapport_plan_info", "1, for the plan that is active.", labels=["hash"])
        plan.add_metric([self.work.plan], 1)
        yield plan

    def _lag(self, lanes: Mapping[str, LaneStats]) -> Iterable[Metric]:
        records = GaugeMetricFamily("rapport_lag_records", "Offsets not yet taken.", labels=["lane", "topic"])
        seconds = GaugeMetricFamily(
            "rapport_lag_seconds", "Age of the event applied last, while more wait; else 0.", labels=["lane"]
        )
        for name, stats in lanes.items():
            behind = self.work.behind(name)
            for topic, count in behind.items():
                records.add_metric([name, topic], count)
            if "events" in behind:
                waits = behind["events"] > 0 and stats.newest_event > 0
                seconds.add_metric([name], (self.now() - stats.newest_event) / SECOND if waits else 0)
        return records, seconds


def _surroundings(place: Place) -> Iterator[Metric]:
    yield GaugeMetricFamily("rapport_broker_up", "1 while a broker takes connections.", value=place.broker_up())
    yield GaugeMetricFamily("rapport_disk_free_bytes", "Free under the data folder.", value=place.disk_free())


def _of_lanes(metric: Counter, lanes: Mapping[str, LaneStats]) -> Metric:
    labels = ["lane", metric.label] if metric.label else ["lane"]
    kind = GaugeMetricFamily if isinstance(metric, Gauge) else CounterMetricFamily
    family: GaugeMetricFamily | CounterMetricFamily = kind(metric.name, metric.help, labels=labels)
    for name, stats in lanes.items():
        value = metric.read(stats)
        if isinstance(value, Mapping):
            for label, part in value.items():
                family.add_metric([name, label], part)
        else:
            family.add_metric([name], value)
    return family


def _ages(lanes: Mapping[str, LaneStats]) -> Metric:
    family = HistogramMetricFamily(
        "rapport_event_age_seconds", "From accepting to committing, of each commit's last event.", labels=["lane"]
    )
    bounds = [*map(str, AGE_BOUNDS), "+Inf"]
    for name, stats in lanes.items():
        family.add_metric([name], list(zip(bounds, accumulate(stats.ages), strict=True)), stats.ages_sum)
    return family


@dataclass(frozen=True, eq=False)
class _SinkCollector(Collector):
    tally: Tally
    publishing: PublishSchedule
    place: Place

    def collect(self) -> Iterator[Metric]:
        tally = self.tally
        yield from _surroundings(self.place)
        rows = CounterMetricFamily("rapport_sink_rows", "Rows in the lake, written by this sink.", labels=["topic"])
        for topic in OUTPUTS:
            rows.add_metric([topic], tally.rows[topic])
        yield rows
        yield CounterMetricFamily("rapport_sink_records", "Records taken.", value=tally.records)
        yield CounterMetricFamily("rapport_sink_files", "Parquet files written.", value=tally.flushes)
        yield CounterMetricFamily("rapport_sink_compacted_rows", "Rows rewritten by compaction.", value=tally.compacted)
        yield CounterMetricFamily("rapport_sink_deleted_files", "Replaced files deleted.", value=tally.deleted)
        yield CounterMetricFamily(
            "rapport_sink_publications", "Times this sink published.", value=self.publishing.published
        )
        yield GaugeMetricFamily("rapport_sink_partitions", "Partitions this sink holds.", value=tally.assigned)
        published = self.publishing.published_at
        yield GaugeMetricFamily("rapport_sink_published_seconds", "When this sink published last.", value=published)
        idle = time.monotonic() - tally.beat if tally.beat else 0.0
        yield GaugeMetricFamily("rapport_sink_turn_age_seconds", "Since the loop last turned.", value=idle)
