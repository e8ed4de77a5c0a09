"""Which Kafka cluster, how to enter it, and what is ours on it: values that the whole run shares.

Made once at the start by `rapport.settings`; it opens nothing. Secrets never appear in a repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Protocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True)
class Security:
    """How clients talk to brokers and prove who they are."""

    protocol: Protocol = "plaintext"
    mechanism: Mechanism | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    cafile: Path | None = None
    """Certificates to trust; None: those of the system."""
    certfile: Path | None = None
    """The client's own certificate, where brokers ask for one."""
    keyfile: Path | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Names and limits. Every process of one deployment has the same, but for `data` and the HTTP address."""

    brokers: tuple[str, ...]
    """HOST:PORT, one or more."""
    data: Path
    """This process's own folder."""
    security: Security = Security()
    prefix: str = ""
    """What the names of topics, of the group and of transactions start with."""
    group: str = "rapport"
    partitions: int = 8
    """Of the partitioned topics; `topics create` fixes it."""
    replication: int | None = None
    """Copies of each partition; None: as many as the brokers' default says."""
    commit_records: int = 40
    commit_ms: int = 50
    """A lane commits after so many records or so many milliseconds."""
    rows_cached: int = 50_000
    """Decoded rows a worker keeps in memory, over all its lanes."""
    http_host: str = "127.0.0.1"
    http_port: int = 0
    """0 picks a free one."""
    http_token: str | None = field(default=None, repr=False)
    """What callers must show; demanded wherever others than this machine can connect."""

    def topic(self, name: str) -> str:
        """The topic's name on this cluster."""
        return self.prefix + name

    @property
    def consumer_group(self) -> str:
        """The workers' consumer group, and what their transactional ids start with."""
        return self.prefix + self.group

    @property
    def sink_group(self) -> str:
        """The sinks' consumer group."""
        return f"{self.consumer_group}-sink"
