"""`rapport worker`: takes events from Kafka, resolves who is who, runs the rules."""

from __future__ import annotations

import typer

from rapport.commands.options import DATA, Brokers, Data, HttpPort, Plan, plan_of_cluster
from rapport.commands.options import cluster as named


def worker(brokers: Brokers = None, data: Data = DATA, plan: Plan = None, http_port: HttpPort = None) -> None:
    """Take events from Kafka and act on them, until told to stop; any number share the partitions."""
    cluster = named(brokers, data, http_port=http_port)
    from rapport.plan import folder as plan_folder
    from rapport.services.worker import work

    code = work(cluster, plan_folder.load(plan_of_cluster(plan)))
    if code:
        raise typer.Exit(code)
