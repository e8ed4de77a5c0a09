"""The rule language as JSON Schema (2020-12), for editors. Built from `rules.language.tables`, never by hand."""

from __future__ import annotations

from typing import Any

from rules.language.tables import ACTIONS, GROUPS, NOT_FOLLOWED_BY, OPERATORS, RULE, WHEN, Keys

_SCALAR = {"type": ["string", "number", "boolean"]}


def schema() -> dict[str, Any]:
    """A JSON Schema that one rule (one YAML document) must satisfy. The parser checks more than a schema can say."""
    when = _object(WHEN) | {
        "dependentRequired": {
            "not_followed_by": ["within"],
            "within": ["not_followed_by"],
            "same": ["not_followed_by"],
            "restart_on": ["not_followed_by"],
        }
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Rapport rule",
        **_object(RULE),
        "$defs": {
            "when": when,
            "not_followed_by": _object(NOT_FOLLOWED_BY),
            "where": {
                "type": "object",
                "minProperties": 1,
                "properties": _properties(GROUPS),
                "additionalProperties": {"$ref": "#/$defs/condition"},
            },
            "condition": {
                "anyOf": [
                    _SCALAR,
                    {"type": "array", "minItems": 1, "items": _SCALAR},
                    {**_object(OPERATORS), "minProperties": 1},
                ]
            },
            "action": {"oneOf": [_object(keys) for keys in ACTIONS.values()]},
        },
    }


def _object(keys: Keys) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": _properties(keys),
        "required": [name for name, key in keys.items() if key.needed],
        "additionalProperties": False,
    }


def _properties(keys: Keys) -> dict[str, Any]:
    return {name: {"description": key.help, **key.schema} for name, key in keys.items()}
