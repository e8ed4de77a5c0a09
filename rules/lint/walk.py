"""A rule file, walked through for doubts. It knows the shape of a rule that loads, and judges nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from rules.actions.placeholders import PLACEHOLDER
from rules.conditions.read import path_of, where
from rules.language.model import Path
from rules.language.tables import GROUPS
from rules.lint.names import CONTEXT, NOTHING, TRACK, WORDS, Seen, has_unseen, meant
from rules.lint.values import TRUTH, of_kind, of_writing
from schemas.errors import Problem
from schemas.events import ID_FIELDS, TIME_FIELDS
from schemas.yaml.reader import PlanReader
from schemas.yaml.strict import Mapping as MappingNode
from schemas.yaml.strict import Node, Scalar, load, shown
from schemas.yaml.strict import Sequence as SequenceNode

_PLACEHOLDER = re.compile(
    r"\{\{.*?\}\}|\{%.*?%\}|\$?\{[^\W\d][\w. -]*\}|\*\|.*?\|\*|%%\w+%%|%\(\w+\)s|%[A-Za-z]\w*%|<%.*?%>|\[\[.*?\]\]",
    re.DOTALL,
)
OWN_TRAITS = ("identify", "group")
"""Calls whose traits are what they say themselves."""


class Lint(NamedTuple):
    """One doubt about a plan. `line` and `column` count from 1; 0 means the whole file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}" if self.line else f"{self.file}: {self.message}"


def lints(texts: Mapping[str, str | bytes], seen: Seen = NOTHING) -> list[Lint]:
    """All doubts about rule files that load: file name -> content."""
    found: list[Lint] = []
    for file in sorted(texts):
        for node in load(texts[file], file, []):
            found += _Rule(file, node, seen).lints()
    return sorted(found)


