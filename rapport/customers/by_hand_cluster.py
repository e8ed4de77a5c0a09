"""Customers that the workers of a cluster hold, asked for and decided about by hand.

The linker is asked, and its orders are waited for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rapport.customers import cluster as lookup
from rapport.customers import queries
from rapport.customers.by_hand import Done, Found, identifiers
from rapport.customers.explanation import quarantined, split_between
from rapport.customers.local import meant
from schemas.errors import ClusterError, NotPublished, UnknownCustomer
from schemas.messages import ByHand
from stream.kafka import linker_requests
from stream.kafka.cluster import Cluster

DECISION_TIMEOUT = 15.0
"""Seconds for which the workers may be about it; a killed one's lanes are open elsewhere by then."""
POLL_INTERVAL = 0.3


class OnCluster:
    """The customers of a cluster. Every call raises ClusterError where no worker can answer."""

    def __init__(self, cluster: Cluster, plan: Path | None) -> None:
        self.data: Path = cluster.data
        self._cluster = cluster
        self._plan = plan

    def known(self, key: str) -> str:
        """The key under which an identifier is stored. Raises UnknownCustomer where nobody has it."""
        held = identifiers(lookup.asked(self._cluster, key))
        return key if key in held else next((each for each in held if each == meant(self.data, self._plan, key)), key)

    def asked(self, key: str) -> Found | None:
        """The customer who has an identifier. Raises UnknownCustomer where nobody has."""
        return lookup.asked(self._cluster, key)

    def born(self, id_: str) -> str | None:
        """The strongest identifier of whoever has a profile id, or had it before a merge."""
        try:
            return identifiers(lookup.asked(self._cluster, f"profile_id:{id_}"))[0]
        except UnknownCustomer:
            return None

    def keeps_apart(self, ours: Sequence[str], theirs: Sequence[str]) -> str:
        """As in a data folder, by the decisions published in the sinks' folder."""
        try:
            decisions = queries.rows(self.data, "identity_of", {"keys": [*ours, *theirs]})
        except NotPublished:
            return ""
        held = [key for key in (*ours, *theirs) if quarantined(decisions, key)]
        return held[0] if held else "split" if split_between(decisions, ours, theirs) else ""

    def carry_out(self, request: ByHand, keys: Iterable[str], done: Done) -> None:
        """Sends a request and waits until it shows, and two looks in a row show the same.

        Raises ClusterError also where no worker has carried it out in time: then it will be as soon as one can.
        """
        keys = [*keys]
        offset = linker_requests.send(self._cluster, request)
        until = time.monotonic() + DECISION_TIMEOUT
        before: Mapping[str, Found] = {}
        while not linker_requests.decided(self._cluster, offset) or not self._rests(keys, before, done):
            before = self._customers(keys)
            if time.monotonic() > until:
                raise ClusterError(
                    "The request is in the log, but the workers have not carried it out: they will once all lanes are "
                    "open; see rapport doctor."
                )
            time.sleep(POLL_INTERVAL)

    def _rests(self, keys: Iterable[str], before: Mapping[str, Found], done: Done) -> bool:
        after = self._customers(keys)
        return done(after) and after == before

    def _customers(self, keys: Iterable[str]) -> Mapping[str, Found]:
        return {key: lookup.asked(self._cluster, key) for key in keys}
