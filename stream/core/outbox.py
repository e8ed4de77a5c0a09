"""What a batch on Kafka sends: everything its steps came to, as records for the partitions they go to.

Facts are encoded as they come: a thousand decoded events would be larger than any cache, and slow to make and to let
go of.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas import codec
from schemas.keys import profile_id
from schemas.messages import Message
from stream.core.effects import Address, Effects
from stream.core.envelope import envelopes

Entry = tuple[bytes | None, bytes | None]
"""Key and value of a record."""


class Outbox:
    """One batch's."""

    def __init__(self) -> None:
        self.effects = Effects()
        """All but the facts."""
        self.facts: list[bytes] = []
        self.newest_event = 0
        """When the last event that was applied had been accepted; 0 where none was."""

    def add(self, effects: Effects) -> None:
        """What some lines came to."""
        facts, effects.facts = effects.facts, []
        if facts:
            self.facts += map(codec.encode, facts)
            self.newest_event = facts[-1].received_at
        self.effects.add(effects)

    def entries(self, partition: int) -> dict[Address, Iterable[Entry]]:
        """The records of each log; outputs go to the lane's own partition. Messages keep their order."""
        effects = self.effects
        outputs: dict[str, list[Entry]] = {
            "facts": [(None, record) for record in envelopes(self.facts)],
            "triggers": [_keyed(each.profile_id, each) for each in effects.triggers],
            "decisions": [_keyed(each.profile_id, each) for each in effects.decisions],
            "identity": [_keyed(profile_id(each.winner), each) for each in effects.identity],
            "rejected": [(None, codec.encode(each)) for each in effects.rejected],
        }
        entries: dict[Address, Iterable[Entry]] = {
            Address(topic, partition): each for topic, each in outputs.items() if each
        }
        for address in dict.fromkeys(address for address, _ in effects.sent):
            lines = (codec.encode(message) for to, message in effects.sent if to == address)
            entries[address] = [(None, each) for each in envelopes(lines)]
        return entries


def _keyed(key: str, message: Message) -> Entry:
    return key.encode(), codec.encode(message)
