"""Compaction of a data folder, alone in it and published afterwards."""

from __future__ import annotations

from pathlib import Path

from sinks.compaction import CompactionReport
from sinks.compaction import compact as merge_files
from sinks.lake import Lake
from stream.engine import Engine
from stream.plan import Plan
from stream.reader import Reader
from stream.store import LAKE


def compact(data: Path, plan: Plan) -> CompactionReport:
    """Merges small Parquet files and publishes. Raises DataFolderError where there is no data, or FolderBusy."""
    with Reader.open(data):
        pass
    with Engine.open(data, plan) as engine:
        engine.publish()
        report = merge_files(Lake(data / LAKE))
        engine.publish()
    return report
