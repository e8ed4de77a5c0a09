"""Taking two people apart whom the workers of a cluster hold: the linker is asked, and its orders are waited for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rapport.customers.cluster import asked, identifiers
from rapport.customers.split_local import on_one_side_each, side, unknown
from schemas.errors import ClusterError
from schemas.messages import Split
from stream.clock import wall_now
from stream.kafka import linker_requests
from stream.kafka.cluster import Cluster

DECISION_TIMEOUT = 15.0
"""Seconds for which the workers may be about it; a killed one's lanes are open elsewhere by then."""
POLL_INTERVAL = 0.3

Found = Mapping[str, Any]
"""A customer, as `profiles.view.profile` shows one."""


def split(cluster: Cluster, a: Sequence[str], b: Sequence[str]) -> dict[str, Any]:
    """What `surgery.split` does, on a cluster. Again it changes nothing.

    Raises UnknownCustomer, UsageError where a key stands on both sides, and ClusterError, also where the request was
    sent and no worker has carried it out in time: then it will be as soon as one can.
    """
    on_one_side_each(a, b)
    before = _customers(cluster, (*a, *b))
    for key, found in before.items():
        if key not in identifiers(found):
            raise unknown(key, a[0])
    offset = linker_requests.send(cluster, Split(tuple(a), tuple(b), wall_now()))
    until = time.monotonic() + DECISION_TIMEOUT
    while not linker_requests.decided(cluster, offset) or not _apart(
        after := _customers(cluster, (*a, *b)), before, a, b
    ):
        if time.monotonic() > until:
            raise ClusterError(
                "The request is in the log, but the workers have not carried it out: they will once all lanes are "
                "open; see rapport doctor."
            )
        time.sleep(POLL_INTERVAL)
    return {"a": side(after[a[0]]), "b": side(after[b[0]])}


def _customers(cluster: Cluster, keys: Iterable[str]) -> dict[str, Found]:
    return {key: asked(cluster, key) for key in keys}


def _apart(after: Mapping[str, Found], before: Mapping[str, Found], a: Iterable[str], b: Iterable[str]) -> bool:
    """Whether no customer has keys of both sides any more, and every event has followed its identifier."""
    mine, theirs = ({after[key]["profile_id"] for key in keys} for keys in (a, b))
    return mine.isdisjoint(theirs) and _events(after.values()) >= _events(before.values())


def _events(customers: Iterable[Found]) -> int:
    """Of all these, each customer once."""
    return sum({each["profile_id"]: each["event_count"] for each in customers}.values())
