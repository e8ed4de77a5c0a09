"""Conditions that no event can ever meet, found by reasoning. It must never name one that some event could meet.

A condition becomes a list of alternatives, each a list of literals that must hold together. Of each field it is asked
whether a value of some kind (missing, true or false, number, text, list, object) meets all its literals. Numbers, and
kinds of few values, are tried out with the operators themselves; of texts only what can be proven is said.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import Any, NamedTuple

from rules.conditions.operators import OPERATORS
from rules.language.model import Compare, Condition, Path, Value

ALTERNATIVES_LIMIT = 1_000
"""A condition with more is taken to be possible."""
_OBJECT = {"": 0}
_MIRRORED = {"at_least": "below", "above": "at_most", "at_most": "above", "below": "at_least"}


class Literal(NamedTuple):
    """A comparison that must hold, or must not."""

    compare: Compare
    holds: bool

    def meets(self, value: Any) -> bool:
        return OPERATORS[self.compare.operator](self.compare.operand)(value) is self.holds

    def __str__(self) -> str:
        operand = self.compare.operand
        shown = ", ".join(map(_shown, operand)) if isinstance(operand, tuple) else _shown(operand)
        told = f"{self.compare.operator}: {f'[{shown}]' if isinstance(operand, tuple) else shown}"
        return told if self.holds else f"not {told}"


def contradiction(condition: Condition) -> tuple[Literal, ...]:
    """The literals that exclude each other, as few as tell it, where no event can meet the condition; else none."""
    try:
        alternatives = _alternatives(condition, True)
    except OverflowError:
        return ()
    found = []
    for literals in alternatives:
        conflict = _conflict(literals)
        if not conflict:
            return ()
        found.append(conflict)
    return found[0] if found else ()


def _alternatives(condition: Condition, holds: bool) -> list[tuple[Literal, ...]]:
    """Raises OverflowError where they are too many."""
    if isinstance(condition, Compare):
        return [(Literal(condition, holds),)]
    wanted = holds is not (condition.kind == "none")
    parts = [_alternatives(each, wanted) for each in condition.conditions]
    if wanted is not (condition.kind == "all"):
        joined = [each for part in parts for each in part]
    elif math.prod(map(len, parts)) > ALTERNATIVES_LIMIT:
        raise OverflowError
    else:
        joined = [sum(chosen, ()) for chosen in product(*parts)]
    if len(joined) > ALTERNATIVES_LIMIT:
        raise OverflowError
    return joined


def _conflict(literals: Sequence[Literal]) -> tuple[Literal, ...]:
    fields: dict[Path, list[Literal]] = {}
    for each in literals:
        fields.setdefault(each.compare.field, []).append(each)
    for found in fields.values():
        if not _possible(found):
            return _fewest(found)
    for outer, inner in _nested(fields):
        if not _may_miss(fields[inner]) and not _all_meet(fields[outer], _OBJECT):
            wrong = next(each for each in fields[outer] if not each.meets(_OBJECT))
            return wrong, next((each for each in fields[inner] if not each.meets(None)), fields[inner][0])
    return ()


def _fewest(literals: Sequence[Literal]) -> tuple[Literal, ...]:
    """Of literals that exclude each other the first that earlier ones exclude, with the one that does, or with all."""
    end = bisect_left(range(1, len(literals) + 1), True, key=lambda end: not _possible(literals[:end])) + 1
    last = literals[end - 1]
    if not _possible((last,)):
        return (last,)
    return next(((each, last) for each in literals[:end] if not _possible((each, last))), tuple(literals[:end]))


def _nested(fields: dict[Path, list[Literal]]) -> Iterator[tuple[Path, Path]]:
    """Fields of which one lies in the other. `traits` are looked up in two places, so nothing follows from them."""
    for outer, inner in product(fields, fields):
        deeper = len(inner.steps) > len(outer.steps) and inner.steps[: len(outer.steps)] == outer.steps
        if deeper and inner.root == outer.root != "traits":
            yield outer, inner


def _may_miss(literals: Sequence[Literal]) -> bool:
    return _all_meet(literals, None)


def _all_meet(literals: Sequence[Literal], value: Any) -> bool:
    return all(each.meets(value) for each in literals)


def _possible(literals: Sequence[Literal]) -> bool:
    """Whether some value of one field meets all of them."""
    literals = sorted(literals, key=lambda each: each.compare.operator in ("equals", "one_of", "is_not"))
    # Bounds first, most numbers fail there; and first the numbers that nobody names, which most exclusions let pass.
    simple = (None, True, False, _OBJECT, _shortest_list(literals))
    if any(_all_meet(literals, value) for value in (*simple, *_numbers(literals))):
        return True
    return _some_text(literals)


def _shortest_list(literals: Sequence[Literal]) -> list[Value]:
    """The list that holds what it must: each further item could only break what it must not hold."""
    required = (each for each in literals if each.holds and each.compare.operator == "contains")
    return [operand for each in required for operand in _operands(each)]


def _operands(literal: Literal) -> tuple[Value, ...]:
    operand = literal.compare.operand
    return operand if isinstance(operand, tuple) else (operand,)


def _numbers(literals: Sequence[Literal]) -> list[float]:
    """One number of every stretch between the numbers that are named, and these themselves."""
    named = {each for literal in literals for each in _operands(literal) if _is_number(each)}
    known: list[Any] = sorted(named)
    if not known:
        return [0]
    first, last = known[0], known[-1]
    outside = [first - 1, math.nextafter(float(first), -math.inf), last + 1, math.nextafter(float(last), math.inf)]
    between: list[float] = []
    for low, high in pairwise(known):
        between.append(low / 2 + high / 2)
        if isinstance(low, int) and isinstance(high, int):
            between.append((low + high) // 2)
    return [each for each in (*outside, *between, *known) if math.isfinite(each)]


def _is_number(value: Value) -> bool:
    return not isinstance(value, (bool, str))


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) and not value.strip() else str(value)


# --- texts ----------------------------------------------------------------------------------------------------------


class _Texts:
    """What is asked of a text, taken apart. `few`: the texts that come into question, where only these do."""

    def __init__(self, literals: Sequence[Literal]) -> None:
        self.few: set[str] | None = None
        self.lower: list[str] = []
        self.upper: list[tuple[str, bool]] = []
        """(bound, whether the text may equal it)."""
        self.numeric = False
        self.excluded = False
        """No text at all can do."""
        self.begins: list[str] = []
        self.begins_not: list[str] = []
        self.holds: list[str] = []
        self.holds_not: list[str] = []
        for each in literals:
            self._take(each.compare.operator, _operands(each), each.holds)

    def _take(self, operator: str, operands: tuple[Value, ...], holds: bool) -> None:
        texts = {each for each in operands if isinstance(each, str)}
        text = next(iter(texts), "")
        if operator in ("equals", "one_of", "is_not"):
            if holds is (operator != "is_not"):
                self.few = texts if self.few is None else self.few & texts
        elif operator == "exists":
            self.excluded |= operands[0] is not holds
        elif operator in _MIRRORED:
            if not texts:
                self.numeric |= holds
                return
            operator = operator if holds else _MIRRORED[operator]
            if operator in ("at_least", "above"):
                self.lower.append(text)
            else:
                self.upper.append((text, operator == "at_most"))
        elif not texts:
            self.excluded |= holds
        elif operator == "contains":
            (self.holds if holds else self.holds_not).append(text)
        else:
            (self.begins if holds else self.begins_not).append(text)


def _some_text(literals: Sequence[Literal]) -> bool:
    """Whether some text may meet all of them: False only where none can."""
    asked = _Texts(literals)
    if asked.excluded:
        return False
    if asked.few is not None:
        return any(_all_meet(literals, text) for text in asked.few)
    if asked.numeric and not _some_numeric_text(literals):
        return False
    return _within_bounds(asked, literals) and _begin_and_hold(asked)


def _some_numeric_text(literals: Sequence[Literal]) -> bool:
    """A number may be written with a currency around it, so of how it begins and ends nothing is certain."""
    ordered = [each for each in literals if each.compare.operator in _MIRRORED and _is_number(_operands(each)[0])]
    return any(_all_meet(ordered, number) for number in _numbers(ordered))


def _within_bounds(asked: _Texts, literals: Sequence[Literal]) -> bool:
    lower = max(asked.lower, default="")
    begin = max(asked.begins, key=len, default="")
    if asked.upper:
        upper, may_equal = min(asked.upper)
        if lower == upper:
            return _all_meet(literals, lower)
        if lower > upper or begin > upper or (begin == upper and not may_equal):
            return False
        common = _common_beginning(lower, upper)
        if any(common.startswith(each) for each in asked.begins_not):
            return False
    return begin >= lower or lower.startswith(begin)


def _common_beginning(one: str, other: str) -> str:
    same = next((place for place, pair in enumerate(zip(one, other, strict=False)) if len(set(pair)) > 1), None)
    return one[: min(len(one), len(other)) if same is None else same]


def _begin_and_hold(asked: _Texts) -> bool:
    begin = max(asked.begins, key=len, default="")
    if not all(begin.startswith(each) for each in asked.begins):
        return False
    if any(begin.startswith(each) for each in asked.begins_not):
        return False
    return not any(refused in held for refused in asked.holds_not for held in (begin, *asked.holds))
