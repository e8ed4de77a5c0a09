"""The look before any client: whether the brokers let this user in, and where they do not, why, in a sentence.

Clients try for ever and keep the reason to themselves. This opens one connection, logs in, asks for nothing but the
brokers' own addresses, and lets go. No text here holds the password.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.conn import create_conn
from aiokafka.protocol.metadata import MetadataRequest

from schemas.errors import ClusterError
from stream.kafka.cluster import Cluster, Security

GOODBYE_TIMEOUT = 1.0
"""Seconds in which whoever speaks TLS lets go of a connection."""
HANDSHAKE_TIMEOUT = 2.0
"""Seconds in which whoever speaks TLS answers."""
EXPIRED, NOT_YET_VALID, OTHER_HOST, OTHER_ADDRESS = 10, 9, 62, 64
"""OpenSSL's codes of what is wrong with a certificate."""

Address = tuple[str, int]


class _Refused(Exception):
    """A broker answers and does not let us in; the text says why."""


class _Absent(Exception):
    """It may come up: nobody takes a connection, or what takes it says nothing. The text says which."""


def enter(cluster: Cluster, given: dict[str, Any], context: ssl.SSLContext | None, patience: float) -> None:
    """Returns once a broker has let us in. Raises ClusterError, at once where one says no, else after a while.

    `given`: what clients are told to connect with; `context`: a TLS context of its own, to read a certificate with;
    `patience`: seconds for which it waits for brokers to come up.
    """
    entry = _Entry(cluster, given, context, patience)
    until = time.monotonic() + patience
    with _quiet():
        while True:
            try:
                return asyncio.run(entry.made())
            except _Refused as refused:
                raise ClusterError(str(refused)) from refused.__cause__
            except _Absent as absent:
                if time.monotonic() > until:
                    raise ClusterError(str(absent)) from absent.__cause__
            time.sleep(0.2)


