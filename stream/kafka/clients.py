"""How every client of Kafka is told to connect, and what its errors mean in a sentence.

The same keywords serve kafka-python and aiokafka. They hold the password: never log them.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from schemas.errors import ClusterError
from stream.kafka.cluster import Cluster, Security

if TYPE_CHECKING:
    from kafka import KafkaAdminClient, KafkaProducer

REQUEST_TIMEOUT = 8.0
"""Seconds a cluster may take to answer a command before a person is told that it does not."""


def connection(cluster: Cluster) -> dict[str, Any]:
    """Keyword arguments that every client takes. Raises ClusterError where a certificate cannot be used."""
    security = cluster.security
    given: dict[str, Any] = {
        "bootstrap_servers": list(cluster.brokers),
        "security_protocol": security.protocol.upper(),
        "ssl_context": tls(security),
    }
    if security.mechanism is not None:
        given |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password,
        }
    return given


def tls(security: Security) -> ssl.SSLContext | None:
    """The TLS context, where the protocol has one."""
    if "ssl" not in security.protocol:
        return None
    try:
        context = ssl.create_default_context(cafile=security.cafile)
        if security.certfile is not None:
            context.load_cert_chain(security.certfile, security.keyfile)
    except OSError as error:
        raise ClusterError(f"The TLS certificates cannot be used ({error}): check their files.") from error
    return context


@contextmanager
def admin(cluster: Cluster) -> Iterator[KafkaAdminClient]:
    """A client for topics and groups. Inside, every failure of Kafka's becomes a ClusterError."""
    from kafka import KafkaAdminClient
    from kafka.net.compat import KafkaNetClient

    wait = int(REQUEST_TIMEOUT * 1000)
    with answered(cluster), ExitStack() as opened:

        def network(**configs: Any) -> KafkaNetClient:
            """A client that could not be made leaves its network thread behind, trying for ever."""
            made = KafkaNetClient(**configs)
            opened.callback(made.close)
            return made

        client = KafkaAdminClient(
            client_id="rapport",
            bootstrap_timeout_ms=wait,
            request_timeout_ms=wait,
            kafka_client=network,
            **connection(cluster),
        )
        yield opened.enter_context(closing(client))


@contextmanager
def producer(cluster: Cluster, client_id: str, **limits: Any) -> Iterator[KafkaProducer]:
    """A producer whose retries write nothing twice. Inside, every failure of Kafka's becomes a ClusterError.

    Leaving waits for nothing that was not acknowledged: flush, or ask the futures.
    """
    from kafka import KafkaProducer
    from kafka.errors import KafkaTimeoutError

    with answered(cluster):
        made = KafkaProducer(
            client_id=client_id,
            enable_idempotence=True,
            acks="all",
            allow_auto_create_topics=False,
            metrics_enabled=False,
            **limits,
            **connection(cluster),
        )
        try:
            yield made
        finally:
            with suppress(KafkaTimeoutError):  # whoever gives up has said so already
                made.close(timeout=1)


@contextmanager
def answered(cluster: Cluster) -> Iterator[None]:
    """For work with kafka-python: some broker lets us in, and its errors come out as ClusterError."""
    from kafka.errors import KafkaError

    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it reports every attempt; what matters is raised
    enter(cluster)
    try:
        yield
    except KafkaError as error:
        raise told(error, cluster) from error


def enter(cluster: Cluster) -> None:
    """Returns once a broker has let us in; waits for up to `REQUEST_TIMEOUT` for one to come up.

    Raises ClusterError that says why none does: clients do not tell.
    """
    from stream.kafka import entry

    entry.enter(cluster, connection(cluster), tls(cluster.security), REQUEST_TIMEOUT)


def told(error: Exception, cluster: Cluster) -> ClusterError:
    """A client's error as one sentence that says what to do."""
    kind = type(error).__name__
    where = ", ".join(cluster.brokers)
    if "Authorization" in kind:
        return ClusterError(
            f"The brokers at {where} do not allow this user to do that ({kind.removesuffix('Error')}): ask for the "
            "rights on topics, groups and transactional ids."
        )
    if any(word in kind for word in ("Timeout", "TimedOut", "Connection", "NodeNotReady")):
        checked = ["RAPPORT_SECURITY"]
        if cluster.security.mechanism is not None:
            checked += ["RAPPORT_SASL_MECHANISM", "RAPPORT_SASL_USERNAME", "RAPPORT_SASL_PASSWORD_FILE"]
        return ClusterError(
            f"The brokers at {where} take connections but answer nothing: check {', '.join(checked)}, and the brokers' "
            "logs."
        )
    return ClusterError(f"Kafka at {where} refuses: {error}")
