"""Whatever a line on a topic holds: its shape is judged without an error, and the short way judges as the long one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Event
from stream.core import shape

SOUND = Event(
    ("user_id:1", "anonymous_id:a"),
    "m1",
    "track",
    "Seen",
    "web",
    5,
    6,
    7,
    "s",
    None,
    (),
    {"context": {}, "properties": {}},
)
HOSTILE: list[Any] = [
    None,
    [],
    {},
    "",
    "\0",
    "a:\0",
    0,
    -1,
    1 << 61,
    1.5,
    True,
    (),
    ("x",),
    (5,),
    ([],),
    {"context": []},
]
TUPLES = ("identifiers", "dropped")
"""Decoding makes these tuples, whatever the line held."""


def by_table(event: Event) -> str:
    return next((field for field, check in shape._CHECKS[Event] if not check(getattr(event, field))), "")


def test_a_sound_event_has_no_flaw() -> None:
    assert shape._is_ordinary(SOUND)
    assert shape.flaw(SOUND) == ""


ALL = [
    (field, value) for field in Event._fields[:-1] for value in HOSTILE if field not in TUPLES or type(value) is tuple
]


@pytest.mark.parametrize(("field", "value"), ALL, ids=repr)
def test_the_flaw_of_an_event_is_named(field: str, value: Any) -> None:
    event = SOUND._replace(**{field: value})
    assert shape.flaw(event) == by_table(event)
    assert shape.flaw(event) in ("", field)


@given(st.lists(st.sampled_from(ALL), max_size=3))
def test_what_looks_ordinary_is_sound(changes: list[tuple[str, Any]]) -> None:
    event = SOUND._replace(**dict(changes))
    if shape._is_ordinary(event):
        assert by_table(event) == ""
