"""Instants: whole microseconds since 1970-01-01 UTC, the only form of time inside Rapport.

The first year we accept is 1970 and the last 9999: DuckDB, Arrow and Python agree on that range.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

LAST = 253_402_300_799_999_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_UNZONED = _EPOCH.replace(tzinfo=None)
_MICROSECOND = timedelta(microseconds=1)


def parse(text: str) -> int:
    """ISO 8601 (a missing offset means UTC) to an instant. Raises ValueError outside 1970..9999."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    instant = (moment - _EPOCH) // _MICROSECOND
    if not 0 <= instant <= LAST:
        raise ValueError("outside the years 1970 to 9999")
    return instant


def render(instant: int) -> str:
    """ISO 8601 in UTC with microseconds only where there are any: `2026-03-02T10:00:00Z`."""
    return (_EPOCH_UNZONED + timedelta(0, 0, instant)).isoformat() + "Z"  # with a zone it takes half as long again
