"""Condition operators: what matches what. A condition never raises, whatever an event holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.conditions.operators import OPERATORS, compiled
from rules.language import tables
from rules.language.model import Compare, Condition, Group
from rules.language.model import Path as Field

LARGE = 2**70


def matches(operator: str, operand: Any, value: Any) -> bool:
    condition = compiled(Compare(Field("properties", ("x",)), operator, operand))
    own = {} if value is ... else {"x": value}
    return condition((own, {"properties": own}))


TABLE: list[tuple[str, Any, list[Any], list[Any]]] = [
    # operator, operand, what matches, what does not; `...` is a missing field
    ("equals", 1, [1, 1.0], [True, "1", 2, None, ..., [1], {"x": 1}]),
    ("equals", 0, [0, 0.0, -0.0], [False, "", None, ..., "0"]),
    ("equals", 1.5, [1.5], ["1.5", 1]),
    ("equals", "1", ["1"], [1, 1.0, True, " 1", None, ...]),
    ("equals", "Gold", ["Gold"], ["gold", "GOLD", ["Gold"], None, ...]),
    ("equals", True, [True], [1, "true", "True", False, None, ...]),
    ("equals", False, [False], [0, "", "false", True, None, ...]),
    ("is_not", 1, [True, "1", 2, None, ..., [1]], [1, 1.0]),
    ("is_not", "a", ["b", 5, None, ..., ["a"]], ["a"]),
    ("is_not", True, [1, False, ...], [True]),
    ("one_of", ("DE", 1, True), ["DE", 1, 1.0, True], ["de", "1", False, None, ..., ["DE"], {"DE": 1}]),
    ("one_of", (0, "x"), [0, "x"], [False, "0", None, ...]),
    (
        "at_least",
        50,
        [50, 50.0, 50.01, "50", "80.5", " 1e3".strip(), LARGE, "50,00 €", "$1,234.56", "1.234,56"],
        [49.99, "49", True, None, ..., "fifty", [60], "1,234", "$49.99", "-50", "1e9999999"],
    ),
    ("at_most", 19.99, ["19,99", "EUR 19.99"], ["19,991", "1.234,56"]),
    ("at_most", 50, [50, -1, "50", "-3.5", 0], [50.01, "51", False, None, ..., "", "nan", "-inf", "1_0", "٣"]),
    ("above", 0.7, [0.71, 1, "0.8"], [0.7, 0, True, ...]),
    ("below", -0.4, [-0.5, "-0.41", -LARGE], [-0.4, 0, None, ...]),
    ("below", 1, ["0x0".replace("x", "")], ["0x0", "1e", ".", "+", "9" * 41, "0" * 41]),
    ("at_least", "2026-03-02", ["2026-03-02", "2026-03-02T10:00", "2027"], ["2026-03-01", 2027, None, ..., True]),
    ("below", "b", ["a", "B"], ["b", "c", 1]),
    ("exists", True, [0, "", False, [], {}], [None, ...]),
    ("exists", False, [None, ...], [0, "", False, [], {}]),
    ("contains", "off", ["10% off", "office", ["off", 1]], ["OFF", ["10% off"], {"off": 1}, 5, None, ...]),
    ("contains", 5, [[5], [4, 5.0]], ["5", 5, 15, [True], ["5"], None, ...]),
    ("contains", True, [[True]], [[1], "true", True, ...]),
    ("starts_with", "/shop", ["/shop", "/shop/cart"], ["/Shop", "x/shop", ["/shop"], 5, None, ...]),
]


@pytest.mark.parametrize(("operator", "operand", "value"), [(o, x, v) for o, x, yes, _ in TABLE for v in yes])
def test_what_matches(operator: str, operand: Any, value: Any) -> None:
    assert matches(operator, operand, value)


@pytest.mark.parametrize(("operator", "operand", "value"), [(o, x, v) for o, x, _, no in TABLE for v in no])
def test_what_does_not_match(operator: str, operand: Any, value: Any) -> None:
    assert not matches(operator, operand, value)


def test_every_operator_of_the_language_is_known_here_and_in_the_table() -> None:
    assert set(OPERATORS) == set(tables.OPERATORS) == {operator for operator, *_ in TABLE}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(min_size=1)


@given(st.sampled_from(sorted(OPERATORS)), SCALARS, JSON)
def test_no_value_makes_an_operator_raise(operator: str, operand: Any, value: Any) -> None:
    given_operand = (operand,) if operator == "one_of" else str(operand) if operator == "starts_with" else operand
    assert matches(operator, given_operand, value) in (True, False)


@given(SCALARS, JSON)
def test_is_not_is_the_negation_of_equals_and_one_of_one_is_equals(operand: Any, value: Any) -> None:
    assert matches("is_not", operand, value) is not matches("equals", operand, value)
    assert matches("one_of", (operand,), value) is matches("equals", operand, value)


def at(field: Field, body: dict[str, Any]) -> Any:
    """What a field holds, seen through the list of all values that it could hold."""
    own = body.get("properties", {})
    found = [n for n in range(6) if compiled(Compare(field, "equals", n))((own, body))]
    return found[0] if found else None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field("properties", ("total",)), 1),
        (Field("properties", ("cart", "total")), 2),
        (Field("context", ("page", "position")), 3),
        (Field("traits", ("age",)), 4),
        (Field("properties", ("total", "deeper")), None),
        (Field("properties", ("cart", "total", "deeper")), None),
        (Field("properties", ("list", "0")), None),
        (Field("context", ("nothing", "here")), None),
    ],
)
def test_where_fields_are_found(field: Field, value: Any) -> None:
    own = {"total": 1, "cart": {"total": 2}, "list": [1]}
    assert at(field, {"properties": own, "context": {"page": {"position": 3}, "traits": {"age": 4}}}) == value


def test_traits_are_the_events_own_before_those_sent_along() -> None:
    assert at(Field("traits", ("age",)), {"traits": {"age": 5}, "context": {"traits": {"age": 4}}}) == 5
    assert at(Field("traits", ("age",)), {"traits": {"name": 5}, "context": {"traits": {"age": 4}}}) == 4
    assert at(Field("traits", ("age",)), {"traits": "odd", "context": "odd"}) is None


def truth(name: str) -> Condition:
    return Compare(Field("properties", (name,)), "equals", True)


@pytest.mark.parametrize("a", [True, False])
@pytest.mark.parametrize("b", [True, False])
@pytest.mark.parametrize("c", [True, False])
def test_groups_nest_like_logic(a: bool, b: bool, c: bool) -> None:
    own = {"a": a, "b": b, "c": c}

    def holds(condition: Condition) -> bool:
        return compiled(condition)((own, {}))

    def group(kind: Any, *conditions: Condition) -> Group:
        return Group(kind, conditions)

    x, y, z = truth("a"), truth("b"), truth("c")
    assert holds(group("all", x, y, z)) is (a and b and c)
    assert holds(group("any", x, y, z)) is (a or b or c)
    assert holds(group("none", x, y)) is (not (a or b))
    assert holds(group("any", group("all", x, y), group("none", z))) is ((a and b) or not c)
    assert holds(group("none", group("any", x, group("none", y)))) is (not (a or not b))
    assert holds(group("any", x)) is a
    assert holds(group("none", x)) is (not a)
