"""The publisher: the lake's Parquet becomes `rapport.duckdb`, swapped in whole.

It reads what the manifests name, never a folder listing, and never touches the file that readers have open: a new one
is built at a new place, then `rapport.duckdb`, a link, points there (`sinks.marts.generations`). What is large stays in
Parquet behind views with absolute paths; what is looked up (customers, identifiers, orders) is a table. Rapport's own
commands tell the views where the lake is now (`sinks.marts.places`), so they read a folder that was moved or copied.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from schemas.errors import DataFolderError, FolderBusy
from schemas.topics import OUTPUTS
from sinks.columns.rows import INSTANT, JSON, LAYOUTS, TEXTS
from sinks.lake import durable, manifest, views
from sinks.lake.manifest import DataFile, Manifest
from sinks.marts import generations, models, places

BUILD_MEMORY = "512MB"
"""What DuckDB may hold while it builds; beyond it spills to disk."""
BUILD_THREADS = 2
READABLE_SINCE = "v1.2.0"
"""The earliest DuckDB that opens what is published; a test asks it and those after it."""

_SQL_TYPES = {INSTANT: "TIMESTAMP", JSON: "JSON", TEXTS: "VARCHAR[]", pa.int64(): "BIGINT", pa.binary(): "BLOB"}

Position = tuple[str, int, int, int, str]
"""Topic, partition, next offset, compactions, lake: what a published file was built from."""


@dataclass(frozen=True, slots=True)
class PublishReport:
    events: int
    customers: int
    orders: int
    bytes: int
    seconds: float


def publish(lake_root: Path, target: Path) -> PublishReport:
    """Builds `target` from the lake and swaps it in durably. Publishing again gives the same rows; an empty lake gives
    empty tables. Readers of the old file keep it until they reconnect.

    Raises FolderBusy while another process publishes here, FolderUnwritable, FolderTooNew or DataFolderError.
    """
    started = time.perf_counter()
    lake_root, target = lake_root.absolute(), target.absolute()
    with durable.as_folder_error(target.parent):
        durable.make_folder(generations.folder(target), target.parent)
        with _only_publisher(target), _workspace(target) as workspace:
            generations.remove_old(target)
            staged = workspace / target.name
            with places.writable(staged) as built:
                manifests = _manifests(lake_root)
                views.link(lake_root, (file for found in manifests.values() for each in found for file in each.files))
                counts = _build(built, target.parent, lake_root, manifests)
            durable.sync_file(staged)
            size = staged.stat().st_size
            generations.swap_in(staged, target)
    return PublishReport(*counts, size, time.perf_counter() - started)


def is_current(lake_root: Path, target: Path) -> bool:
    """Whether `target` shows all that the lake holds now, where it lies now. False where it is missing or unreadable.

    Views hold absolute paths: of a data folder that was moved or copied other tools see what is at the old place.
    """
    return published_positions(target) == lake_positions(lake_root)


def shows_all(lake_root: Path, target: Path) -> bool:
    """Whether `target` shows to Rapport itself all that the lake holds now, wherever it was published."""
    published = published_positions(target)
    return published is not None and _without_place(published) == _without_place(lake_positions(lake_root))


def _without_place(positions: Sequence[Position]) -> list[tuple[str, int, int, int]]:
    return [(topic, partition, next_, compactions) for topic, partition, next_, compactions, _ in positions]


def lake_positions(lake_root: Path) -> list[Position]:
    """What a publication of this moment would be built from, in order. Raises FolderTooNew or DataFolderError."""
    lake_root = lake_root.absolute()
    return sorted(_positions(lake_root, _manifests(lake_root)))


def published_positions(target: Path) -> list[Position] | None:
    """What `target` was built from, in order; None where it is missing or unreadable."""
    if not target.is_file():
        return None
    try:
        with places.openable(target) as path, duckdb.connect(str(path), read_only=True) as connection:
            found: list[Position] = connection.execute("FROM raw.publication ORDER BY ALL").fetchall()
    except duckdb.Error:
        return None
    return found


def _build(
    staged: Path, folder: Path, lake_root: Path, manifests: Mapping[str, Sequence[Manifest]]
) -> tuple[int, int, int]:
    """Fills the staged file. Returns the numbers of events, customers and orders."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": BUILD_MEMORY,
        "threads": BUILD_THREADS,
        "temp_directory": str(staged.with_name("spill")),
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "storage_compatibility_version": READABLE_SINCE,
    }
    try:
        with places.linked(lake_root) as lake, duckdb.connect(str(staged), config=config) as connection:
            places.read_from(connection, lake)
            connection.execute(
                "SET TimeZone = 'UTC'; SET enable_progress_bar = false; SET parquet_metadata_cache = true;"
                " BEGIN; CREATE SCHEMA raw; CREATE SCHEMA mart"
            )
            _publish_positions(connection, _positions(lake_root, manifests))
            for topic in OUTPUTS:
                files = [file for each in manifests[topic] for file in each.files]
                connection.execute(topic_view(topic, lake_root, files))
            for script in models.scripts():
                connection.execute(script)
            connection.execute("COMMIT; CHECKPOINT")
            [(events, customers, orders)] = connection.execute(
                "SELECT (SELECT count(*) FROM raw.facts), (SELECT count(*) FROM mart.dim_customer),"
                " (SELECT count(*) FROM mart.fct_order)"
            ).fetchall()
            return events, customers, orders
    except duckdb.Error as error:
        raise _explained(error, folder, lake_root) from error