class _Rule:
    """One rule of a file, walked through once."""

    def __init__(self, file: str, node: Node, seen: Seen) -> None:
        self._file = file
        self._seen = seen
        self._node = node
        self._found: list[Lint] = []

    def lints(self) -> list[Lint]:
        when = _under(self._node, "when")
        awaited = _under(when, "not_followed_by")
        event, other = _text(_under(when, "event")), _text(_under(awaited, "event"))
        for node in (_under(when, "event"), _under(awaited, "event"), _under(when, "restart_on")):
            self._event(node)
        self._where(_under(when, "where"), event)
        self._where(_under(awaited, "where"), other)
        self._key(_under(when, "key"), event)
        for same in (_under(when, "same"), _under(awaited, "same")):
            self._key(same, event)
            self._key(same, other)
        for action in _items(_under(self._node, "then")):
            for name in ("to", "message", "body"):
                self._placeholders(_under(action, name))
        return list(dict.fromkeys(self._found))

    def _doubt(self, node: Node | Problem, message: str) -> None:
        self._found.append(
            Lint(self._file, node.line, node.column, f"rule `{_text(_under(self._node, 'rule'))}`: {message}")
        )

    # --- names ------------------------------------------------------------------------------------------------------

    def _event(self, node: Node | None) -> None:
        name, known = _text(node), self._seen.known_events()
        if node is None or name in known:
            return
        if name == TRACK:
            self._doubt(node, "`track` is a kind of call; write the name of the event, like `Order Completed`.")
        elif has_unseen(name):
            self._doubt(node, f'"{name}" has spaces or unseen characters that count; {_instead(name, known)}.')
        elif other := meant(name, known):
            self._doubt(node, f"no event is known as `{shown(name)}`; did you mean `{other}`?")
        elif self._seen.place:
            self._doubt(node, f"`{shown(name)}` is neither in the vocabulary nor an event in {self._seen.place}.")

    def _field(self, node: Node | None, event: str) -> None:
        if node is None or not event:
            return
        text = _text(node)
        path = path_of(text)
        if path.root == "traits":
            if event not in OWN_TRAITS:
                self._doubt(
                    node,
                    f"`{path}` is looked up in what `{event}` itself carries; the customer's traits are not asked yet.",
                )
        elif any(has_unseen(step) for step in path.steps):
            instead = _instead(text, self._seen.known_fields(event))
            self._doubt(node, f'"{path}" has spaces or unseen characters that count; {instead}.')
        elif path.root == "context":
            name = path.steps[0]
            if name not in CONTEXT and (other := meant(name, CONTEXT)):
                self._doubt(node, f"no context is known to have `{shown(name)}`; did you mean `context.{other}`?")
        else:
            self._property(node, path.steps[0], event)

    def _key(self, node: Node | None, event: str) -> None:
        self._field(node, event)
        if node is not None and WORDS.get(event, {}).get(_text(node)) in ("list", "products"):
            self._doubt(
                node, f"`{_text(node)}` is a list, and an event with a list there cannot be used; name one value."
            )

    def _property(self, node: Node, name: str, event: str) -> None:
        known = self._seen.known_fields(event)
        if name in known:
            return
        if name in (*ID_FIELDS, *TIME_FIELDS):
            self._doubt(node, f"`{name}` is no property; conditions read properties, `context.` and `traits.` fields.")
        elif other := meant(name, known):
            self._doubt(node, f"`{event}` is not known to have `{shown(name)}`; did you mean `{other}`?")
        elif name == "channel":
            self._doubt(node, f"`{event}` is not known to have `channel`; did you mean `context.channel`?")
        elif event in self._seen.fields:
            self._doubt(node, f"neither the vocabulary nor any `{event}` in {self._seen.place} has `{shown(name)}`.")

    # --- conditions -------------------------------------------------------------------------------------------------

    def _where(self, node: Node | None, event: str) -> None:
        if not isinstance(node, MappingNode):
            return
        for name, (key, value) in node.entries.items():
            if name in GROUPS:
                for item in _items(value):
                    self._where(item, event)
                    if name != "all":
                        self._never(item, name)
            else:
                self._field(key, event)
                for operator, operand in _comparisons(value):
                    self._operand(path_of(name), operator, operand, event)

    def _never(self, item: Node, group: str) -> None:
        """Of several alternatives one that is never true does nothing, and so does one of what must not be true."""
        problems: list[Problem] = []
        where(PlanReader(self._file, problems), item, f"this item of `{group}`")
        for problem in problems[:1]:
            self._doubt(problem, problem.message)

    def _operand(self, path: Path, operator: str, node: Node, event: str) -> None:
        if isinstance(node, SequenceNode):
            words = [item for item in node.items if isinstance(item, Scalar) and isinstance(item.value, str)]
            listed = any(item.source.lower() not in TRUTH for item in words)
            for item in node.items:
                if not (listed and isinstance(item, Scalar) and item.source.lower() in TRUTH):  # Norway among countries
                    self._operand(path, operator, item, event)
        elif isinstance(node, Scalar):
            kind = (
                WORDS.get(event, {}).get(path.steps[0], "")
                if len(path.steps) == 1 and path.root == "properties"
                else ""
            )
            for message in (*of_writing(node, operator), *of_kind(node, operator, path, kind)):
                self._doubt(node, message)
                return

    # --- actions ----------------------------------------------------------------------------------------------------

    def _placeholders(self, node: Node | None) -> None:
        if isinstance(node, MappingNode):
            for _, value in node.entries.values():
                self._placeholders(value)
        elif isinstance(node, SequenceNode):
            for item in node.items:
                self._placeholders(item)
        elif isinstance(node, Scalar) and (found := _PLACEHOLDER.search(PLACEHOLDER.sub("", node.source))):
            told = "write {{ profile.TRAIT }} or {{ event.FIELD }}: a trigger carries the values of these."
            self._doubt(node, f"nothing fills `{shown(found[0])}`; {told}")


def _comparisons(value: Node) -> Iterator[tuple[str, Node]]:
    if isinstance(value, MappingNode):
        yield from ((operator, operand) for operator, (_, operand) in value.entries.items())
    else:
        yield ("equals" if isinstance(value, Scalar) else "one_of"), value


def _instead(name: str, known: Collection[str]) -> str:
    other = meant(name, known)
    return f"write `{other}`" if other else "remove them"


def _under(node: Node | None, name: str) -> Node | None:
    return node.entries[name][1] if isinstance(node, MappingNode) and name in node.entries else None


def _items(node: Node | None) -> tuple[Node, ...]:
    return node.items if isinstance(node, SequenceNode) else ()


def _text(node: Node | None) -> str:
    return node.source if isinstance(node, Scalar) else ""
