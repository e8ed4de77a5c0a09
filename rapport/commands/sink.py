"""`rapport sink`: what the workers put out, as Parquet and in DuckDB."""

from __future__ import annotations

from rapport.options import DATA, Brokers, Data, HttpPort, Json
from rapport.options import cluster as named


def sink(brokers: Brokers = None, data: Data = DATA, http_port: HttpPort = None, json: Json = False) -> None:
    """Write and publish what the workers put out, until told to stop; several share one data folder."""
    cluster = named(brokers, data, http_port=http_port)
    from rapport import console
    from rapport.sinking import sink as sunk

    report = sunk(cluster)
    if json:
        console.emit(report.json())
        return
    rows = sum(report.tally.rows.values())
    console.show(
        f"{rows:,} rows of {report.tally.records:,} records in {report.seconds:.1f} s, published "
        f"{console.counted(report.published, 'time')}."
    )
