"""What a cluster came to against what one process made of the same input: every breach is a line of text.

Read from the topics as any reader of committed records would, and, where sinks ran, from what they published.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from profiles import view
from profiles.rows import Rows
from schemas.keys import split_key
from stream_cluster import Workers
from stream_parity import differences
from stream_scenarios import stored_profiles

Row = tuple[Any, ...]
SHOWN = 3


class Table(NamedTuple):
    """A topic and the table that must hold the same, as sets that know how often."""

    sql: str
    of: Callable[[Any], Row]


def _fact(event: Any) -> Row:
    return (*split_key(event.identifiers[0]), event.message_id)


TABLES: Mapping[str, Table] = {
    "facts": Table("SELECT identifier_type, identifier_value, message_id FROM mart.fct_event", _fact),
    "triggers": Table(
        "SELECT rule, version, run_key, action FROM mart.fct_trigger",
        lambda each: (each.rule, each.version, each.run_key, each.action),
    ),
    "decisions": Table(
        "SELECT rule, version, run_key, verdict FROM mart.fct_rule_decision",
        lambda each: (each.rule, each.version, each.run_key, each.verdict),
    ),
    "identity": Table(
        "SELECT kind FROM mart.fct_identity_decision WHERE decision IS NOT NULL", lambda each: (each.kind,)
    ),
    "rejected": Table("SELECT rejection_id FROM mart.fct_rejected", lambda each: (each.rejection_id,)),
}


class Changelog(dict[bytes, bytes]):
    """The rows of all lanes, as their changelog has them."""

    def __init__(self, workers: Workers) -> None:
        super().__init__()
        for record in workers.records("rows"):
            if record.value is None:
                self.pop(record.key, None)
            else:
                self[record.key] = record.value
        self._keys = sorted(self)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in self._keys[bisect_left(self._keys, prefix) :]:
            if not key.startswith(prefix):
                return
            yield key, self[key]

    def profiles(self) -> dict[str, dict[str, Any]]:
        """Root -> its profile."""
        rows = Rows(self)
        found = [rows.find(key[1:].decode()) for key, _ in self.scan(b"i")]
        return {row.key: view.profile(rows, row) for row in found if row is not None and row.to is None}


def breaches(embedded: Path, workers: Workers, published: Path | None = None) -> list[str]:
    """Everything that was lost, doubled or made different; `embedded`, `published`: the files of the two runs."""
    found = list(_in_topics(embedded, workers))
    found += _in_profiles(stored_profiles(embedded.parent), Changelog(workers).profiles())
    if published is not None:
        found += [f"published: {line}" for line in differences(embedded, published)]
    return found


def _in_topics(embedded: Path, workers: Workers) -> Iterator[str]:
    with duckdb.connect(str(embedded), read_only=True) as mart:
        for topic, table in TABLES.items():
            messages = workers.messages(topic)
            seen, wanted = Counter(map(table.of, messages)), Counter(mart.execute(table.sql).fetchall())
            lost, doubled = wanted - seen, seen - wanted
            if lost or doubled:
                examples = [*sorted(lost)[:SHOWN], *sorted(doubled)[:SHOWN]]
                yield f"{topic}: {lost.total():,} lost, {doubled.total():,} too many of {wanted.total():,}: {examples}"
            if topic == "identity" and [each.decision for each in messages] != list(range(1, len(messages) + 1)):
                yield "identity: decisions are not numbered one by one"


def _in_profiles(wanted: Mapping[str, Any], seen: Mapping[str, Any]) -> Iterator[str]:
    if wanted.keys() != seen.keys():
        yield f"profiles: {len(wanted.keys() - seen.keys()):,} lost, {len(seen.keys() - wanted.keys()):,} too many"
    unlike = [root for root in wanted.keys() & seen.keys() if wanted[root] != seen[root]]
    if unlike:
        yield f"profiles: {len(unlike):,} of {len(wanted):,} differ"
    for root in sorted(unlike)[:SHOWN]:
        fields = [name for name, value in wanted[root].items() if value != seen[root][name]]
        yield (
            f"  {root}: " + "; ".join(f"{name} {wanted[root][name]!r} | {seen[root][name]!r}" for name in fields)[:600]
        )
