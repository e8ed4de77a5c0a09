"""Fields and conditions of rule files. `rules.language.tables` says which operator takes what; here it is checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from rules.conditions import lookalikes
from rules.conditions.contradictions import Literal, contradiction
from rules.conditions.operators import is_numeric
from rules.language import tables
from rules.language.model import Compare, Condition, Group, Path, Value
from schemas.yaml.reader import PlanReader
from schemas.yaml.strict import Node, Scalar, shown
from schemas.yaml.strict import Sequence as SequenceNode

_ROOTS = ("properties", "context", "traits")
_STEPS_LIMIT = 10
_REST = re.compile(r"[0-9][0-9_.,]* ?([^\W\d_]+\.?|[%€$£])?")


def field(reader: PlanReader, node: Node, what: str) -> Path | None:
    text = reader.text(node, what)
    return None if text is None else _path(reader, node, text)


def _path(reader: PlanReader, node: Node, text: str) -> Path | None:
    first, *rest = steps = text.split(".")
    if not all(step.strip() for step in steps) or len(steps) > _STEPS_LIMIT:
        reader.problem(node, f"`{shown(text)}` is not a field; write one like `total` or `context.page.path`.")
        return None
    if rest and first in tables.LATER_FIELDS:
        reader.problem(
            node, f"This version does not know `{first}.` fields yet; use the event's own, traits or context."
        )
        return None
    return path_of(text)


def path_of(text: str) -> Path:
    """Where a field lies that is written like `total`, `context.page.path` or `traits.city`."""
    first, *rest = text.split(".")
    if rest and first in _ROOTS:
        return Path(first, tuple(rest))  # type: ignore[arg-type]
    return Path("properties", (first, *rest))


def where(reader: PlanReader, node: Node, what: str) -> Condition | None:
    """A condition that some event can meet; one that none can is a problem."""
    places: dict[int, Node] = {}
    before = reader.found
    condition = _where(reader, node, what, places)
    if condition is not None and reader.found == before and (conflict := contradiction(condition)):
        at = [places[id(each.compare)] for each in conflict]
        reader.problem(max(at, key=lambda place: (place.line, place.column)), f"{what} never holds: {_told(conflict)}.")
        return None
    return condition


def never_with(condition: Condition | None, path: Path) -> bool:
    """Whether no event that has a value here can meet the condition, which some event can meet."""
    there = Compare(path, "exists", True)
    return condition is not None and bool(contradiction(Group("all", (condition, there))))


def _told(conflict: tuple[Literal, ...]) -> str:
    fields = dict.fromkeys(f"`{each.compare.field}`" for each in conflict)
    told = " and ".join(f"`{each}`" for each in conflict)
    return f"{' and '.join(fields)} cannot be {told} at once; change one of them"


def _where(reader: PlanReader, node: Node, what: str, places: dict[int, Node]) -> Condition | None:
    entries = reader.entries(node, what)
    if entries is None:
        return None
    conditions: list[Condition] = []
    for name, (key, value) in entries.items():
        if name in tables.GROUPS:
            items = reader.items(value, name) or ()
            parts = [_where(reader, item, f"an item of {name}", places) for item in items]
            conditions.append(Group(name, tuple(part for part in parts if part)))  # type: ignore[arg-type]
        elif _is_rest_of_number(key, value):
            _split_number(reader, entries, key)
        elif (path := _path(reader, key, name)) is not None:
            conditions.extend(_comparisons(reader, path, value, places))
    if not entries:
        reader.problem(node, f"{what} is empty; fill it or leave it out.")
    return conditions[0] if len(conditions) == 1 else Group("all", tuple(conditions))


def _is_rest_of_number(key: Scalar, value: Node) -> bool:
    """`{at_least: 1,000}` are two entries to YAML: 1, and `000` without a value."""
    return isinstance(value, Scalar) and value.value is None and not key.quoted and bool(_REST.fullmatch(key.source))


def _split_number(reader: PlanReader, entries: Mapping[str, tuple[Scalar, Node]], key: Scalar) -> None:
    values = [value for _, value in entries.values()]
    before = values[list(entries).index(key.source) - 1]
    whole = f"{before.source},{key.source}" if isinstance(before, Scalar) else key.source
    meant = lookalikes.looks_like(whole, quoted=False)
    advice = lookalikes.advice(whole, meant) if meant else "write it without a comma"
    reader.problem(key, f"`{shown(whole)}` is no number: within {{ }} a comma begins the next entry; {advice}.")


def _comparisons(reader: PlanReader, path: Path, node: Node, places: dict[int, Node]) -> list[Compare]:
    if isinstance(node, Scalar):
        stated: dict[str, Node] = {"equals": node}
    elif isinstance(node, SequenceNode):
        stated = {"one_of": node}
    elif rest := [key for key, value in node.entries.values() if _is_rest_of_number(key, value)]:
        _split_number(reader, node.entries, rest[0])
        return []
    else:
        stated = reader.mapping(node, f"the condition on `{path}`", tables.OPERATORS) or {}
        if not node.entries:
            reader.problem(node, f"The condition on `{path}` is empty; write a value or an operator.")
    compares: list[Compare] = []
    for name, value in stated.items():
        operand = _OPERANDS[name](reader, value, f"{name} of `{path}`")
        if operand is not None:
            compares.append(Compare(path, name, operand))
            places[id(compares[-1])] = value
    return compares


def _scalar(reader: PlanReader, node: Node, what: str) -> Value | None:
    if not isinstance(node, Scalar):
        reader.problem(node, f"{what} must be one value: text, a number, true or false.")
        return None
    if node.value is None:
        reader.problem(node, f"{what} has no value; to ask whether a field is there, write {{exists: true}} or false.")
    return node.value


def _value(reader: PlanReader, node: Node, what: str) -> Value | None:
    """A value to be equal to: one that can only be a number is no text without quotes."""
    value = _scalar(reader, node, what)
    meant = _number_meant(reader, node, value)
    if isinstance(value, str) and meant is not None and meant.bare and not _quoted(node):
        advice = f"{lookalikes.advice(value, meant)}, or put quotes around it if text is meant"
        reader.problem(node, f"{what} is the text `{shown(value)}`, not a number; {advice}.")
        return None
    return value


def _number_meant(reader: PlanReader, node: Node, value: Value | None) -> lookalikes.Meant | None:
    """The number that a text looks like."""
    return None if not isinstance(value, str) or reader.faulty(node) else lookalikes.looks_like(value, _quoted(node))


def _quoted(node: Node) -> bool:
    return isinstance(node, Scalar) and node.quoted


def _scalars(reader: PlanReader, node: Node, what: str) -> tuple[Value, ...]:
    read = [_value(reader, item, f"an item of {what}") for item in reader.items(node, what) or ()]
    return tuple(value for value in read if value is not None)


def _bound(reader: PlanReader, node: Node, what: str) -> Value | None:
    value = _scalar(reader, node, what)
    if isinstance(value, bool):
        reader.problem(node, f"{what} cannot be true or false; it must be a number or text.")
        return None
    if isinstance(value, str) and is_numeric(value):
        reader.problem(node, f'{what} is the text "{value}"; remove the quotes to compare numbers.')
        return None
    meant = _number_meant(reader, node, value)
    if isinstance(value, str) and meant is None:
        return reader.text(node, what)
    if isinstance(value, str) and meant is not None:
        advice = lookalikes.advice(value, meant)
        reader.problem(node, f"{what} is the text `{shown(value)}`, not a number; {advice}.")
        return None
    return value


def _part(reader: PlanReader, node: Node, what: str) -> Value | None:
    value = _value(reader, node, what)
    return reader.text(node, what) if isinstance(value, str) else value


_OPERANDS: Mapping[str, Callable[[PlanReader, Node, str], Value | tuple[Value, ...] | None]] = {
    "equals": _value,
    "is_not": _value,
    "one_of": _scalars,
    "at_least": _bound,
    "at_most": _bound,
    "above": _bound,
    "below": _bound,
    "exists": PlanReader.boolean,
    "contains": _part,
    "starts_with": PlanReader.text,
}
