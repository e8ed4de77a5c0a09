"""What a rule does, from its file. Each action is one mapping whose first key names its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rules.language import tables
from rules.language.keys import Read, choice, read_keys, word
from rules.language.model import Action
from schemas.yaml.reader import PlanReader, listed, suggestion
from schemas.yaml.strict import Node, shown, value_of
from schemas.yaml.strict import Sequence as SequenceNode

_MESSAGE_LIMIT = 4_000


def actions(reader: PlanReader, node: Node, what: str) -> tuple[Action, ...]:
    items = reader.items(node, what) or ()
    if len(items) > tables.ACTIONS_LIMIT:
        reader.problem(node, f"{what} has {len(items)} actions; {tables.ACTIONS_LIMIT} are the most.")
    read = [_action(reader, item) for item in items]
    return tuple(action for action in read if action is not None)


def _action(reader: PlanReader, node: Node) -> Action | None:
    entries = reader.entries(node, "an action")
    if entries is None:
        return None
    kinds = [name for name in entries if name in tables.ACTIONS]
    if len(kinds) == 1:
        (kind,) = kinds
        found = read_keys(reader, node, f"the action `{kind}`", tables.ACTIONS[kind], _ACTIONS[kind])
        return Action(kind, _payload(kind, found))
    if kinds:
        reader.problem(
            node, f"{listed(f'`{kind}`' for kind in kinds)} are several actions; begin each with its own `-`."
        )
        return None
    first = next(iter(entries), "")
    if first in tables.LATER_ACTIONS:
        reader.problem(node, f"This version does not know the action `{first}` yet; remove it.")
    else:
        reader.problem(node, f"`{shown(first)}` is not an action. {suggestion(first, tables.ACTIONS)}")
    return None


def _payload(kind: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into a trigger: the kind's own key under a name that says what it holds."""
    rest = {name: value for name, value in found.items() if name != kind}
    if kind == "send":
        return {"channel": found.get(kind), **rest}
    if kind == "alert":
        return {"channels": found.get(kind), "severity": tables.SEVERITY, **rest}
    return {"name": found.get(kind), "body": {}, **rest}


def _channels(reader: PlanReader, node: Node, what: str) -> list[str]:
    items = reader.items(node, what) or () if isinstance(node, SequenceNode) else (node,)
    read = [reader.choice(item, what, tables.ALERT_CHANNELS) for item in items]
    return [channel for channel in read if channel is not None]


def _message(reader: PlanReader, node: Node, what: str) -> str | None:
    return reader.text(node, what, _MESSAGE_LIMIT)


def _body(reader: PlanReader, node: Node, what: str) -> Any:
    return None if reader.entries(node, what) is None else value_of(node)


_ACTIONS: Mapping[str, Mapping[str, Read]] = {
    "send": {"send": choice(tables.SEND_CHANNELS), "template": word},
    "alert": {"alert": _channels, "to": PlanReader.text, "message": _message, "severity": choice(tables.SEVERITIES)},
    "webhook": {"webhook": word, "body": _body},
}
