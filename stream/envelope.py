"""Records as they lie in `events`, `internal`, `links` and `facts`: one or more messages for one partition, NDJSON.

Pure; any producer can write a record, so what reads one takes no line for granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from schemas import codec
from schemas.messages import Message

ENVELOPE_BYTES = 512 * 1024
"""A record of several messages is at most this large; a single larger message travels alone."""


def envelope(messages: Iterable[Message]) -> bytes:
    """A record: one line a message."""
    return b"\n".join([codec.encode(message) for message in messages])


def envelopes(messages: Iterable[Message]) -> Iterator[bytes]:
    """The fewest records of at most `ENVELOPE_BYTES` that hold these messages in this order.

    A longer message lies alone in its record.
    """
    lines: list[bytes] = []
    room = ENVELOPE_BYTES
    for message in messages:
        line = codec.encode(message)
        if lines and len(line) >= room:
            yield b"\n".join(lines)
            lines, room = [], ENVELOPE_BYTES
        lines.append(line)
        room -= len(line) + 1
    if lines:
        yield b"\n".join(lines)


def opened(record: bytes) -> list[Message]:
    """The messages of a record that this system wrote. Raises RowError where one cannot be read."""
    return [codec.decode(line) for line in record.split(b"\n")]
