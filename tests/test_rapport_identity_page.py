"""docs/identity.md is run: what each setting does to the two people of the page, and what people decide by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from profiles.settings import _KEYS, _TYPE_KEYS
from rapport_shell import ROOT

PAGE = (ROOT / "docs" / "identity.md").read_text(encoding="utf-8")
(EVENTS,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
CHOICES = re.findall(r"```yaml\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
TRANSCRIPT = re.findall(r"^\$ (.*)\n((?:(?!\$ |```).*\n)*)", PAGE, re.MULTILINE)
PEOPLE = (
    "SELECT string_agg(identifier_type || ':' || identifier_value, ', '"
    " ORDER BY identifier_type DESC, identifier_value) AS customer"
    " FROM mart.bridge_identity GROUP BY profile_id ORDER BY customer"
)


@pytest.fixture
def world(rapport, tmp_path, monkeypatch):
    """The page's events taken in under an identity.yaml; asks who is who."""
    monkeypatch.chdir(tmp_path)
    Path("people.ndjson").write_text(EVENTS, encoding="utf-8")
    Path("plan").mkdir()

    def replay(text: str, *files: str) -> list[str]:
        Path("plan/identity.yaml").write_text(text, encoding="utf-8")
        ended = rapport("replay", *(files or ("people.ndjson",)), "--plan", "plan")
        assert ended.code == 0, ended.err
        return [row["customer"] for row in rapport("query", PEOPLE, "--json").json]

    return replay


@pytest.mark.parametrize(("text", "people"), CHOICES, ids=[text.split("\n")[0] for text, _ in CHOICES])
def test_each_choice_does_to_the_two_people_what_the_page_says(world, text, people):
    assert world(text) == people.splitlines()


def test_the_page_has_every_key_and_each_but_the_last_is_shown_at_work():
    shown = {name for text, _ in CHOICES for name in re.findall(r"[a-z_]+(?=:)", text)}
    for name in (*_KEYS, *_TYPE_KEYS):
        assert f"`{name}`" in PAGE or name == "types", name
    assert {*_KEYS, *_TYPE_KEYS} - shown == {"remember_message_ids", "normalize", "suspect_above"}


def test_decisions_by_hand_do_what_the_page_says(world, rapport):
    world("")
    assert len(TRANSCRIPT) >= 4
    for command, shown in TRANSCRIPT:
        ended = rapport(*command.split()[1:])
        assert ended.code == 0, ended.err
        assert [line.rstrip() for line in ended.text.splitlines()] == shown.splitlines(), command


@pytest.mark.parametrize(
    ("lax", "strict"),
    [
        ("types: {user_id: {unique: false, cap: 5}}", ""),
        ("trust_alias: true", ""),
        ("", "types: {email: {cap: 1, block: [family@x.example]}}"),
        ("", "block: [tablet]"),
        ("", "priority: [email]"),
    ],
)
def test_another_file_takes_nobody_apart(world, lax, strict):
    before = world(lax)
    Path("later.ndjson").write_text(EVENTS.replace('"messageId": "', '"messageId": "later-'), encoding="utf-8")
    assert world(strict, "later.ndjson") == before
    assert YAML(typ="safe").load(strict) != YAML(typ="safe").load(lax)
