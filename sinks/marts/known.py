"""What a lake took long ago, by ids: whoever reads an old file once more asks here what has come of it already.

A home remembers a message id for some days. What it has forgotten is in the lake, for ever; a file of last month is
told by it. Held are digests of 128 bits: ten million of them take 160 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import duckdb
import pyarrow as pa

from schemas.errors import DataFolderError
from schemas.instant import render
from schemas.messages import Event, Rejected
from sinks.lake import manifest
from sinks.marts import places
from sinks.marts.publisher import file_list

_IDS = {
    "facts": "SELECT identifier_type || ':' || identifier_value || chr(0) || message_id AS id FROM {files}"
    " WHERE received_at < TIMESTAMPTZ '{before}'",
    "rejected": "SELECT chr(0) || rejection_id AS id FROM {files} WHERE rejected_at < TIMESTAMPTZ '{before}'",
}


class KnownInput:
    """The ids of the events and refusals that a lake took before an instant. Use it as a context manager."""

    def __init__(self, lake_root: Path, before: int) -> None:
        """Reads them. Raises FolderTooNew, or DataFolderError where a file of the lake cannot be read."""
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
        }
        self._connection = duckdb.connect(config=config)
        self._connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        try:
            with places.linked(lake_root) as lake:
                places.read_from(self._connection, lake)
                self.count = self._load(lake_root, render(before))
        except duckdb.Error as error:
            self._connection.close()
            reason = places.told(error).partition("\n")[0]
            raise DataFolderError(f"The lake {lake_root} cannot be read ({reason}). Run `rapport doctor`.") from error

    def __enter__(self) -> KnownInput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def among(self, inputs: Sequence[Event | Rejected]) -> list[Event | Rejected]:
        """Those of the inputs that are there."""
        if not self.count:
            return []
        asked = pa.table({"place": range(len(inputs)), "id": [_id(each) for each in inputs]})
        self._connection.register("asked", asked)
        found = self._connection.execute(
            "SELECT DISTINCT place FROM known JOIN asked ON known.digest = md5_number(asked.id) ORDER BY place"
        ).fetchall()
        return [inputs[place] for (place,) in found]

    def _load(self, lake_root: Path, before: str) -> int:
        """Returns how many there are."""
        sources = []
        for topic, sql in _IDS.items():
            files = [file.path for each in manifest.load_all(lake_root, topic) for file in each.files]
            if files:
                sources.append(sql.format(files=file_list(lake_root, files), before=before))
        if not sources:
            return 0
        ids = " UNION ALL ".join(sources)
        self._connection.execute(f"CREATE TABLE known AS SELECT md5_number(id) AS digest FROM ({ids})")
        [(count,)] = self._connection.execute("SELECT count(*) FROM known").fetchall()
        return int(count)


def _id(each: Event | Rejected) -> str:
    if isinstance(each, Event):
        return f"{each.identifiers[0]}\0{each.message_id}"
    return f"\0{each.rejection_id}"
