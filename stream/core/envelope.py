"""Records as they lie in `events`, `internal`, `links` and `facts`: one or more messages for one partition, NDJSON.

Pure; any producer can write a record, so what reads one takes no line for granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from schemas import codec
from schemas.messages import Message

MAX_ENVELOPE_BYTES = 512 * 1024
"""A record of several messages is at most this large; a single larger message travels alone."""


def envelope(messages: Iterable[Message]) -> bytes:
    """A record: one line a message."""
    return b"\n".join([codec.encode(message) for message in messages])


def envelopes(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The fewest records of at most `MAX_ENVELOPE_BYTES` that hold these encoded messages in this order.

    A longer message lies alone in its record.
    """
    held: list[bytes] = []
    room = MAX_ENVELOPE_BYTES
    for line in lines:
        if held and len(line) >= room:
            yield b"\n".join(held)
            held, room = [], MAX_ENVELOPE_BYTES
        held.append(line)
        room -= len(line) + 1
    if held:
        yield b"\n".join(held)
