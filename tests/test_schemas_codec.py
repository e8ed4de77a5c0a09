"""One line per message and back, for every kind there is, whatever it holds."""

from __future__ import annotations

from typing import Any, get_type_hints

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas import messages as m
from schemas.errors import RowError

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
INSTANT = st.integers(0, 2**53)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=4)
KEYS = st.lists(TEXT, max_size=4).map(tuple)


@st.composite
def events(draw: st.DrawFn) -> m.Event:
    body = draw(OBJECT)
    dropped = draw(st.lists(st.builds(m.Dropped, TEXT, TEXT, TEXT), max_size=2).map(tuple))
    identifiers = draw(st.lists(TEXT, min_size=1, max_size=4).map(tuple))
    texts = [draw(TEXT) for _ in range(4)]
    times = [draw(INSTANT) for _ in range(3)]
    optional = [draw(st.none() | TEXT) for _ in range(2)]
    fields = (identifiers, *texts[:3], optional[0], *times, texts[3], optional[1], dropped)
    return known(m.Event(*fields, body))


def known(event: m.Event) -> m.Event:
    """With its line, as decoding leaves it."""
    return event._replace(line=codec.encode(event))


PIECES = st.builds(m.Piece, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple))
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: INSTANT,
    bool: st.booleans(),
    bytes: st.binary(max_size=40),
    tuple[str, ...]: KEYS,
    tuple[tuple[str, ...], ...]: st.lists(KEYS, max_size=3).map(tuple),
    tuple[int, ...]: st.lists(INSTANT, max_size=3).map(tuple),
    tuple[m.Piece, ...]: st.lists(PIECES, max_size=3).map(tuple),
    m.Event: events(),
}


def values(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any message of a kind, from the types of its fields."""
    if kind is m.Event:
        return events()
    hints = get_type_hints(kind)
    return st.builds(kind, *(BY_TYPE.get(hints[name], OBJECT) for name in kind._fields))


@pytest.mark.parametrize("kind", list(codec._KINDS.values()), ids=list(codec._KINDS))
@given(st.data())
def test_every_message_comes_back(kind: type[Any], data: st.DataObject) -> None:
    message = data.draw(values(kind))
    line = codec.encode(message)
    assert b"\n" not in line
    assert codec.decode(line) == message
    assert codec.encode(codec.decode(line)) == line


def test_every_message_has_a_kind() -> None:
    members = set(m.Message.__args__)  # type: ignore[attr-defined]
    assert set(codec._KINDS.values()) == members


@given(values(m.Link))
def test_a_newer_line_is_refused_with_what_to_do(link: m.Link) -> None:
    line = orjson.dumps({**orjson.loads(codec.encode(link)), "v": codec.VERSION + 1})
    with pytest.raises(RowError, match="Upgrade Rapport"):
        codec.decode(line)


@given(values(m.Link))
def test_a_field_of_a_later_version_does_not_disturb(link: m.Link) -> None:
    line = orjson.dumps({**orjson.loads(codec.encode(link)), "weight": 3})
    assert codec.decode(line) == link


@given(st.binary(max_size=60) | JSON.map(orjson.dumps))
def test_damage_is_a_row_error(line: bytes) -> None:
    with pytest.raises(RowError):
        codec.decode(line)


@given(st.sampled_from(sorted(codec._KINDS)), st.data())
def test_a_missing_field_is_a_row_error_unless_it_came_later(kind: str, data: st.DataObject) -> None:
    fields = orjson.loads(codec.encode(data.draw(values(codec._KINDS[kind]))))
    missing = data.draw(st.sampled_from(sorted(fields)))
    del fields[missing]
    later = codec._KINDS[kind]._field_defaults
    if missing in later:
        assert getattr(codec.decode(orjson.dumps(fields)), missing) == later[missing]
    else:
        with pytest.raises(RowError):
            codec.decode(orjson.dumps(fields))
