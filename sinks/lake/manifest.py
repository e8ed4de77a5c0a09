"""The manifest: which Parquet files of one topic partition count. What it does not name does not exist.

One JSON file per topic partition, replaced as a whole. Its commits are offset ranges that adjoin, so a message is in
the lake once, and each says how many rows it brought, so the files' rows must add up to theirs. In the embedded log a
row is an offset and the first one is 0; in a Kafka log a record holds several rows, markers of transactions take
offsets of their own, and what had expired before the lake began is not in it. It must never be written before every
file it names is safely on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import orjson

from schemas.errors import DataFolderError, FolderTooNew
from schemas.topics import OUTPUTS
from sinks.columns.rows import SCHEMA_VERSION
from sinks.lake import durable

VERSION = 3
FOLDER = "_manifests"


class Commit(NamedTuple):
    """What one write brought: first and last offset, both included, and the rows between them."""

    first: int
    last: int
    rows: int


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file that is never changed. `path` is relative to the lake."""

    path: str
    month: str | None
    """The UTC month of all its rows, as 2026-03; None where one flush met more months than it wrote files."""
    first: int
    last: int
    rows: int
    bytes: int
    schema: int
    """The schema of its rows: an earlier one has fewer columns."""

    @property
    def by_day(self) -> bool:
        """Whether it lies in a folder of one date, or beside such: until version 3 a flush wrote a file a date."""
        return "/event_date=" in self.path


@dataclass(frozen=True, slots=True)
class Manifest:
    topic: str
    partition: int
    source: str = ""
    """The Kafka topic, by its full name; empty where the offsets are the embedded runner's."""
    commits: tuple[Commit, ...] = ()
    files: tuple[DataFile, ...] = ()
    compactions: int = 0

    @property
    def first_offset(self) -> int:
        """Above 0 where the log's beginning had expired before the lake first read it."""
        return self.commits[0].first if self.commits else 0

    @property
    def next_offset(self) -> int:
        return self.commits[-1].last + 1 if self.commits else 0

    @property
    def rows(self) -> int:
        return sum(commit.rows for commit in self.commits)

    def extended(self, commit: Commit, files: Sequence[DataFile]) -> Manifest:
        """With one more commit. It must start where the last one ended."""
        return checked(replace(self, commits=(*self.commits, commit), files=(*self.files, *files)))

    def compacted(self, replaced: Sequence[DataFile], by: Sequence[DataFile]) -> Manifest:
        """With the rows of `replaced` in the files `by`, and one commit for all that adjoin."""
        gone = {file.path for file in replaced}
        return checked(
            replace(
                self,
                commits=(Commit(self.first_offset, self.next_offset - 1, self.rows),),
                files=(*(file for file in self.files if file.path not in gone), *by),
                compactions=self.compactions + 1,
            )
        )


def path_of(root: Path, topic: str, partition: int) -> Path:
    return root / FOLDER / f"{topic}-{partition}.json"


def store(root: Path, manifest: Manifest) -> None:
    """Puts `manifest` in the place of the one before, durably. Raises OSError."""
    content = {
        "version": VERSION,
        "schema": SCHEMA_VERSION,
        "topic": manifest.topic,
        "partition": manifest.partition,
        "source": manifest.source,
        "commits": [tuple(commit) for commit in manifest.commits],
        "files": manifest.files,
        "compactions": manifest.compactions,
    }
    durable.replace_file(path_of(root, manifest.topic, manifest.partition), orjson.dumps(content), root)


def load(root: Path, topic: str, partition: int) -> Manifest:
    """The manifest of one topic partition, empty where there is none.

    Raises FolderTooNew when a newer Rapport wrote it, DataFolderError when it is damaged.
    """
    path = path_of(root, topic, partition)
    with durable.as_folder_error(path):
        if not path.exists():
            return Manifest(topic, partition)
        content = path.read_bytes()
    try:
        fields = orjson.loads(content)
        if fields["version"] > VERSION or fields["schema"] > SCHEMA_VERSION:
            raise FolderTooNew(f"A newer Rapport wrote {path}. Upgrade Rapport, then run the command again.")
        manifest = _parsed(fields)
        if (manifest.topic, manifest.partition) != (topic, partition):
            raise ValueError(f"it speaks of {manifest.topic} {manifest.partition}")
    except (KeyError, TypeError, ValueError) as error:
        raise DataFolderError(f"{path} is damaged ({error}). Restore it, or run `rapport doctor`.") from error
    return checked(manifest)


def load_all(root: Path, topic: str) -> list[Manifest]:
    """The manifests of every partition of a topic, by partition."""
    with durable.as_folder_error(root):
        names = [path.stem.rpartition("-") for path in (root / FOLDER).glob(f"{topic}-*.json")]
    return [load(root, topic, number) for number in sorted(int(name[2]) for name in names if name[2].isdecimal())]


def of_kafka(root: Path) -> bool:
    """Whether sinks fill this lake, and not the embedded runner. Raises FolderTooNew or DataFolderError."""
    return any(each.source for topic in OUTPUTS for each in load_all(root, topic))


def checked(manifest: Manifest) -> Manifest:
    """The manifest itself. Raises DataFolderError where ranges do not adjoin or rows do not add up."""
    place = f"The manifest of {manifest.topic}, partition {manifest.partition}"
    expected = manifest.first_offset if manifest.source else 0
    for first, last, rows in manifest.commits:
        if first != expected or last < first:
            raise DataFolderError(f"{place}: offset {expected} should follow, {first} does. Run `rapport doctor`.")
        if not manifest.source and rows != last + 1 - first:
            raise DataFolderError(f"{place}: {rows} rows for offsets {first} to {last}. Run `rapport doctor`.")
        expected = last + 1
    for file in manifest.files:
        if not manifest.first_offset <= file.first <= file.last < expected:
            raise DataFolderError(f"{place}: {file.path} holds offsets that were never taken. Run `rapport doctor`.")
    if len({file.path for file in manifest.files}) != len(manifest.files):
        raise DataFolderError(f"{place} names a file twice. Run `rapport doctor`.")
    rows = sum(file.rows for file in manifest.files)
    if rows != manifest.rows:
        raise DataFolderError(f"{place}: its files hold {rows} rows of {manifest.rows}. Run `rapport doctor`.")
    return manifest


def _parsed(fields: Mapping[str, Any]) -> Manifest:
    return Manifest(
        str(fields["topic"]),
        int(fields["partition"]),
        str(fields["source"]) if fields["version"] > 1 else "",
        tuple(_commit(*each) for each in fields["commits"]),
        tuple(_file(each, fields["version"]) for each in fields["files"]),
        int(fields["compactions"]),
    )


def _commit(first: int, last: int, rows: int | None = None) -> Commit:
    """Version 1 knew only the embedded log and said no rows: as many as offsets."""
    return Commit(int(first), int(last), int(last) + 1 - int(first) if rows is None else int(rows))


def _file(fields: Mapping[str, Any], version: int) -> DataFile:
    """Until version 3 a file was of a date."""
    month = fields["month"] if version > 2 else fields["date"] and fields["date"][:7]
    return DataFile(
        _inside(fields["path"]),
        None if month is None else date.fromisoformat(f"{month}-01").isoformat()[:7],
        int(fields["first"]),
        int(fields["last"]),
        int(fields["rows"]),
        int(fields["bytes"]),
        int(fields.get("schema", 1)),
    )


def _inside(path: str) -> str:
    """A path that stays in the lake: a manifest is input, too."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"{path} lies outside the lake")
    return path