class _Entry:
    def __init__(
        self, cluster: Cluster, given: dict[str, Any], context: ssl.SSLContext | None, patience: float
    ) -> None:
        self._brokers = [_address(each) for each in cluster.brokers]
        self._security: Security = cluster.security
        self._given = {name: value for name, value in given.items() if name != "bootstrap_servers"}
        self._context = context
        self._timeout = int(patience * 1_000)

    async def made(self) -> None:
        """By any of the brokers. Raises what the first says that takes a connection."""
        said: list[Exception] = []
        why = ""
        for named in self._brokers:
            try:
                own = await self._asked(named)
                if named not in own:
                    await self._follow(named, own)
                return
            except (_Refused, _Absent) as error:
                said.append(error)
            except OSError as error:
                why = _said(error)
        if said:
            raise said[0]
        where = ", ".join(map(_text, self._brokers))
        raise _Absent(f"No broker answers at {where} ({why}): start Kafka, or name others with --brokers.")

    async def _follow(self, named: Address, own: list[Address]) -> None:
        """Clients go on with the addresses that brokers give: one of them must do."""
        why = ""
        for address in own:
            try:
                await self._asked(address)
            except OSError as error:
                why = f"nothing answers there from here ({_said(error)})"
            except (_Refused, _Absent) as error:
                why = str(error)
            else:
                return
        raise _Refused(
            f"The broker at {_text(named)} sends clients on to {', '.join(map(_text, own))}, and {why.rstrip('.')}. "
            "Set its advertised.listeners to an address that can be reached from here."
        )

    async def _asked(self, address: Address) -> list[Address]:
        """What the brokers call themselves. Raises _Refused, _Absent, and OSError where nobody takes a connection."""
        host, port = address
        try:
            connected = await create_conn(host, port, request_timeout_ms=self._timeout, **self._given)
        except (kafka_errors.KafkaError, OSError) as error:
            raise await self._unconnected(address, error) from error
        try:
            told = await connected.send(MetadataRequest([]))
        except (kafka_errors.KafkaError, OSError) as error:
            if self._security.mechanism is not None:
                raise self._silent(address) from error
            secure = "sasl_ssl" if self._encrypted else "sasl_plaintext"
            raise _Refused(
                f"The broker at {_text(address)} wants to know who asks: set RAPPORT_SECURITY={secure},"
                " RAPPORT_SASL_MECHANISM, RAPPORT_SASL_USERNAME and RAPPORT_SASL_PASSWORD_FILE."
            ) from error
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_TIMEOUT):
                    await connected.close()
        return [(each[1], each[2]) for each in told.brokers]

    async def _unconnected(self, address: Address, error: Exception) -> Exception:
        """Why there is no connection: the error as it is where nobody listens."""
        where = _text(address)
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _Refused(await self._uncertified(address, cause))
        if isinstance(error, kafka_errors.KafkaError) and not isinstance(error, kafka_errors.KafkaConnectionError):
            return _Refused(self._unknown_user(where, error))
        if self._encrypted:
            if isinstance(cause, ssl.SSLError) and "CERTIFICATE" in str(cause.reason):
                return _Refused(
                    f"The broker at {where} asks for a certificate of this client that it trusts ({cause.reason}): set "
                    "RAPPORT_SSL_CERTFILE and RAPPORT_SSL_KEYFILE."
                )
            if isinstance(cause, ssl.SSLError | ConnectionResetError):
                return _Refused(
                    f"The broker at {where} speaks no TLS on that port: name its port for TLS in RAPPORT_BROKERS, or "
                    "set RAPPORT_SECURITY to plaintext or sasl_plaintext."
                )
        elif isinstance(error, kafka_errors.KafkaConnectionError) and await _speaks_tls(address):
            return _Refused(
                f"The broker at {where} speaks TLS on that port, and RAPPORT_SECURITY is {self._security.protocol}: "
                "set it to ssl, or to sasl_ssl where users have passwords."
            )
        if isinstance(error, kafka_errors.KafkaConnectionError | TimeoutError):
            return self._silent(address)
        return error

    def _unknown_user(self, where: str, error: Exception) -> str:
        security = self._security
        if isinstance(error, kafka_errors.UnsupportedSaslMechanismError):
            return (
                f"The brokers at {where} do not take passwords by {security.mechanism}: set RAPPORT_SASL_MECHANISM to "
                "one that they have enabled."
            )
        if isinstance(error, kafka_errors.IllegalSaslStateError):
            return (
                f"The brokers at {where} ask for no password on that port: set RAPPORT_SECURITY="
                f"{'ssl' if self._encrypted else 'plaintext'}, or name their port for users in RAPPORT_BROKERS."
            )
        if isinstance(error, kafka_errors.SaslAuthenticationFailed):
            return (
                f"The brokers at {where} do not let {security.username!r} in by {security.mechanism}: they do not know "
                "this user, or the password is another; they do not say which. Check RAPPORT_SASL_USERNAME and what is "
                "in the file that RAPPORT_SASL_PASSWORD_FILE names."
            )
        return f"Kafka at {where} refuses: {type(error).__name__}."

    async def _uncertified(self, address: Address, error: ssl.SSLCertVerificationError) -> str:
        where, cafile = _text(address), self._security.cafile
        if error.verify_code in (EXPIRED, NOT_YET_VALID):
            when = "has expired" if error.verify_code == EXPIRED else "is not valid yet"
            return f"The certificate of the broker at {where} {when}: have it renewed, and check this machine's clock."
        if error.verify_code in (OTHER_HOST, OTHER_ADDRESS):
            return (
                f"The certificate of the broker at {where} is not for {address[0]}, but for "
                f"{await self._names(address)}: name the broker in RAPPORT_BROKERS as its certificate does, or have it "
                "certified under this name."
            )
        if cafile is None:
            return (
                f"The certificate of the broker at {where} is signed by nobody that this system trusts "
                f"({error.verify_message}): set RAPPORT_SSL_CAFILE to the certificate of who signed it."
            )
        return (
            f"The certificate of the broker at {where} is signed by nobody in {cafile} ({error.verify_message}): name "
            "the certificate of who signed it in RAPPORT_SSL_CAFILE."
        )

    async def _names(self, address: Address) -> str:
        assert self._context is not None
        self._context.check_hostname = False
        _, writer = await asyncio.open_connection(*address, ssl=self._context)
        names = [name for _, name in writer.get_extra_info("peercert").get("subjectAltName", ())]
        writer.transport.abort()
        return ", ".join(names) or "no host at all"

    def _silent(self, address: Address) -> _Absent:
        return _Absent(
            f"{_text(address)} takes connections but does not answer as a broker does: check RAPPORT_BROKERS and "
            "RAPPORT_SECURITY, and the brokers' logs."
        )

    @property
    def _encrypted(self) -> bool:
        return "ssl" in self._security.protocol


async def _speaks_tls(address: Address) -> bool:
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE  # nothing is told to it
    try:
        _, writer = await asyncio.open_connection(*address, ssl=anybody, ssl_handshake_timeout=HANDSHAKE_TIMEOUT)
    except OSError:
        return False
    writer.transport.abort()
    return True


def _said(error: OSError) -> str:
    """The system's words: those of asyncio repeat the address."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or "no answer"


def _address(broker: str) -> Address:
    host, _, port = broker.rpartition(":")
    return host.strip("[]"), int(port)


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


@contextmanager
def _quiet() -> Iterator[None]:
    """What aiokafka reports of this look is raised, too."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
