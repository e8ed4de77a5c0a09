"""The manifest: which Parquet files of one topic partition count. What it does not name does not exist.

One JSON file per topic partition, replaced as a whole. Its commits are offset ranges that adjoin from 0 on, so a
message is in the lake once; every message is one row, so the files' rows must add up to the next offset. It must
never be written before every file it names is safely on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from schemas.errors import DataFolderError, FolderTooNew
from sinks import durable
from sinks.rows import SCHEMA_VERSION

VERSION = 1
FOLDER = "_manifests"

Range = tuple[int, int]
"""First and last offset, both included."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file that is never changed. `path` is relative to the lake."""

    path: str
    date: str | None
    """The UTC date of all its rows; None where one flush met more dates than it wrote files."""
    first: int
    last: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    topic: str
    partition: int
    commits: tuple[Range, ...] = ()
    files: tuple[DataFile, ...] = ()
    compactions: int = 0

    @property
    def next_offset(self) -> int:
        return self.commits[-1][1] + 1 if self.commits else 0

    def extended(self, first: int, last: int, files: Sequence[DataFile]) -> Manifest:
        """With one more commit. It must start where the last one ended."""
        return checked(replace(self, commits=(*self.commits, (first, last)), files=(*self.files, *files)))

    def compacted(self, replaced: Sequence[DataFile], by: Sequence[DataFile]) -> Manifest:
        """With the rows of `replaced` in the files `by`, and one commit for all that adjoin."""
        gone = {file.path for file in replaced}
        return checked(
            replace(
                self,
                commits=((0, self.next_offset - 1),),
                files=(*(file for file in self.files if file.path not in gone), *by),
                compactions=self.compactions + 1,
            )
        )


def path_of(root: Path, topic: str, partition: int) -> Path:
    return root / FOLDER / f"{topic}-{partition}.json"


def store(root: Path, manifest: Manifest) -> None:
    """Publishes `manifest` durably. Raises OSError."""
    content = {"version": VERSION, "schema": SCHEMA_VERSION, **asdict(manifest)}
    durable.replace_file(path_of(root, manifest.topic, manifest.partition), orjson.dumps(content))


def load(root: Path, topic: str, partition: int) -> Manifest:
    """The manifest of one topic partition, empty where there is none.

    Raises FolderTooNew when a newer Rapport wrote it, DataFolderError when it is damaged.
    """
    path = path_of(root, topic, partition)
    with durable.told_plainly(path):
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
    with durable.told_plainly(root):
        names = [path.stem.rpartition("-") for path in (root / FOLDER).glob(f"{topic}-*.json")]
    return [load(root, topic, number) for number in sorted(int(name[2]) for name in names if name[2].isdecimal())]


def checked(manifest: Manifest) -> Manifest:
    """The manifest itself. Raises DataFolderError where ranges do not adjoin or rows do not add up."""
    place = f"The manifest of {manifest.topic}, partition {manifest.partition}"
    expected = 0
    for first, last in manifest.commits:
        if first != expected or last < first:
            raise DataFolderError(f"{place}: offset {expected} should follow, {first} does. Run `rapport doctor`.")
        expected = last + 1
    rows = sum(file.rows for file in manifest.files)
    if rows != expected:
        raise DataFolderError(f"{place}: its files hold {rows} rows for {expected} messages. Run `rapport doctor`.")
    return manifest


def _parsed(fields: Mapping[str, Any]) -> Manifest:
    return Manifest(
        str(fields["topic"]),
        int(fields["partition"]),
        tuple((int(first), int(last)) for first, last in fields["commits"]),
        tuple(_file(each) for each in fields["files"]),
        int(fields["compactions"]),
    )


def _file(fields: Mapping[str, Any]) -> DataFile:
    day = fields["date"]
    return DataFile(
        _inside(fields["path"]),
        None if day is None else date.fromisoformat(day).isoformat(),
        int(fields["first"]),
        int(fields["last"]),
        int(fields["rows"]),
        int(fields["bytes"]),
    )


def _inside(path: str) -> str:
    """A path that stays in the lake: a manifest is input, too."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"{path} lies outside the lake")
    return path
