"""Looks a running cluster over: brokers, topics, workers, lag, stuck partitions, clocks, changelogs.

It reads, with one exception: to learn the brokers' time it commits an offset for a group of its own, and deletes that
group again. Each check says what it found and what to do; none stops the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rapport.customers.cluster import got
from rapport.doctor.identity import of_identity
from rapport.doctor.lag import INPUTS, Flow
from rapport.doctor.local import Finding, Verdict, listed, of_disk, of_plan
from rapport.plan import folder as plan_folder
from rapport.terminal.output import Progress
from schemas.errors import ClusterError, PlanError
from schemas.topics import TOPICS
from stream.kafka import topics as topology
from stream.kafka.clients import admin
from stream.kafka.cluster import Cluster
from stream.kafka.placement import Placement, placement_by

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

TESTED = (4, 1)
OLDEST = (3, 3)
"""Before this, KRaft and the calls that Rapport makes are not what they are now."""
SKEW_WARN, SKEW_FAIL = 1.0, 30.0
"""Seconds by which clocks may differ: timers and `now` are the workers', retention is the brokers'."""
CHANGELOGS = ("rows", "linker-rows")
OFFSETS = "__consumer_offsets"

Answers = Mapping[str, tuple[int, dict[str, Any]]]
"""Status and JSON of workers, by URL; status 0 where there is none."""


def examine(cluster: Cluster, plan: Path | None, progress: Progress) -> list[Finding]:
    """Every check, in the order in which trouble usually starts. `progress` hears which one is on."""
    findings = [*of_plan(plan), *of_disk(cluster.data), *of_identity(cluster.data, plan)]
    try:
        with admin(cluster) as client:
            findings += _Examination(client, cluster, plan).findings(progress)
    except ClusterError as error:
        advice = "start them, or check RAPPORT_BROKERS and how they are secured"
        findings.append(Finding("brokers", Verdict.fail, str(error), advice))
    return findings


class _Examination:
    def __init__(self, client: KafkaAdminClient, cluster: Cluster, plan: Path | None) -> None:
        self._client = client
        self._cluster = cluster
        self._plan = plan
        self._topics: dict[str, Any] = {}
        """Those of ours that exist, described, by the name in the topic table."""

    def findings(self, progress: Progress) -> list[Finding]:
        from kafka.errors import CoordinatorNotAvailableError, KafkaError

        checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
            ("brokers", self._brokers),
            ("topics", self._as_they_should_be),
            ("partitions", self._together),
            ("replicas", self._replicas),
            ("workers", self._workers),
            ("sinks", self._sinks),
            ("lag", self._flow),
            ("clock", self._clock),
            ("changelog", self._changelogs),
        ]
        found: list[Finding] = []
        for number, (name, check) in enumerate(checks):
            progress(number, len(checks), name)
            try:
                found += check()
            except CoordinatorNotAvailableError:
                nobody = "no worker or sink has come to these brokers yet"
                found.append(Finding(name, Verdict.fail, nobody, "start some; look again in some seconds if they run"))
            except (KafkaError, ClusterError) as error:
                found.append(
                    Finding(name, Verdict.fail, f"cannot be read: {error}", "check the brokers and this user's rights")
                )
        return found

    # --- brokers and topics -----------------------------------------------------------------------------------------

    def _brokers(self) -> Iterator[Finding]:
        brokers = self._client.describe_cluster()["brokers"]
        versions = {each["broker_id"]: self._version(each["broker_id"]) for each in brokers}
        shown = ", ".join(sorted({".".join(map(str, version)) for version in versions.values()}))
        found = f"{len(brokers)} answer, Kafka {shown}"
        if min(versions.values()) < OLDEST:
            yield Finding("brokers", Verdict.fail, found, f"upgrade to Kafka {TESTED[0]}.{TESTED[1]}")
        elif min(versions.values())[:1] < TESTED[:1] or len(set(versions.values())) > 1:
            yield Finding(
                "brokers", Verdict.warn, found, f"tested with {TESTED[0]}.{TESTED[1]}; bring all to one version"
            )
        else:
            yield Finding("brokers", Verdict.ok, found)
        if fenced := [each["broker_id"] for each in brokers if each.get("is_fenced")]:
            yield Finding("brokers", Verdict.fail, f"fenced: {listed(fenced)}", "see their logs")

    def _version(self, broker: int) -> tuple[int, ...]:
        return tuple(self._client.get_broker_version_data(broker).broker_version)

    def _as_they_should_be(self) -> Iterator[Finding]:
        there = {topic["name"]: topic for topic in self._client.describe_topics()}
        self._topics = {name: there[self._cluster.topic(name)] for name in TOPICS if self._cluster.topic(name) in there}
        differences = topology.check(self._cluster)
        missing = [each.topic for each in differences if each.what == "topic"]
        if missing:
            yield Finding("topics", Verdict.fail, f"missing: {listed(missing)}", "rapport topics create")
        for each in differences:
            if each.what == "topic":
                continue
            fatal = each.what in ("partitions", "cleanup.policy", "max.message.bytes", topology.COMPRESSION)
            verdict = Verdict.fail if fatal else Verdict.warn
            found = f"{each.topic}: {each.what} is {each.found}, should be {each.wanted}"
            yield Finding("topics", verdict, found, "rapport topics check says what to do")
        if not differences:
            yield Finding("topics", Verdict.ok, f"{len(TOPICS)}, all as they should be")

    def _together(self) -> Iterator[Finding]:
        """Lane p is partition p of every partitioned topic: only equal counts bring them to one worker."""
        counts = {
            name: len(self._topics[name]["partitions"]) for name in self._topics if TOPICS[name].partitions == "P"
        }
        if len(set(counts.values())) > 1:
            shown = ", ".join(f"{self._cluster.topic(name)} {count}" for name, count in counts.items())
            yield Finding(
                "partitions", Verdict.fail, f"not the same: {shown}", "start anew under another RAPPORT_TOPIC_PREFIX"
            )
        elif counts:
            yield Finding("partitions", Verdict.ok, f"{next(iter(counts.values()))} of every partitioned topic")

    def _replicas(self) -> Iterator[Finding]:
        for name, topic in self._topics.items():
            dead = [each["partition_index"] for each in topic["partitions"] if each["leader_id"] < 0]
            thin = [
                each["partition_index"]
                for each in topic["partitions"]
                if each["leader_id"] >= 0 and len(each["isr_nodes"]) < len(each["replica_nodes"])
            ]
            if dead:
                found = f"{self._cluster.topic(name)}: no leader for partitions {listed(dead)}"
                yield Finding("replicas", Verdict.fail, found, "bring back the brokers that hold them")
            if thin:
                found = f"{self._cluster.topic(name)}: replicas are behind in partitions {listed(thin)}"
                yield Finding("replicas", Verdict.warn, found, "bring back the brokers that hold them")

    # --- workers and what they take ---------------------------------------------------------------------------------

    def _workers(self) -> Iterator[Finding]:
        group = self._cluster.consumer_group
        placed = placement_by(self._client, self._cluster)
        if not placed.members:
            yield Finding("workers", Verdict.fail, f"none in group {group}", "start one: rapport worker")
            return
        if not placed.urls:
            found = f"{placed.members} starting in group {group}, without partitions yet"
            yield Finding("workers", Verdict.warn, found, "look again in some seconds")
            return
        found = f"{len(placed.urls)} in group {group}: {', '.join(sorted(placed.urls))}"
        if placed.state != "Stable":
            yield Finding(
                "workers", Verdict.warn, f"{found}; partitions are being dealt out", "look again in some seconds"
            )
            return
        yield Finding("workers", Verdict.ok, found)
        yield from self._without_owner(placed)
        answers = {url: got(url, "/ready") for url in sorted(placed.urls)}
        yield from _unready(answers)
        yield from _plans(answers, self._plan)

    def _sinks(self) -> Iterator[Finding]:
        group = self._cluster.sink_group
        described = self._client.describe_groups([group])[group]
        members = len(described["members"])
        if members and described["group_state"] != "Stable":
            found = f"{members} starting in group {group}, partitions are being dealt out"
            yield Finding("sinks", Verdict.warn, found, "look again in some seconds")
        elif members:
            yield Finding("sinks", Verdict.ok, f"{members} in group {group}")
        else:
            found = f"none in group {group}: no output reaches the tables"
            yield Finding("sinks", Verdict.warn, found, "start one: rapport sink")

    def _without_owner(self, placed: Placement) -> Iterator[Finding]:
        for name in INPUTS:
            topic = self._cluster.topic(name)
            every = {each["partition_index"] for each in self._topics.get(name, {"partitions": ()})["partitions"]}
            if lonely := sorted(every - placed.owned(topic)):
                yield Finding(
                    "workers", Verdict.fail, f"{topic}: nobody has partitions {listed(lonely)}", "restart the workers"
                )

    def _flow(self) -> Iterator[Finding]:
        counts = {name: len(topic["partitions"]) for name, topic in self._topics.items()}
        return Flow(self._client, self._cluster, counts).findings()

    # --- clocks and changelogs --------------------------------------------------------------------------------------

    def _clock(self) -> Iterator[Finding]:
        skew = self._skew()
        if skew is None:
            yield Finding("clock", Verdict.warn, "the brokers' time cannot be read", f"allow Describe on {OFFSETS}")
            return
        found = f"this machine is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the brokers"
        advice = "set the clocks by NTP: timers fire by the workers' clocks, topics expire by the brokers'"
        if abs(skew) >= SKEW_WARN:
            yield Finding("clock", Verdict.fail if abs(skew) >= SKEW_FAIL else Verdict.warn, found, advice)
        else:
            yield Finding("clock", Verdict.ok, f"within {SKEW_WARN:.0f} s of the brokers")

    def _skew(self) -> float | None:
        """Seconds by which this clock is ahead; None where the brokers' time cannot be had.

        A committed offset is a record that a broker stamps with its own time.
        """
        from kafka.admin import OffsetSpec
        from kafka.errors import KafkaError
        from kafka.structs import OffsetAndMetadata, TopicPartition

        if "events" not in self._topics:
            return None
        group, events = f"{self._cluster.consumer_group}-doctor", self._cluster.topic("events")
        try:
            before = time.time()
            self._client.alter_group_offsets(group, {TopicPartition(events, 0): OffsetAndMetadata(0, "", -1)})
            after = time.time()
            described = next(topic for topic in self._client.describe_topics([OFFSETS]))
            stamps = self._client.list_partition_offsets(
                {
                    TopicPartition(OFFSETS, each["partition_index"]): OffsetSpec.MAX_TIMESTAMP
                    for each in described["partitions"]
                }
            )
            newest = max(each.timestamp for each in stamps.values()) / 1000
        except KafkaError:
            return None
        finally:
            with suppress(KafkaError):
                self._client.delete_groups([group])
        return _beyond(before, newest, after)

    def _changelogs(self) -> Iterator[Finding]:
        sizes = self._sizes([self._cluster.topic(name) for name in CHANGELOGS if name in self._topics])
        for name in CHANGELOGS:
            if name not in self._topics:
                continue
            topic = self._cluster.topic(name)
            total = sum(sizes.get(topic, {}).values())
            largest = max(sizes.get(topic, {0: 0}).values())
            yield Finding(
                "changelog",
                Verdict.ok,
                f"{topic}: {total / 1e6:,.1f} MB, {largest / 1e6:,.1f} MB the largest partition",
            )

    def _sizes(self, topics: list[str]) -> dict[str, dict[int, int]]:
        """Topic -> partition -> bytes of its largest replica."""
        sizes: dict[str, dict[int, int]] = {}
        for broker in self._client.describe_log_dirs(topics):
            for folder in broker["log_dirs"]:
                for topic in folder["topics"]:
                    found = sizes.setdefault(topic["name"], {})
                    for each in topic["partitions"]:
                        index = each["partition_index"]
                        found[index] = max(found.get(index, 0), each["partition_size"])
        return sizes


def _unready(answers: Answers) -> Iterator[Finding]:
    """What workers say of themselves."""
    for url, (status, said) in answers.items():
        if status == 0:
            found = f"{url} does not answer from here: {said['error']}"
            yield Finding("workers", Verdict.warn, found, "ask from where it can be reached, or restart it")
        elif missing := said.get("missing"):
            yield Finding("workers", Verdict.warn, f"{url} is not ready: {'; '.join(missing)}", "wait, or see its log")


def _plans(answers: Answers, folder: Path | None) -> Iterator[Finding]:
    """Whether all workers have the same plan, and the one in the folder named to the doctor."""
    holders: dict[str, list[str]] = {}
    for url, (_, said) in answers.items():
        if plan := said.get("plan"):
            holders.setdefault(plan, []).append(url)
    shown = "; ".join(f"{plan} on {', '.join(urls)}" for plan, urls in sorted(holders.items()))
    if len(holders) > 1:
        advice = "give all the same plan folder and restart those that lag behind, one after the other"
        yield Finding("plan", Verdict.warn, f"workers differ: {shown}", advice)
        return
    with suppress(PlanError):  # told by its own check
        mine = None if folder is None else plan_folder.digest(plan_folder.load(folder))
        if mine and holders and mine not in holders:
            advice = "restart the workers with this folder, or name theirs with --plan"
            yield Finding("plan", Verdict.warn, f"{folder} is {mine}; workers have {shown}", advice)


def _beyond(before: float, stamp: float, after: float) -> float:
    """How far outside of [before, after] a moment lies that must have been inside."""
    if before - stamp > 0:
        return before - stamp
    return min(0.0, after - stamp)
