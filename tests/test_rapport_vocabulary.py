"""One name per thing: demo, example plan, templates and pages speak the vocabulary of docs/events.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import orjson
import pytest
from ruamel.yaml import YAML

from rapport.bench import events as bench_events
from rapport.demo.shop import Month
from rapport_shell import ROOT
from schemas.events import EventType
from schemas.vocabulary import VOCABULARY, properties

WORDS = {word.name: word for area in VOCABULARY.values() for word in area}
CALLS = set(get_args(EventType))
PLANS = (*(ROOT / "examples").rglob("*.yaml"), *(ROOT / "rapport" / "plan" / "templates").glob("*.yaml"))
NAMING = ("event", "restart_on", "not_followed_by", "followed_by")
"""Keys of a plan's files whose text is the name of an event."""
IS = {"text": str, "number": (int, float), "money": (int, float, str), "boolean": bool, "list": list, "products": list}


def calls() -> Iterator[dict[str, Any]]:
    """Every call of a demo's month that can be read."""
    for line in Month(1).lines():
        try:
            call = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if call["type"] == "track":
            yield call


def named(node: Any, key: str = "") -> Iterator[str]:
    """The names of events in a plan's file."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from named(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from named(value, key)
    elif isinstance(node, str) and key in NAMING:
        yield node


def test_the_demo_names_its_events_and_what_they_say_as_the_vocabulary_does() -> None:
    for call in calls():
        assert call["event"] in WORDS
        kinds = properties(WORDS[call["event"]])
        for name, value in call.get("properties", {}).items():
            assert name not in kinds or isinstance(value, IS[kinds[name]]), (call["event"], name)


@pytest.mark.parametrize("file", PLANS, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_plan_that_we_give_names_events_as_the_vocabulary_does(file: Any) -> None:
    found = {name for document in YAML(typ="safe", pure=True).load_all(file) for name in named(document)}
    assert found or file.name == "identity.yaml"
    assert found - CALLS <= WORDS.keys()


@pytest.mark.parametrize("page", ["README.md", "docs/events.md", "docs/cluster.md", "docs/design.md"])
def test_what_a_page_shows_is_named_as_the_vocabulary_does(page: str) -> None:
    assert set(re.findall(r'"event": "(.+?)"', (ROOT / page).read_text(encoding="utf-8"))) <= WORDS.keys()


def test_an_import_that_names_its_events_itself_names_them_as_the_vocabulary_does() -> None:
    shown = (ROOT / "examples" / "online_retail.sql").read_text(encoding="utf-8")
    (choice,) = re.findall(r"if\(cancelled, '(.+?)', '(.+?)'\) AS event", shown)
    assert set(choice) <= WORDS.keys()


def test_the_benchmark_names_events_as_the_vocabulary_does() -> None:
    assert {name for name, _ in bench_events._MIX} - CALLS <= WORDS.keys()
