"""Values in conditions that probably mean something else than they say. Each doubt is a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

from rules.language.model import Path
from rules.lint.names import has_unseen
from schemas.events import Channel
from schemas.yaml.reader import suggestion
from schemas.yaml.strict import Scalar, shown

CHANNELS = get_args(Channel)
EQUALITY = frozenset(("equals", "is_not", "one_of", "contains"))
BOUNDS = frozenset(("at_least", "at_most", "above", "below"))
TRUTH = {**dict.fromkeys(("yes", "on", "y"), "true"), **dict.fromkeys(("no", "off", "n"), "false")}
"""Words that older YAML read as true or false."""

_THOUSAND = re.compile(r"[-+]?[1-9][0-9]{0,2}\.[0-9]{2}0")
_AMOUNT = re.compile(r"[-+]?[0-9][0-9.,_ ]*([%\u2030]|k|m|mio|bn)|[0-9]+(:[0-9]+)+", re.IGNORECASE)
_OPERATOR = re.compile(r"[<>=\u2264\u2265]+ *[-+]?[0-9]")


def of_writing(node: Scalar, operator: str) -> Iterator[str]:
    """What a value is written like, and is not."""
    value, plain = node.value, not node.quoted
    if isinstance(value, float) and plain and _THOUSAND.fullmatch(node.source):
        yield f"`{node.source}` is the number {value:g}; write {node.source.replace('.', '')} if thousands are meant."
    if not isinstance(value, str):
        return
    word = value.strip().lower()
    if word in TRUTH and plain:
        yield f"`{value}` is text, not {TRUTH[word]}; write {TRUTH[word]}, or put quotes around it if text is meant."
    if word in ("true", "false"):
        yield f'"{value}" is text, which never equals {word}; write {word} without quotes.'
    if has_unseen(value):
        yield f'"{shown(value)}" has spaces or unseen characters that count; remove them.'
    if operator in EQUALITY and plain and _AMOUNT.fullmatch(value):
        yield f"`{value}` is text and equals no number; write a number, or put quotes around it if text is meant."
    if operator in EQUALITY and _OPERATOR.match(value):
        yield f"`{shown(value)}` is compared as text; write an operator, like {{at_least: 5}}."


def of_kind(node: Scalar, operator: str, path: Path, kind: str) -> Iterator[str]:
    """What a value is, and its field never is. `kind`: the field's type in the vocabulary, "" where that says none."""
    value = node.value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    equal = operator in EQUALITY - {"contains"}
    if str(path) == "context.channel" and equal and operator != "is_not" and value not in CHANNELS:
        yield f"no event has the channel `{shown(node.source)}`. {suggestion(node.source, CHANNELS)}"
    if kind in ("list", "products") and operator not in ("exists", "contains"):
        yield f"`{path}` is a list; ask what it contains, or whether it exists."
    if kind == "products" and operator == "contains":
        yield f"`{path}` is a list of objects, and `contains` does not look into them."
    if kind == "number" and equal and not number:
        yield f"`{path}` is a number, which never equals `{shown(node.source)}`; write a number."
    if kind in ("number", "money") and operator in BOUNDS and isinstance(value, str):
        yield f"`{path}` is a number, and `{shown(node.source)}` is compared as text; write a number."
    if kind == "text" and equal and not isinstance(value, str):
        yield f'`{path}` is text, which never equals {node.source}; put quotes around it: "{node.source}".'
    if kind == "boolean" and equal and not isinstance(value, bool):
        yield f"`{path}` is true or false, never `{shown(node.source)}`."
