"""Fields and conditions of rule files. `rules.language.tables` says which operator takes what; here it is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rules.conditions.operators import is_numeric
from rules.language import tables
from rules.language.model import Compare, Condition, Group, Path, Value
from schemas.yaml.reader import PlanReader
from schemas.yaml.strict import Node, Scalar, shown
from schemas.yaml.strict import Sequence as SequenceNode

_ROOTS = ("properties", "context", "traits")
_STEPS_LIMIT = 10


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
    if rest and first in _ROOTS:
        return Path(first, tuple(rest))  # type: ignore[arg-type]
    return Path("properties", tuple(steps))


def where(reader: PlanReader, node: Node, what: str) -> Condition | None:
    entries = reader.entries(node, what)
    if entries is None:
        return None
    conditions: list[Condition] = []
    for name, (key, value) in entries.items():
        if name in tables.GROUPS:
            parts = [where(reader, item, f"an item of {name}") for item in reader.items(value, name) or ()]
            conditions.append(Group(name, tuple(part for part in parts if part)))  # type: ignore[arg-type]
        elif (path := _path(reader, key, name)) is not None:
            conditions.extend(_comparisons(reader, path, value))
    if not entries:
        reader.problem(node, f"{what} is empty; fill it or leave it out.")
    return conditions[0] if len(conditions) == 1 else Group("all", tuple(conditions))


def _comparisons(reader: PlanReader, path: Path, node: Node) -> list[Compare]:
    if isinstance(node, Scalar):
        stated: dict[str, Node] = {"equals": node}
    elif isinstance(node, SequenceNode):
        stated = {"one_of": node}
    else:
        stated = reader.mapping(node, f"the condition on `{path}`", tables.OPERATORS) or {}
        if not node.entries:
            reader.problem(node, f"The condition on `{path}` is empty; write a value or an operator.")
    read = {name: _OPERANDS[name](reader, value, f"{name} of `{path}`") for name, value in stated.items()}
    return [Compare(path, name, operand) for name, operand in read.items() if operand is not None]


def _scalar(reader: PlanReader, node: Node, what: str) -> Value | None:
    if not isinstance(node, Scalar):
        reader.problem(node, f"{what} must be one value: text, a number, true or false.")
        return None
    if node.value is None:
        reader.problem(node, f"{what} has no value; to ask whether a field is there, write {{exists: true}} or false.")
    return node.value


def _scalars(reader: PlanReader, node: Node, what: str) -> tuple[Value, ...]:
    read = [_scalar(reader, item, f"an item of {what}") for item in reader.items(node, what) or ()]
    return tuple(value for value in read if value is not None)


def _bound(reader: PlanReader, node: Node, what: str) -> Value | None:
    value = _scalar(reader, node, what)
    if isinstance(value, bool):
        reader.problem(node, f"{what} cannot be true or false; it must be a number or text.")
        return None
    if isinstance(value, str) and is_numeric(value):
        reader.problem(node, f'{what} is the text "{value}"; remove the quotes to compare numbers.')
        return None
    return value


def _part(reader: PlanReader, node: Node, what: str) -> Value | None:
    value = _scalar(reader, node, what)
    return reader.text(node, what) if isinstance(value, str) else value


_OPERANDS: Mapping[str, Callable[[PlanReader, Node, str], Value | tuple[Value, ...] | None]] = {
    "equals": _scalar,
    "is_not": _scalar,
    "one_of": _scalars,
    "at_least": _bound,
    "at_most": _bound,
    "above": _bound,
    "below": _bound,
    "exists": PlanReader.boolean,
    "contains": _part,
    "starts_with": PlanReader.text,
}
