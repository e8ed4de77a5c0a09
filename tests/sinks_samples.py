"""Outputs for the sinks' tests: said briefly, complete enough for a lake."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from schemas import instant
from schemas.messages import Dropped, Event, IdentityDecision, Output, Rejected, RuleDecision, Trigger
from sinks.columns.rows import record_batch
from sinks.lake.chain import Lake
from sinks.marts.publisher import publish


def at(text: str) -> int:
    return instant.parse(text)


def event(
    *identifiers: str,
    message_id: str,
    when: str = "2026-03-02T10:00:00Z",
    type_: str = "track",
    name: str = "Product Viewed",
    channel: str | None = "web",
    source: str = "test",
    previous: str | None = None,
    dropped: tuple[Dropped, ...] = (),
    **body: Any,
) -> Event:
    moment = at(when)
    shown = name if type_ == "track" else type_
    return Event(
        identifiers, message_id, type_, shown, channel, moment, moment + 5, moment, source, previous, dropped, body
    )


def order(identifier: str, message_id: str, when: str, name: str = "Order Completed", **properties: Any) -> Event:
    return event(identifier, message_id=message_id, when=when, name=name, properties=properties)


def identify(identifier: str, message_id: str, when: str, traits: Mapping[str, Any]) -> Event:
    return event(identifier, message_id=message_id, when=when, type_="identify", traits=traits)


def merge(
    decision: int, winner: str, loser: str, moved: Sequence[str], when: str = "2026-03-02T11:00:00Z"
) -> IdentityDecision:
    return IdentityDecision(
        decision, "merge", winner, loser, winner, loser, tuple(moved), winner, "shared event", "m", at(when)
    )


def split(
    decision: int, stays: str, leaves: str, moved: Sequence[str], when: str = "2026-03-03T11:00:00Z"
) -> IdentityDecision:
    return IdentityDecision(
        decision, "split", stays, leaves, stays, leaves, tuple(moved), leaves, "asked for", "", at(when)
    )


def refusal(decision: int, a: str, b: str, reason: str = "unique user_id") -> IdentityDecision:
    return IdentityDecision(decision, "refuse", a, b, a, b, (), "", reason, "m", at("2026-03-02T11:00:00Z"))


def trigger(trigger_id: str, payload: Mapping[str, Any]) -> Trigger:
    moment = at("2026-03-02T13:00:00Z")
    return Trigger(trigger_id, "cart", "v1", "p", "cart-1", "send", payload, moment, moment - instant.HOUR)


def rule_decision(run_key: str) -> RuleDecision:
    return RuleDecision("cart", "v1", "p", run_key, "m", "fired", "no purchase in 3 h", at("2026-03-02T13:00:00Z"))


def rejected(payload: bytes, value: str = "x") -> Rejected:
    return Rejected(
        at("2026-03-02T10:00:00Z"),
        "accept",
        "not_json",
        "",
        value,
        "a JSON object",
        "test",
        payload,
        len(payload),
        "",
        "r1",
    )


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file may grow past `limit` bytes, as on a disk that has nothing left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def take(lake: Lake, topic: str, first: int, outputs: Sequence[Output]) -> None:
    """Hands over outputs whose offsets count up from `first`."""
    lake.append(topic, first, first + len(outputs), record_batch(topic, outputs))


def published(tmp_path: Path, **outputs: Sequence[Output]) -> duckdb.DuckDBPyConnection:
    """A lake with these outputs by topic, published and opened."""
    lake = Lake(tmp_path / "lake")
    for topic, messages in outputs.items():
        take(lake, topic, lake.chains[topic].next_offset, messages)
    lake.flush()
    target = tmp_path / "rapport.duckdb"
    publish(lake.root, target)
    return duckdb.connect(str(target), read_only=True)


def rows(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    return connection.execute(sql, parameters).fetchall()
