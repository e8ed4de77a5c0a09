"""Whether two runs came to the same: what the embedded run published against what a cluster's sinks published.

Tables are compared as sets that know how often a row is in them, without processing times and without the linker's
numbers. A trigger and a decision name the profile of their time, which depends on what the linker decided first, so
they are looked up in `bridge_identity` and compared by the profile of today. Of the same identity the linker may make
other merges in another order; there have to be as many, and the refusals and splits have to be the same.

    python tests/stream_parity.py EMBEDDED/rapport.duckdb CLUSTER/rapport.duckdb
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from schemas.keys import profile_id

Row = tuple[Any, ...]
SHOWN = 5
"""Differences shown of each table."""


class Table(NamedTuple):
    """What is compared of a table: `keys` columns tell its rows apart for a reader, `of` names the customer."""

    columns: str
    keys: int
    of: tuple[str, ...] = ("profile_id",)


TABLES: Mapping[str, Table] = {
    "bridge_identity": Table("identifier_type, identifier_value, profile_id", 2),
    "fct_event": Table(
        "message_id, identifier_type, identifier_value, profile_id, type, name, channel, occurred_at, properties,"
        " traits, context, group_id, source",
        3,
    ),
    "fct_order": Table(
        "order_id, profile_id, occurred_at, updated_at, status, revenue, refunded, refunded_other, currency, lines,"
        " channel, products, unreadable, refunds_cut",
        1,
    ),
    "data_quality": Table(
        "message_id, field, value, profile_id, problem, event_name, order_id, occurred_at, source", 3
    ),
    "dim_customer": Table(
        "profile_id, first_seen, last_seen, event_count, order_count, revenue, refunded, net_revenue, currency,"
        " revenue_by_currency, first_order_at, last_order_at, traits, email, phone, user_id, identifier_count,"
        " channels, first_channel, last_channel, last_event",
        1,
    ),
    "fct_trigger": Table(
        # Which address is known by then depends on what the linker has decided.
        "rule, run_key, profile_id, version, action, event_at,"
        " json_merge_patch(payload, '{\"address\": null}') AS payload",
        3,
    ),
    "fct_rule_decision": Table("rule, run_key, profile_id, message_id, verdict, version, detail", 5),
    "fct_identity_decision": Table("kind, reason, a, b, message_id", 5, ("a", "b")),
    "fct_rejected": Table(
        "rejection_id, stage, code, field, value, expectation, source, payload_bytes, payload_length, payload_sha256",
        1,
        (),
    ),
}


@dataclass(frozen=True, slots=True)
class Published:
    """What one run published, ready to be compared."""

    tables: Mapping[str, Counter[Row]]
    columns: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, target: Path, leaving_out: Collection[str] = ()) -> Published:
        """`leaving_out`: identifiers whose customers are not compared, because who gets them is a matter of time."""
        with duckdb.connect(str(target), read_only=True) as connection:
            bridge = connection.execute(
                "SELECT identifier_type || ':' || identifier_value, profile_id FROM mart.bridge_identity"
            ).fetchall()
            today = {profile_id(key): profile for key, profile in bridge}
            of_key = dict(bridge)
            out = {of_key.get(key, profile_id(key)) for key in leaving_out}
            tables, columns = {}, {}
            for name, table in TABLES.items():
                answer = connection.execute(f"SELECT {table.columns} FROM mart.{name}")
                columns[name] = tuple(column[0] for column in answer.description or ())
                now = _lookup(today, of_key)
                tables[name] = Counter(_rows(name, columns[name], answer.fetchall(), now, out))
        return cls(tables, columns)


def _lookup(today: Mapping[str, str], of_key: Mapping[str, str]) -> Callable[[Any], Any]:
    return lambda named: today.get(named) or of_key.get(named) or named


def _rows(
    name: str, columns: tuple[str, ...], found: list[Row], now: Callable[[Any], Any], out: Collection[str]
) -> Iterator[Row]:
    for values in found:
        row = dict(zip(columns, values, strict=True))
        if any(now(row[column]) in out for column in TABLES[name].of):
            continue
        if "profile_id" in row:
            row["profile_id"] = now(row["profile_id"])
        if name == "fct_identity_decision":
            row = _order_free(row, now)
        yield tuple(_comparable(value) for value in row.values())


def _order_free(row: dict[str, Any], now: Callable[[Any], Any]) -> dict[str, Any]:
    """Which pair led to a merge, and which event, depends on what came first; whom it made does not."""
    if row["kind"] == "merge":
        return {**row, "a": now(row["a"]), "b": None, "reason": None, "message_id": None}
    if row["kind"] == "drop":
        return row
    a, b = sorted((row["a"], row["b"]))
    return {**row, "a": a, "b": b, "message_id": None}


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted(value.items()))
    return tuple(value) if isinstance(value, list) else value


def differences(left: Path, right: Path, leaving_out: Collection[str] = ()) -> list[str]:
    """What differs, readably, a line each; nothing where both came to the same."""
    a, b = Published.read(left, leaving_out), Published.read(right, leaving_out)
    return [line for name in TABLES for line in _of_table(name, a.columns[name], a.tables[name], b.tables[name])]


def _of_table(name: str, columns: tuple[str, ...], left: Counter[Row], right: Counter[Row]) -> Iterator[str]:
    only_left, only_right = left - right, right - left
    if not (only_left or only_right):
        return
    yield (
        f"{name}: {only_left.total():,} of {left.total():,} rows only on the left,"
        f" {only_right.total():,} of {right.total():,} only on the right"
    )
    keys = TABLES[name].keys
    others: dict[Row, list[Row]] = {}
    for row in only_right.elements():
        others.setdefault(row[:keys], []).append(row)
    shown = 0
    for row in sorted(only_left.elements(), key=repr):
        twins = others.get(row[:keys])
        twin = twins.pop() if twins else None
        if shown < SHOWN:
            yield f"  {_named(columns[:keys], row)}: {_compared(columns, row, twin) if twin else 'only on the left'}"
        shown += 1
    left_over = sorted((row for rows in others.values() for row in rows), key=repr)
    for row in left_over[:SHOWN]:
        yield f"  {_named(columns[:keys], row)}: only on the right"
    if shown > SHOWN or len(left_over) > SHOWN:
        yield "  ..."


def _named(columns: tuple[str, ...], row: Row) -> str:
    return ", ".join(f"{column}={value!r}" for column, value in zip(columns, row, strict=False))


def _compared(columns: tuple[str, ...], row: Row, twin: Row) -> str:
    if row == twin:
        return "more often on the left"
    return "; ".join(f"{column} {a!r} | {b!r}" for column, a, b in zip(columns, row, twin, strict=True) if a != b)


if __name__ == "__main__":
    found = differences(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n".join(found) or "the same")
    sys.exit(bool(found))