def topic_view(topic: str, lake_root: Path, files: Sequence[DataFile]) -> str:
    """The statement that creates `raw.<topic>` over these files. Those of an earlier schema lack its later columns.

    Instants become TIMESTAMP, always UTC: a TIMESTAMPTZ would fall on other dates for an analyst in another time zone.
    DuckDB sees through that expression, unlike `timezone`, and leaves out the row groups of other times.
    """
    sources = []
    for version in sorted({file.schema for file in files}):
        source = file_list(lake_root, [views.name(file.path) for file in files if file.schema == version])
        columns = ", ".join(_column(field, LAYOUTS[topic].has(field.name, version)) for field in LAYOUTS[topic].schema)
        sources.append(f"SELECT {columns} FROM {source}")
    if not sources:
        nothing = ", ".join(_column(field, there=False) for field in LAYOUTS[topic].schema)
        sources.append(f"SELECT {nothing} WHERE false")
    return f"CREATE VIEW raw.{topic} AS {' UNION ALL '.join(sources)}"


def file_list(lake_root: Path, names: Sequence[str]) -> str:
    """Files of the lake, by their names in it, as a table of SQL.

    They are read in `lake_root`, or wherever `places.read_from` says that the lake is.

    One text that is split when a query is bound: an expression a file would cost seconds where there are thousands.
    """
    root = f"coalesce(getvariable('{places.LAKE}'), {places.literal(lake_root.absolute())})"
    all_names = places.literal("".join(f"//{name}" for name in names))
    paths = f"string_split(replace({all_names}, '//', '//' || {root} || '/'), '//')[2:]"
    return f"read_parquet({paths}, hive_partitioning = false)"


def _column(field: pa.Field, there: bool) -> str:
    """A column of the view, from a file that holds it or not."""
    if not there:
        absent = "NULL" if field.nullable else "0"
        return f"{absent}::{_SQL_TYPES.get(field.type, 'VARCHAR')} AS {field.name}"
    return f"make_timestamp(epoch_us({field.name})) AS {field.name}" if field.type == INSTANT else field.name


def _publish_positions(connection: duckdb.DuckDBPyConnection, positions: Sequence[Position]) -> None:
    connection.execute(
        "CREATE TABLE raw.publication"
        " (topic VARCHAR, partition BIGINT, next_offset BIGINT, compactions BIGINT, lake VARCHAR)"
    )
    if positions:
        connection.executemany("INSERT INTO raw.publication VALUES (?, ?, ?, ?, ?)", positions)


def _manifests(lake_root: Path) -> dict[str, list[Manifest]]:
    return {topic: manifest.load_all(lake_root, topic) for topic in OUTPUTS}


def _positions(lake_root: Path, manifests: Mapping[str, Sequence[Manifest]]) -> list[Position]:
    return [
        (topic, each.partition, each.next_offset, each.compactions, str(lake_root))
        for topic, found in manifests.items()
        for each in found
    ]


@contextmanager
def _only_publisher(target: Path) -> Iterator[None]:
    """Two publishers at once would build in the same workspace."""
    with target.with_name(target.name + ".lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderBusy(
                f"Another process is publishing {target}. Wait for it, then run the command again."
            ) from error
        yield


@contextmanager
def _workspace(target: Path) -> Iterator[Path]:
    """An empty folder beside the target, on the same disk; what a crash left in it goes."""
    workspace = target.with_name(target.name + ".building")
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir()
    try:
        yield workspace
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _explained(error: duckdb.Error, folder: Path, lake_root: Path) -> DataFolderError:
    text = places.told(error)
    if any(os.strerror(code) in text for code in durable.DISK_FULL):
        return durable.full(folder)
    first_line = text.partition("\n")[0]
    return DataFolderError(f"The lake {lake_root} cannot be published ({first_line}). Run `rapport doctor`.")
