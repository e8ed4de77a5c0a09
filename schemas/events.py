"""The Segment-spec event as it arrives: which fields it may have, of which type, and how large it may be.

`check` looks at the fields Rapport reads; everything else passes untouched, because SDKs and customers add fields of
their own. A field that is null counts as absent. This module must never change an event.
Source of the field names: https://segment.com/docs/connections/spec/common/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Required

from pydantic import ConfigDict, Field, InstanceOf, TypeAdapter, with_config
from typing_extensions import TypedDict

EVENT_BYTES: Final = 32 * 1024
"""The longest event, as JSON text."""
BATCH_BYTES: Final = 500 * 1024
"""The longest batch of events, as an SDK posts them."""
ID_CHARACTERS: Final = 1024
MESSAGE_ID_CHARACTERS: Final = 100
DEPTH: Final = 250
"""How deep objects and arrays may nest: orjson writes 254 levels, and a record encloses the event in some."""

EventType = Literal["track", "identify", "page", "screen", "group", "alias"]
Channel = Literal["web", "mobile", "email", "chat", "social", "store", "phone", "support", "survey", "server", "crm"]

ID_FIELDS: Final = ("userId", "anonymousId", "previousId", "groupId", "messageId")
"""Top-level ids. SDKs also send numbers here; a whole number is taken as its decimal text."""
TIME_FIELDS: Final = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")


def states_time(body: Mapping[str, Any]) -> bool:
    """Whether an event itself says when it happened."""
    return any(body.get(field) is not None for field in TIME_FIELDS)


Object = Annotated[dict[str, Any], InstanceOf]


@with_config(ConfigDict(strict=True, extra="ignore"))
class Context(TypedDict, total=False):
    """What surrounded the event. `channel` is Rapport's addition to the spec."""

    channel: Channel | None
    ip: str | None
    userAgent: str | None
    locale: str | None
    page: Object | None
    campaign: Object | None
    device: Object | None
    library: Object | None
    traits: Object | None


@with_config(ConfigDict(strict=True, extra="ignore"))
class SegmentEvent(TypedDict, total=False):
    """One call of an SDK."""

    type: Required[EventType]
    event: str | None
    name: str | None
    category: str | None
    userId: str | None
    anonymousId: str | None
    previousId: str | None
    groupId: Annotated[str, Field(max_length=ID_CHARACTERS)] | None
    messageId: Annotated[str, Field(max_length=MESSAGE_ID_CHARACTERS)] | None
    context: Context | None
    timestamp: str | None
    originalTimestamp: str | None
    sentAt: str | None
    receivedAt: str | None
    properties: Object | None
    traits: Object | None
    integrations: Object | None


check = TypeAdapter(SegmentEvent).validator.validate_python
"""Raises `pydantic_core.ValidationError` naming every field of a wrong type. Its result is a copy nobody needs."""
