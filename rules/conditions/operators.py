"""The condition operators, as a table, and conditions compiled into functions. A condition never raises.

What a value is compared with decides how:

- Numbers compare with numbers, 1 equals 1.0. For at_least, at_most, above and below a text ("80.5", "1.234,50 EUR")
  counts as the number it shows, read as amounts of money are; for equality it is text, so "1" is not 1.
- Text compares with text, by code point and case-sensitively; so ISO dates come in their order.
- true and false equal only themselves; they are not numbers.
- A field that is missing, null or of another kind does not match. `is_not` and `none` are the exact negation of
  `equals` and `any`: they hold for a missing field, too. Add `exists: true` where it must be there.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from rules.language.model import Compare, Condition, Path, Value
from schemas import money

View = tuple[Mapping[str, Any], Mapping[str, Any]]
"""An event as conditions see it: (its own properties or traits, its whole body)."""

Test = Callable[[Any], bool]
"""Does a field's value (None: missing) match?"""

Predicate = Callable[[View], bool]

_NUMERIC = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?")
_NUMERIC_LIMIT = 40


def is_numeric(text: str) -> bool:
    """Does this text show a number as machines write it?"""
    return len(text) <= _NUMERIC_LIMIT and _NUMERIC.fullmatch(text) is not None


def _equals(operand: Value) -> Test:
    if isinstance(operand, bool):
        return lambda value: value is operand
    if isinstance(operand, str):
        return lambda value: value == operand
    return lambda value: value == operand and value is not True and value is not False


def _is_not(operand: Value) -> Test:
    equal = _equals(operand)
    return lambda value: not equal(value)


def _one_of(operands: tuple[Value, ...]) -> Test:
    plain = frozenset(operand for operand in operands if not isinstance(operand, bool))
    booleans = tuple(operand for operand in operands if isinstance(operand, bool))

    def test(value: Any) -> bool:
        kind = value.__class__
        if kind is bool:
            return value in booleans
        return (kind is str or kind is int or kind is float) and value in plain

    return test


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Value], Test]:
    def build(operand: Value) -> Test:
        if isinstance(operand, str):
            return lambda value: value.__class__ is str and compare(value, operand)

        def test(value: Any) -> bool:
            kind = value.__class__
            if kind is int or kind is float:
                return compare(value, operand)
            if kind is str:
                shown = value if is_numeric(value) else money.amount(value)
                return shown is not None and compare(float(shown), operand)
            return False

        return test

    return build


def _exists(operand: Value) -> Test:
    return (lambda value: value is not None) if operand else (lambda value: value is None)


def _contains(operand: Value) -> Test:
    equal = _equals(operand)

    def test(value: Any) -> bool:
        if value.__class__ is str:
            return isinstance(operand, str) and operand in value
        return value.__class__ is list and any(map(equal, value))

    return test


def _starts_with(operand: str) -> Test:
    return lambda value: value.__class__ is str and value.startswith(operand)


OPERATORS: Mapping[str, Callable[[Any], Test]] = {
    "equals": _equals,
    "is_not": _is_not,
    "one_of": _one_of,
    "at_least": _ordered(operator.ge),
    "at_most": _ordered(operator.le),
    "above": _ordered(operator.gt),
    "below": _ordered(operator.lt),
    "exists": _exists,
    "contains": _contains,
    "starts_with": _starts_with,
}


def getter(path: Path) -> Callable[[View], Any]:
    """A function that gives the field's value, None where there is none."""
    if path.root == "properties":
        if len(path.steps) == 1:
            (name,) = path.steps
            return lambda view: view[0].get(name)
        return _walker(0, path.steps)
    if path.root == "context":
        return _walker(1, ("context", *path.steps))
    own, sent_along = _walker(1, ("traits", *path.steps)), _walker(1, ("context", "traits", *path.steps))

    def get(view: View) -> Any:
        value = own(view)
        return sent_along(view) if value is None else value

    return get


def _walker(side: int, steps: tuple[str, ...]) -> Callable[[View], Any]:
    def walk(view: View) -> Any:
        value: Any = view[side]
        for step in steps:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return value

    return walk


def compiled(condition: Condition) -> Predicate:
    """A function that tells whether an event matches."""
    if isinstance(condition, Compare):
        get, test = getter(condition.field), OPERATORS[condition.operator](condition.operand)
        return lambda view: test(get(view))
    parts = tuple(compiled(each) for each in condition.conditions)
    if condition.kind == "none":
        return lambda view: not any(part(view) for part in parts)
    if len(parts) == 1:
        return parts[0]
    if condition.kind == "any":
        return lambda view: any(part(view) for part in parts)
    return lambda view: all(part(view) for part in parts)
