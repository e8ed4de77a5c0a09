"""Names of events and fields: which are known, and which of them was probably meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import get_args

from schemas.events import EventType
from schemas.nearest import MAX_LENGTH
from schemas.vocabulary import VOCABULARY, properties

TRACK = "track"
OTHER_CALLS = tuple(call for call in get_args(EventType) if call != TRACK)
"""Rules name these like events."""
WORDS = {word.name: properties(word) for area in VOCABULARY.values() for word in area}
"""Event -> its properties -> their type."""
CONTEXT = (
    "active app campaign channel consent device externalIds groupId ip library locale location network os page "
    "referrer screen timezone traits userAgent userAgentData"
).split()
"""What SDKs put into the context: https://segment.com/docs/connections/spec/common/#context"""
CLOSE = 0.85
"""How much alike two names must be for one to be taken for the other. Names of one's own events often share a word with
the vocabulary, and are no mistakes."""

_UNSEEN = re.compile(r"^\s|\s$|\s\s|[^\S ]|[\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u2064\ufeff]")
_NOT_A_LETTER = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the events are called and hold that were taken in so far: names that are known besides the vocabulary."""

    place: str = ""
    """Where they are, for messages; "" where nothing was looked at. Then only what resembles a known name is told."""
    events: Collection[str] = ()
    """Names of track events."""
    fields: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Event, or another call -> the properties (of identify and group calls: the traits) that it came with."""

    def known_events(self) -> list[str]:
        return [*WORDS, *OTHER_CALLS, *self.events]

    def known_fields(self, event: str) -> list[str]:
        return [*WORDS.get(event, ()), *self.fields.get(event, ())]


NOTHING = Seen()


def has_unseen(text: str) -> bool:
    """Whether there are spaces at an end, several in a row, or characters that nobody sees."""
    return bool(_UNSEEN.search(text))


def meant(name: str, known: Collection[str]) -> str:
    """The known name that is the same but for case, spaces and signs, or very much alike; "" where none is."""
    letters = _letters(name)
    same = next((each for each in known if _letters(each) == letters), "")
    return same or next(iter(get_close_matches(name[:MAX_LENGTH], known, 1, CLOSE)), "")


def _letters(name: str) -> str:
    return _NOT_A_LETTER.sub("", name).casefold()
