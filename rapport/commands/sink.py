"""`rapport sink`: what the workers put out, as Parquet and in DuckDB."""

from __future__ import annotations

from rapport.commands.options import DATA, Brokers, Data, HttpPort, Json
from rapport.commands.options import cluster as named


def sink(brokers: Brokers = None, data: Data = DATA, http_port: HttpPort = None, json: Json = False) -> None:
    """Write and publish what the workers put out, until told to stop; several share one data folder."""
    cluster = named(brokers, data, http_port=http_port)
    from rapport.services.sink import sink as sunk
    from rapport.terminal import output

    report = sunk(cluster)
    if json:
        output.emit(report.json())
        return
    rows = sum(report.tally.rows.values())
    output.show(
        f"{rows:,} rows of {report.tally.records:,} records in {report.seconds:.1f} s, published "
        f"{output.counted(report.published, 'time')}."
    )
