"""Compaction of a data folder, alone in it and published afterwards."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from schemas.errors import FolderBusy
from schemas.instant import SECOND
from sinks.lake import chain as lake
from sinks.lake import locks, manifest
from sinks.lake.compaction import CompactionReport
from sinks.lake.compaction import compact as merge_files
from sinks.marts.publisher import publish
from stream.clock import wall_now
from stream.core.plan import Plan
from stream.embedded.engine import Engine
from stream.embedded.reader import Reader
from stream.embedded.store import LAKE, PUBLISHED


def compact(data: Path, plan: Plan) -> CompactionReport:
    """Merges small Parquet files and publishes. Raises DataFolderError where there is no data, or FolderBusy."""
    if manifest.of_kafka(data / LAKE):
        return _of_cluster(data)
    with Reader.open(data):
        pass
    with Engine.open(data, plan) as engine:
        engine.publish()
        report = merge_files(lake.chains(data / LAKE), wall_now() / SECOND)
        engine.publish()
    return report


def _of_cluster(data: Path) -> CompactionReport:
    """A folder that sinks fill, while none of them runs."""
    root = data / LAKE
    with ExitStack() as held:
        found = lake.chains(root)
        names = [locks.PUBLISHER, *(locks.of_chain(chain.topic, chain.partition) for chain in found)]
        for name in names:
            lock = locks.Lock(root, name)
            if not lock.acquire():
                raise FolderBusy(f"`rapport sink` writes {data} and compacts it by itself. Stop it first, or let it.")
            held.callback(lock.release)
        publish(root, data / PUBLISHED)
        report = merge_files(lake.chains(root), wall_now() / SECOND)
        publish(root, data / PUBLISHED)
    return report
