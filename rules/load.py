"""Rule files to rules. All problems of all files come in one PlanError; nothing is guessed or skipped.

A file holds one rule or several, divided by `---`. Every key is in `rules.language.tables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rules.actions.read import actions
from rules.conditions.read import field, never_with, where
from rules.evaluator import RuleSet
from rules.language import tables
from rules.language.keys import Read, choice, name, read_keys, word
from rules.language.model import STATUSES, Rule, When, Window
from schemas.errors import Problem
from schemas.yaml.reader import PlanReader, raise_if_any
from schemas.yaml.strict import Mapping as MappingNode
from schemas.yaml.strict import Node, Scalar, load, shown


def load_rules(texts: Mapping[str, str | bytes]) -> RuleSet:
    """The rules of a plan: file name -> content. Raises PlanError with every problem of every file."""
    problems: list[Problem] = []
    rules: list[Rule] = []
    first_places: dict[str, Problem] = {}
    for file in sorted(texts):
        for node in load(texts[file], file, problems):
            stated = _stated_name(node)
            if stated is not None:
                here = Problem(file, stated.line, stated.column, "")
                first = first_places.setdefault(stated.source, here)
                if first is not here:
                    message = f"The rule `{shown(stated.source)}` is already in {first.file}:{first.line}; rename one."
                    PlanReader(file, problems).problem(stated, message)
            rule = _rule(file, node, stated, problems)
            if rule is not None:
                rules.append(rule)
    raise_if_any(problems)
    return RuleSet(rules)


def _stated_name(node: Node) -> Scalar | None:
    value = node.entries["rule"][1] if isinstance(node, MappingNode) and "rule" in node.entries else None
    return value if isinstance(value, Scalar) else None


def _rule(file: str, node: Node, stated: Scalar | None, problems: list[Problem]) -> Rule | None:
    before = len(problems)
    reader = PlanReader(file, problems, f"rule `{shown(stated.source)}`" if stated else "")
    values = read_keys(reader, node, "a rule", tables.RULE, _RULE, tables.LATER_RULE)
    if len(problems) > before:
        return None
    return Rule(
        name=values["rule"],
        title=values.get("title", values["rule"]),
        owner=values["owner"],
        status=values["status"],
        purpose=values["purpose"],
        when=values["when"],
        then=values["then"],
        file=file,
        line=node.line,
    )


def _when(reader: PlanReader, node: Node, what: str) -> When | None:
    found = read_keys(reader, node, what, tables.WHEN, _WHEN, tables.LATER_WHEN)
    _check_together(reader, node, found)
    _check_fields(reader, node, found)
    if not found.get("event"):
        return None
    return When(found["event"], found.get("where"), _window(found), found.get("key"))


def _check_together(reader: PlanReader, node: Node, found: Mapping[str, Any]) -> None:
    """Keys that need or exclude each other."""
    places = {key: place for key, (place, _) in node.entries.items()} if isinstance(node, MappingNode) else {}
    if "not_followed_by" not in found:
        for key in found.keys() & {"within", "same", "restart_on"}:
            reader.problem(places[key], f"`{key}` needs `not_followed_by`: the event that is waited for.")
        return
    if "within" not in found:
        message = "`not_followed_by` needs `within`: how long to wait, like `within: 3h`."
        reader.problem(places["not_followed_by"], message)
    if "same" in found and "same" in (found["not_followed_by"] or {}):
        reader.problem(places["same"], "`same` is in `not_followed_by`, too; keep one.")


def _check_fields(reader: PlanReader, node: Node, found: Mapping[str, Any]) -> None:
    """An event without a value for `key` or `same` cannot be used, so no `where` may ask for its absence."""
    own, awaited = found.get("where"), found.get("not_followed_by") or {}
    key, same = found.get("key"), awaited.get("same", found.get("same"))
    needed = (("key", key, own), ("same", same, own), ("same", same, awaited.get("where")))
    for what, path, condition in needed:
        if path is not None and never_with(condition, path):
            message = (
                f"`{what}` needs a value of `{path}`, and `where` takes only events without one; change one of them."
            )
            reader.problem(_place(node, what), message)


def _place(node: Node, name: str) -> Node:
    """Where a key's value stands: in `when`, else in its `not_followed_by`."""
    entries = node.entries if isinstance(node, MappingNode) else {}
    return entries[name][1] if name in entries else _place(entries["not_followed_by"][1], name)


def _window(found: Mapping[str, Any]) -> Window | None:
    awaited, within = found.get("not_followed_by"), found.get("within")
    if not awaited or not awaited.get("event") or within is None:
        return None
    same = awaited.get("same", found.get("same"))
    return Window(awaited["event"], awaited.get("where"), within, same, found.get("restart_on"))


def _not_followed_by(reader: PlanReader, node: Node, what: str) -> dict[str, Any]:
    return read_keys(reader, node, what, tables.NOT_FOLLOWED_BY, _NOT_FOLLOWED_BY)


def _within(reader: PlanReader, node: Node, what: str) -> int | None:
    return reader.duration(node, what, tables.WITHIN_SHORTEST, tables.WITHIN_LONGEST)


_RULE: Mapping[str, Read] = {
    "rule": name,
    "title": PlanReader.text,
    "owner": PlanReader.text,
    "status": choice(STATUSES),
    "purpose": word,
    "when": _when,
    "then": actions,
}
_WHEN: Mapping[str, Read] = {
    "event": PlanReader.text,
    "where": where,
    "not_followed_by": _not_followed_by,
    "within": _within,
    "same": field,
    "restart_on": PlanReader.text,
    "key": field,
}
_NOT_FOLLOWED_BY: Mapping[str, Read] = {"event": PlanReader.text, "where": where, "same": field}
