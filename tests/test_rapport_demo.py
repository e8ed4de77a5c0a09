"""The demo: one story a seed, nobody's data touched, and commands that work."""

from __future__ import annotations

import shlex

import orjson
import pytest

from rapport.demo import tour as demo_module
from rapport.demo.shop import Month


@pytest.fixture(scope="module")
def lines():
    return list(Month(1).lines())


def test_a_seed_always_tells_the_same_story(lines):
    assert list(Month(1).lines()) == lines
    assert list(Month(2).lines()) != lines
    assert 12_000 < len(lines) < 18_000


def test_the_month_holds_what_a_platform_has_to_cope_with(lines):
    events = []
    for line in lines:
        try:
            events.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            events.append({})
    assert {} in events
    channels = {(event.get("context") or {}).get("channel") for event in events}
    assert {"web", "mobile", "email", "chat", "social", "store", "phone", "support", "survey", "server"} <= channels
    assert {"track", "identify", "page", "screen", "alias", "group"} <= {event.get("type") for event in events}
    ids = [event["messageId"] for event in events if "messageId" in event]
    assert len(ids) - len(set(ids)) == 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A demo that has run."""
    data = tmp_path_factory.mktemp("demo") / "demo-data"
    demo_module.demo(data, None, 1, lambda done, total, note="": None)
    return data


def test_a_second_demo_shows_the_first_one_again(rapport, folder):
    ended = rapport("demo", "--data", folder, "--json")
    run = ended.json["run"]
    assert ended.code == 0
    assert run["read"] == run["applied"] + run["duplicate"] + run["rejected"]
    assert run["duplicate"] == 60
    assert run["rejected"] == 6
    assert run["merges"] > 1_000
    count = rapport("query", "SELECT count(*) AS n FROM fct_event", "--data", folder, "--json").json
    assert count == [{"n": run["applied"]}]


def test_its_story_crosses_channels_and_its_identity_work_shows(rapport, folder):
    shown = rapport("demo", "--data", folder, "--json").json
    assert len(shown["story"]["channels"]) >= 3
    assert len(shown["story"]["identifiers"]) >= 5
    assert shown["story"]["triggers"]
    assert {"merge", "refuse", "drop"} <= {each["kind"] for each in shown["identity"]}
    assert len([rule for rule in shown["rules"] if rule["fired"]]) >= 7


def test_each_command_it_suggests_works(rapport, folder):
    commands = rapport("demo", "--data", folder, "--json").json["commands"]
    assert [shlex.split(command)[-2:] for command in commands] == 3 * [["--data", str(folder)]]
    for command in commands:
        arguments = shlex.split(command)
        first = next(place for place, word in enumerate(arguments) if word in ("profile", "identity", "query"))
        ended = rapport(*arguments[first:])
        assert ended.code == 0, command
        assert ended.out


def test_another_seed_or_other_data_is_never_touched(rapport, folder, tmp_path):
    assert rapport("demo", "--data", folder, "--seed", "2").code == 2
    (tmp_path / "mine.txt").write_text("mine")
    ended = rapport("demo", "--data", tmp_path)
    assert ended.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
