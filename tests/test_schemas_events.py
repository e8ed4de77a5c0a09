"""The vocabulary table, and the page that documents it, the codes and the rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.accept import event as accept
from profiles import identifiers
from schemas.events import Channel
from schemas.vocabulary import TYPES, VOCABULARY, properties, tables

PAGE = (Path(__file__).parents[1] / "docs" / "events.md").read_text()


def test_the_page_ends_with_the_vocabulary_and_the_codes():
    assert PAGE.endswith(tables())


@pytest.mark.parametrize("module", [accept, identifiers])
def test_the_page_holds_the_tables_of_rules(module):
    rows = [line for line in module.__doc__.splitlines() if line.startswith("|")]
    assert len(rows) > 5
    assert "\n".join(rows) + "\n" in PAGE


def test_the_page_names_every_channel():
    assert ", ".join(f"`{channel}`" for channel in Channel.__args__) in PAGE


def test_every_word_is_unique_and_every_property_has_a_known_type():
    words = [word for area in VOCABULARY.values() for word in area]
    assert len({word.name for word in words}) == len(words)
    for word in words:
        assert properties(word)
        assert set(properties(word).values()) <= TYPES
        assert len(properties(word)) == word.properties.count(",") + 1
