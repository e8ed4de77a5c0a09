"""The editor schema says what the parser says, as far as a schema can."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rules import load as loader
from rules.actions import read as actions
from rules.conditions import read as conditions
from rules.language import tables
from rules.language.editor_schema import schema
from schemas.yaml.strict import Node, Scalar, Sequence, load

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data" / "rules"
GOOD = [
    *sorted((ROOT / "examples" / "shop" / "rules").glob("*.yaml")),
    ROOT / "rapport" / "plan" / "templates" / "rule.yaml",
]
BEYOND_A_SCHEMA = {
    "duplicate-key", "duplicate-rule", "field-with-empty-step", "later-field", "duration-too-long", "number-in-quotes",
    "leading-zero", "infinity", "same-twice", "null-character", "anchor", "tag",
}  # fmt: skip
"""Mistakes of these fixtures are found by the parser alone."""


def plain(node: Node) -> Any:
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {name: plain(value) for name, (_, value) in node.entries.items()}


def documents(path: Path) -> list[Any]:
    return [plain(node) for node in load(path.read_bytes(), path.name, [])]


def test_every_key_of_the_language_is_read_by_the_parser_and_in_the_schema() -> None:
    pairs: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
        (tables.RULE, loader._RULE),
        (tables.WHEN, loader._WHEN),
        (tables.NOT_FOLLOWED_BY, loader._NOT_FOLLOWED_BY),
        (tables.OPERATORS, conditions._OPERANDS),
        *((tables.ACTIONS[kind], actions._ACTIONS[kind]) for kind in tables.ACTIONS),
    ]
    text = json.dumps(schema())
    for table, reads in pairs:
        assert set(table) == set(reads)
        assert all(f'"{name}": {{"description"' in text for name in table)
    assert not set(tables.RULE) & set(tables.LATER_RULE)
    assert not set(tables.WHEN) & set(tables.LATER_WHEN)
    assert not set(tables.ACTIONS) & set(tables.LATER_ACTIONS)


def test_references_of_the_schema_lead_somewhere() -> None:
    def refs(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else ())
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from refs(inner)

    whole = schema()
    assert {ref.removeprefix("#/$defs/") for ref in refs(whole)} == set(whole["$defs"])


def test_the_copy_beside_the_example_plan_is_current() -> None:
    """To renew it: `rapport init DIR` writes the current one."""
    assert json.loads((ROOT / "examples" / "shop" / "rule.schema.json").read_bytes()) == schema()


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_every_good_rule_satisfies_the_schema(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    validator = jsonschema.Draft202012Validator
    validator.check_schema(schema())
    found = documents(path)
    assert found
    for document in found:
        assert [error.message for error in validator(schema()).iter_errors(document)] == []


@pytest.mark.parametrize("path", sorted(DATA.glob("*.bad.yaml")), ids=lambda path: path.name.removesuffix(".bad.yaml"))
def test_a_bad_rule_breaks_the_schema_unless_only_the_parser_can_tell(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    satisfied = all(jsonschema.Draft202012Validator(schema()).is_valid(document) for document in documents(path))
    readable = bool(documents(path))
    name = path.name.removesuffix(".bad.yaml")
    assert not readable or satisfied is (name in BEYOND_A_SCHEMA)
