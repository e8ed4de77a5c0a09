"""Publishing a data folder when a person asks for it, as its readers tell them to where the file cannot be used."""

from __future__ import annotations

from pathlib import Path

from sinks.lake import manifest
from sinks.marts import publisher
from sinks.marts.publisher import PublishReport
from stream.core.plan import Plan
from stream.embedded.engine import Engine
from stream.embedded.reader import Reader
from stream.embedded.store import LAKE, PUBLISHED


def publish(data: Path, plan: Plan) -> PublishReport:
    """Writes the published DuckDB file anew, from all that was taken; the file that readers have open stays theirs.

    Outputs that a crash kept from reaching Parquet are written first. Raises DataFolderError where there is no data, or
    FolderBusy while a run has the folder.
    """
    if manifest.of_kafka(data / LAKE):
        return publisher.publish(data / LAKE, data / PUBLISHED)
    with Reader.open(data):
        pass
    with Engine.open(data, plan) as engine:
        return engine.publish()
