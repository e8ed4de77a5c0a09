"""What people decide about customers by hand: who goes with whom, what asks first, and how each is taken back."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport import cli
from rapport.commands import identity
from rapport.customers.naming import Naming

ANN, TABLET, MAIL, PHONE, DEVICE = (
    "user_id:ann",
    "anonymous_id:tablet",
    "email:ann@x.example",
    "phone:+49301234567",
    "device_id:d1",
)


def call(type_: str, number: int, **fields: Any) -> dict[str, Any]:
    return {"type": type_, "messageId": f"m{number}", "timestamp": f"2026-03-02T10:{number:02}:00Z", **fields}


HISTORY = [
    call("identify", 1, userId="ann", traits={"email": "ann@x.example"}),
    call("identify", 2, anonymousId="tablet", traits={"email": "ann@x.example"}),
    call("identify", 3, anonymousId="tablet", traits={"phone": "+49 30 1234567"}),
    call("page", 4, userId="ann", context={"device": {"id": "d1"}}),
    call("page", 5, userId="bob"),
]
"""The tablet is Bob's, but somebody once typed Ann's address into it. The phone number is his, too."""


class Desk:
    """A data folder and what is asked of it."""

    def __init__(self, rapport: Any, data: Path) -> None:
        self._rapport = rapport
        self._data = data

    def __call__(self, *command: str) -> Any:
        return self._rapport(*command, "--data", self._data)

    def json(self, *command: str) -> Any:
        ended = self("identity", *command, "--json")
        assert ended.code == 0, ended.err
        return ended.json

    def people(self) -> set[tuple[str, ...]]:
        """Who is one, by the published tables."""
        sql = (
            "SELECT list_sort(list(identifier_type || ':' || identifier_value)) AS keys FROM mart.bridge_identity"
            " GROUP BY profile_id"
        )
        return {tuple(row["keys"]) for row in self("query", sql, "--json").json}


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """The data folder of `HISTORY`, for copies."""
    folder = tmp_path_factory.mktemp("history")
    (folder / "history.ndjson").write_bytes(b"\n".join(map(orjson.dumps, HISTORY)))
    assert cli.main(["replay", str(folder / "history.ndjson"), "--data", str(folder / "data")]) == 0
    return folder / "data"


@pytest.fixture
def desk(rapport, history, tmp_path):
    return Desk(rapport, shutil.copytree(history, tmp_path / "data"))


WHOLE = {(TABLET, DEVICE, MAIL, PHONE, ANN), ("user_id:bob",)}
CUT = {(DEVICE, MAIL, ANN), (TABLET, PHONE), ("user_id:bob",)}


# --- split ------------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_both_sides_and_where_each_was_named_and_changes_nothing(desk):
    told = desk.json("split", ANN, TABLET, "--dry-run")
    assert {each["identifier"]: each["why"] for each in told["a"]} == {
        ANN: "asked for",
        DEVICE: "named with this side only",
        MAIL: "stays, named with both sides or with none",
    }
    assert told["b"] == [
        {
            "identifier": TABLET,
            "named_with": {MAIL: 1, PHONE: 1},
            "sources": ["history.ndjson"],
            "newest_at": "2026-03-02T10:03:00Z",
            "why": "asked for",
        },
        {
            "identifier": PHONE,
            "named_with": {TABLET: 1},
            "sources": ["history.ndjson"],
            "newest_at": "2026-03-02T10:03:00Z",
            "why": "named with this side only",
        },
    ]
    shown = desk("identity", "split", ANN, TABLET, "--dry-run")
    assert "Nothing was changed" in shown.err
    for expected in ("Side a", "Side b", PHONE, "history.ndjson", "2026-03-02 10:03"):
        assert expected in shown.text
    assert desk.people() == WHOLE
    assert not [each for each in desk.json("log") if each["kind"] == "split"]


@pytest.mark.parametrize(("a", "b"), [(ANN, TABLET), (TABLET, ANN), (ANN, PHONE)])
def test_whoever_was_named_with_one_side_only_goes_with_it(desk, a, b):
    planned = desk.json("split", a, b, "--dry-run")
    done = desk.json("split", a, b)
    assert desk.people() == CUT
    for side in ("a", "b"):
        assert {each["identifier"] for each in planned[side]} == set(done[side]["identifiers"])


def test_what_is_said_of_a_side_counts_before_what_was_named(desk):
    desk.json("split", ANN, TABLET, "--with-a", PHONE, "--with-b", MAIL)
    assert desk.people() == {(DEVICE, PHONE, ANN), (TABLET, MAIL), ("user_id:bob",)}


def test_an_alias_and_a_merge_by_hand_count_as_named(rapport, ndjson, tmp_path):
    events = [
        call("page", 1, anonymousId="old"),
        call("alias", 2, userId="ann", previousId="old"),
        call("identify", 3, userId="ann", traits={"phone": "+49 30 1234567"}),
        call("page", 4, userId="zoe"),
    ]
    assert rapport("replay", ndjson("a.ndjson", *events), "--data", tmp_path / "d").code == 0
    desk = Desk(rapport, tmp_path / "d")
    desk.json("merge", "user_id:zoe", PHONE)
    desk.json("split", ANN, PHONE)
    assert desk.people() == {("anonymous_id:old", ANN), (PHONE, "user_id:zoe")}


def test_a_split_of_two_who_are_not_one_asks_first(desk, monkeypatch):
    ended = desk("identity", "split", ANN, "user_id:bob")
    assert (ended.code, ended.out) == (2, b"")
    assert ended.err == (
        "rapport: user_id:ann and user_id:bob are two customers already. A split says that nothing may ever join them:"
        " add --yes if you mean that.\n"
    )
    answers = iter((False, True))
    monkeypatch.setattr(identity.sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(identity.typer, "confirm", lambda *_, **__: next(answers))
    assert desk("identity", "split", ANN, "user_id:bob").code == 1
    assert "split" not in {each["kind"] for each in desk.json("log")}
    assert desk("identity", "split", ANN, "user_id:bob").code == 0
    assert [each["kind"] for each in desk.json("log", "user_id:bob")] == ["split"]


def test_yes_answers_before_it_is_asked(desk):
    assert desk("identity", "split", ANN, "user_id:bob", "--yes").code == 0
    assert desk("identity", "split", ANN, "user_id:bob").code == 0  # it has been said before
    assert desk.json("explain", ANN, "user_id:bob")["declared_apart"] is True
    assert desk.people() == WHOLE


@pytest.mark.parametrize("command", ["split", "unsplit", "merge"])
def test_who_is_not_there_is_named(desk, command):
    ended = desk("identity", command, ANN, "user_id:nobody")
    assert (ended.code, "nobody has user_id 'nobody'" in ended.err) == (1, True)


@pytest.mark.parametrize("key", ["email:ANN@x.example", "email: Ann@X.Example\u200b"])
def test_identifiers_are_found_as_people_write_them(desk, key):
    desk.json("split", key, "phone:+49 30 123 45 67")
    assert desk.people() == {(TABLET, DEVICE, MAIL, ANN), (PHONE,), ("user_id:bob",)}
    desk.json("unsplit", "phone:+49 30 123 45 67", key)
    assert desk.people() == WHOLE
    assert desk.json("quarantine", key)["people"][0]["identifiers"] == [MAIL]


# --- unsplit and merge ------------------------------------------------------------------------------------------------


def test_an_unsplit_takes_a_split_back(desk):
    desk.json("split", ANN, TABLET)
    (whole,) = desk.json("unsplit", TABLET, ANN)["people"]
    assert (set(whole["identifiers"]), whole["event_count"]) == ({TABLET, DEVICE, MAIL, PHONE, ANN}, 4)
    assert desk.people() == WHOLE
    told = desk.json("explain", ANN, TABLET)
    assert (told["same"], told["declared_apart"]) == (True, False)
    assert [each["kind"] for each in desk.json("log", ANN)][:3] == ["merge", "unsplit", "split"]
    assert len(desk.json("unsplit", ANN, TABLET)["people"]) == 1
    assert [each["kind"] for each in desk.json("log", ANN)][:3] == ["merge", "unsplit", "split"]


def test_an_unsplit_of_strangers_says_that_nothing_has_joined_them(desk):
    desk("identity", "split", ANN, "user_id:bob", "--yes")
    assert len(desk.json("unsplit", ANN, "user_id:bob")["people"]) == 2
    shown = desk("identity", "explain", ANN, "user_id:bob").text
    assert "a split was taken back, and nothing has joined them since" in shown


def test_a_merge_makes_one_of_two_users_until_they_are_split(desk):
    (one,) = desk.json("merge", ANN, "user_id:bob")["people"]
    assert one["event_count"] == 5
    assert desk.json("merge", "user_id:bob", ANN)["people"] == [one]
    told = desk.json("explain", TABLET, "user_id:bob")
    assert [each["reason"] for each in told["links"]][-1] == "requested"
    desk.json("split", ANN, "user_id:bob")
    ended = desk("identity", "merge", ANN, "user_id:bob")
    assert (ended.code, f"rapport identity unsplit {ANN} user_id:bob takes it back" in ended.err) == (2, True)


# --- quarantine -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "apart"),
    [
        (MAIL, {(MAIL,), (DEVICE, ANN), (TABLET, PHONE), ("user_id:bob",)}),
        (ANN, {(ANN,), (DEVICE,), (TABLET, MAIL, PHONE), ("user_id:bob",)}),
        (TABLET, {(TABLET,), (PHONE,), (DEVICE, MAIL, ANN), ("user_id:bob",)}),
        (PHONE, {(PHONE,), (TABLET, DEVICE, MAIL, ANN), ("user_id:bob",)}),
        ("user_id:bob", WHOLE),
    ],
)
def test_a_quarantine_leaves_the_components_of_what_was_named_and_a_release_restores_them(desk, key, apart):
    people = desk.json("quarantine", key)["people"]
    assert desk.people() == apart
    assert people[0]["identifiers"] == [key]
    assert "in quarantine" in desk("identity", "explain", key).text
    assert desk.json("explain", key)["quarantined"] == [key]
    desk.json("quarantine", key)
    assert desk.people() == apart
    desk.json("release", key)
    assert desk.people() == WHOLE
    assert desk.json("explain", key)["quarantined"] == []
    assert sum(each["kind"] == "quarantine" for each in desk.json("log", key)) == 1


def test_nothing_joins_through_a_quarantine(desk, ndjson):
    desk.json("quarantine", MAIL)
    ended = desk("identity", "merge", MAIL, ANN)
    assert (ended.code, f"{MAIL} is in quarantine" in ended.err) == (2, True)
    later = [
        {**each, "messageId": f"again-{each['messageId']}", "timestamp": "2026-04-01T10:00:00Z"} for each in HISTORY
    ]
    desk("replay", str(ndjson("later.ndjson", *later)))
    assert desk.people() == {(MAIL,), (DEVICE, ANN), (TABLET, PHONE), ("user_id:bob",)}
    told = desk.json("explain", MAIL, ANN)
    assert "quarantined" in {each["reason"] for each in told["against"]}
    assert "what joined them is in quarantine" in desk("identity", "explain", ANN, TABLET).text


def test_explain_names_what_joins_two_where_the_first_link_is_in_quarantine(rapport, ndjson, tmp_path):
    """The decisions that made them one go through the address; an event named both as well."""
    events = [
        call("identify", 1, anonymousId="a", traits={"email": "ann@x.example"}),
        call("identify", 2, anonymousId="b", traits={"email": "ann@x.example"}),
        call("page", 3, anonymousId="a", context={"device": {"id": "d1"}}),
        call("page", 4, anonymousId="b", context={"device": {"id": "d1"}}),
    ]
    assert rapport("replay", ndjson("a.ndjson", *events), "--data", tmp_path / "d").code == 0
    desk = Desk(rapport, tmp_path / "d")
    desk.json("quarantine", MAIL)
    told = desk.json("explain", "anonymous_id:a", "anonymous_id:b")
    assert told["same"] is True
    assert [{step["a"], step["b"]} for step in told["links"]] == [
        {"anonymous_id:a", DEVICE},
        {"anonymous_id:b", DEVICE},
    ]
    assert "a.ndjson" in {step["source"] for step in told["links"]}
    assert desk("identity", "explain", "anonymous_id:a", "anonymous_id:b").code == 0


def test_what_is_published_must_show_all_before_sides_are_told(desk, tmp_path):
    (tmp_path / "data" / "rapport.duckdb").unlink()
    for command in (("split", ANN, TABLET), ("quarantine", MAIL)):
        ended = desk("identity", *command)
        assert (ended.code, "rapport publish" in ended.err) == (1, True)
    assert desk("identity", "split", ANN, TABLET, "--with-a", MAIL, "--with-a", DEVICE, "--with-b", PHONE).code == 0
    assert desk.people() == CUT


# --- naming -----------------------------------------------------------------------------------------------------------

NAMED = st.lists(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=3, unique=True), max_size=12)


def naming(named: list[list[str]]) -> Naming:
    return Naming({"keys": keys, "source": "s", "times": 1, "newest_at": ""} for keys in named)


@given(NAMED, st.sampled_from("abcdefg"))
def test_groups_are_the_connected_components_without_one(named, key):
    groups = naming(named).groups("abcdefg", key)
    assert sorted([each for group in groups for each in group] + [key]) == list("abcdefg")
    found = {each: {each} for each in "abcdefg"}
    for keys in [[each for each in keys if each != key] for keys in named]:
        union = set().union(*(found[each] for each in keys)) if keys else set()
        found.update(dict.fromkeys(union, union))
    assert {frozenset(group) for group in groups} == {frozenset(found[each]) for each in "abcdefg" if each != key}


@given(NAMED)
def test_sides_never_share_and_do_not_depend_on_who_is_named_first(named):
    mine, theirs = naming(named).sides("abcdefg", "a", "b")
    assert "a" in mine
    assert "b" in theirs
    assert not mine & theirs
    assert naming(named).sides("gfedcba", "b", "a") == (theirs, mine)
    for key in set("abcdefg") - mine - theirs:
        together = {other for keys in named if key in keys for other in keys}
        assert bool(together & mine) == bool(together & theirs)


def test_a_number_is_found_as_the_plan_that_the_folder_had_last_reads_it(rapport, ndjson, tmp_path):
    plan, data = tmp_path / "plan", tmp_path / "data"
    plan.mkdir()
    (plan / "identity.yaml").write_text("default_region: DE\n")
    events = [
        call("identify", 1, userId="ann", traits={"phone": "030 1234567"}),
        call("identify", 2, anonymousId="tablet", traits={"phone": "030 1234567"}),
    ]
    assert rapport("replay", ndjson("a.ndjson", *events), "--plan", plan, "--data", data).code == 0
    desk = Desk(rapport, data)
    assert desk.json("explain", "phone:030 1234567")["people"][0]["identifier"] == PHONE
