"""Customers as the running workers know them, asked over HTTP.

Where they are, the brokers know from the workers' consumer group.
"""

from __future__ import annotations

import time
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from rapport.customers.asked import profile_id_in
from rapport.customers.by_hand import identifiers
from rapport.customers.local import explained, meant, published, refused_only, unknown
from schemas.errors import ClusterError, UnknownCustomer
from schemas.keys import partition_of, profile_id
from stream.kafka.cluster import Cluster
from stream.kafka.placement import Placement, placement

REQUEST_TIMEOUT = 5.0
"""Seconds a worker may take to answer; it may have to ask another one."""
LOOK_TIMEOUT = 60.0
"""The same where workers look through all identifiers for a profile id."""
MOVING_TIMEOUT = 10.0
"""Seconds for which workers are asked again; a killed one's partitions are elsewhere by then."""
RETRY_INTERVAL = 0.3


def profile(cluster: Cluster, key: str, events: int | None = None) -> dict[str, Any]:
    """What `lookup.profile` gives, from the workers' committed rows; what is published comes from `cluster.data`.

    Raises UnknownCustomer, and ClusterError where no worker can answer.
    """
    found = asked(cluster, key)
    return {**found, **published(cluster.data, found, events)}


def explain(cluster: Cluster, plan: Path | None, *keys: str) -> dict[str, Any]:
    """What `lookup.explain` gives, from the workers' committed rows and the decisions published in `cluster.data`.

    Raises UnknownCustomer, and ClusterError where no worker can answer.
    """
    return explained(cluster.data, [_person(cluster, plan, key) for key in keys])


def _person(cluster: Cluster, plan: Path | None, key: str) -> dict[str, Any]:
    written = [each for each in (key, meant(cluster.data, plan, key)) if each]
    try:
        found = asked(cluster, key)
    except UnknownCustomer:
        return refused_only(cluster.data, written)
    members = identifiers(found)
    root = next(member for member in members if profile_id(member) == found["profile_id"])
    return {
        "identifier": next((each for each in written if each in members), key),
        "root": root,
        "profile_id": found["profile_id"],
        "members": [root, *sorted(set(members) - {root})],
    }


def asked(cluster: Cluster, key: str) -> dict[str, Any]:
    """`profiles.view.profile` of the customer who has a key. Raises UnknownCustomer and ClusterError.

    Asks again for a while where no worker can answer yet: partitions may be moving from one to another.
    """
    timeout = LOOK_TIMEOUT if profile_id_in(key) else REQUEST_TIMEOUT
    until = time.monotonic() + MOVING_TIMEOUT
    while True:
        placed = placement(cluster)
        reasons = [] if placed.urls else ["workers are starting, and have no partitions yet"]
        for url in _urls(cluster, placed, key):
            status, answer = got(url, "/profile?" + urlencode({"id": key}), cluster.http_token, timeout)
            if status == HTTPStatus.OK:
                return answer
            if status == HTTPStatus.NOT_FOUND:
                raise unknown(key)
            if status == HTTPStatus.UNAUTHORIZED:
                raise ClusterError(f"The worker at {url} refuses the token: name its file in RAPPORT_HTTP_TOKEN_FILE.")
            reasons.append(f"{url}: {answer.get('error', status)}")
        if time.monotonic() > until:
            raise ClusterError(f"No worker could answer; try again, or see rapport doctor. {'; '.join(reasons)}")
        time.sleep(RETRY_INTERVAL)


def _urls(cluster: Cluster, placed: Placement, key: str) -> list[str]:
    """The worker that has the home first; any other can route. None while all of them are starting."""
    urls = placed.urls
    if not placed.members:
        raise ClusterError(
            f"No worker is in the group {cluster.consumer_group} at {', '.join(cluster.brokers)}: start one with "
            "rapport worker, or check RAPPORT_GROUP and RAPPORT_TOPIC_PREFIX."
        )
    events, home = cluster.topic("events"), partition_of(key, cluster.partitions)
    return sorted(urls, key=lambda url: home not in urls[url].get(events, ()))


def got(url: str, path: str, token: str | None = None, timeout: float = REQUEST_TIMEOUT) -> tuple[int, dict[str, Any]]:
    """A worker's answer, status and JSON; status 0 where there is none. No proxy, no redirect: the token stays here."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    worker = urlsplit(url)
    with closing(HTTPConnection(worker.hostname or "", worker.port, timeout=timeout)) as connection:
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, orjson.loads(answer.read())
        except (OSError, HTTPException, ValueError) as error:
            return 0, {"error": str(error) or type(error).__name__}
