"""The linker's decisions one by one: who wins, what is refused and why, what a split does and what it prevents."""

from __future__ import annotations

import pytest

from profiles.linker import Linker, negative_link
from profiles.settings import DEFAULT, IdentitySettings, TypeSettings
from schemas.messages import (
    Absorb,
    Admit,
    EndQuarantine,
    IdentityDecision,
    Link,
    MakeRoot,
    Merge,
    Order,
    Quarantine,
    Redirect,
    Release,
    Request,
    Split,
    Unsplit,
)
from stream.simulation.broker import Memory


class Desk:
    """A linker and its store."""

    def __init__(self, settings: IdentitySettings = DEFAULT) -> None:
        self.settings = settings
        self.store = Memory()
        self.linker = Linker(self.store, settings)

    def link(self, a: str, b: str) -> tuple[list[IdentityDecision], list[Order]]:
        return self.linker.decide(Link(a, b, "m1", 5))

    def split(self, a: tuple[str, ...], b: tuple[str, ...]) -> tuple[list[IdentityDecision], list[Order]]:
        return self.linker.decide(Split(a, b, 6))

    def ask(self, request: Request) -> list[tuple[str, str, str, str]]:
        """Kind, winner, loser and reason of what was decided; everything is stored and read anew before."""
        self.reopen()
        return [(each.kind, each.winner, each.loser, each.reason) for each in self.linker.decide(request)[0]]

    def reopen(self) -> None:
        """Commits and starts again from what was stored."""
        self.store.write(self.linker.changes())
        self.linker = Linker(self.store, self.settings)

    def people(self, *keys: str) -> set[tuple[str, ...]]:
        return {self.linker.person(key)[1] for key in keys}


def test_the_stronger_root_wins_whoever_asks() -> None:
    for a, b in (("user_id:1", "email:a"), ("email:a", "user_id:1")):
        (decision,), orders = Desk().link(a, b)
        assert (decision.kind, decision.winner, decision.loser, decision.moved) == (
            "merge",
            "user_id:1",
            "email:a",
            ("email:a",),
        )
        assert orders == [Admit("user_id:1", ("email:a",), 1), Absorb("email:a", "user_id:1", 1)]


def test_of_equally_strong_roots_the_smaller_key_wins() -> None:
    (decision,), _ = Desk().link("email:b", "email:a")
    assert decision.winner == "email:a"


def test_orders_come_gaining_row_first_pointers_next_losing_row_last() -> None:
    desk = Desk()
    desk.link("email:a", "anonymous_id:x")
    desk.link("email:a", "anonymous_id:y")
    _, orders = desk.link("user_id:1", "anonymous_id:x")
    assert orders == [
        Admit("user_id:1", ("anonymous_id:x", "anonymous_id:y", "email:a"), 3),
        Redirect("anonymous_id:x", "user_id:1", 3),
        Redirect("anonymous_id:y", "user_id:1", 3),
        Absorb("email:a", "user_id:1", 3),
    ]


def test_a_pair_of_one_cluster_is_nothing_new() -> None:
    desk = Desk()
    desk.link("user_id:1", "email:a")
    desk.link("user_id:1", "anonymous_id:x")
    assert desk.link("email:a", "anonymous_id:x") == ([], [])


def test_two_users_never_merge() -> None:
    """A shared device stays with its first owner."""
    desk = Desk()
    desk.link("user_id:1", "device_id:d")
    (decision,), orders = desk.link("user_id:2", "device_id:d")
    assert (decision.kind, decision.reason, orders) == ("refuse", "unique_user_id", [])
    assert desk.people("device_id:d") == {("device_id:d", "user_id:1")}


@pytest.mark.parametrize(("type_", "cap"), [("email", 5), ("phone", 5), ("anonymous_id", 50), ("crm_id", 5)])
def test_caps(type_: str, cap: int) -> None:
    desk = Desk()
    for number in range(cap):
        assert desk.link("user_id:1", f"{type_}:{number:02d}")[0][0].kind == "merge"
    (decision,), orders = desk.link("user_id:1", f"{type_}:99")
    assert (decision.kind, decision.reason, orders) == ("refuse", f"cap_{type_}", [])
    assert len(desk.linker.person("user_id:1")[1]) == cap + 1


def test_a_cap_counts_both_sides() -> None:
    desk = Desk(IdentitySettings(types=(TypeSettings("email", cap=3),)))
    desk.link("email:a", "email:b")
    desk.link("email:c", "email:d")
    assert desk.link("email:a", "email:c")[0][0].reason == "cap_email"
    assert desk.link("email:a", "email:e")[0][0].kind == "merge"


def test_a_type_that_one_side_lacks_never_refuses() -> None:
    desk = Desk(IdentitySettings(types=(TypeSettings("email", cap=1),)))
    desk.link("user_id:1", "email:a")
    assert desk.link("user_id:1", "phone:+49")[0][0].kind == "merge"


def test_a_refusal_is_recorded_once_a_pair_and_reason_even_after_a_restart() -> None:
    desk = Desk()
    desk.link("user_id:1", "email:a")
    assert len(desk.link("user_id:2", "email:a")[0]) == 1
    assert desk.link("user_id:2", "email:a") == ([], [])
    desk.reopen()
    assert desk.link("user_id:2", "email:a") == ([], [])
    assert len(desk.link("user_id:3", "email:a")[0]) == 1
    desk.split(("user_id:2",), ("email:a",))
    assert desk.link("user_id:2", "email:a")[0][0].reason == "negative_link"


def test_a_split_takes_away_the_side_without_the_root() -> None:
    for a, b in ((("user_id:1",), ("email:a",)), (("email:a",), ("user_id:1",))):
        desk = Desk()
        desk.link("user_id:1", "email:a")
        desk.link("email:a", "phone:+49")
        (decision,), orders = desk.split(a, b)
        assert (decision.kind, decision.winner, decision.loser, decision.root) == (
            "split",
            "user_id:1",
            "email:a",
            "email:a",
        )
        assert orders == [MakeRoot("email:a", ("email:a",), 3), Release("user_id:1", ("email:a",), "email:a", 3)]
        assert desk.people("user_id:1", "email:a") == {("phone:+49", "user_id:1"), ("email:a",)}


def test_the_strongest_of_those_who_leave_is_their_root() -> None:
    desk = Desk()
    for key in ("email:a", "anonymous_id:x", "phone:+49"):
        desk.link("user_id:1", key)
    (decision,), orders = desk.split(("user_id:1",), ("anonymous_id:x", "phone:+49"))
    assert decision.root == "phone:+49"
    assert orders == [
        MakeRoot("phone:+49", ("anonymous_id:x", "phone:+49"), 4),
        Redirect("anonymous_id:x", "phone:+49", 4),
        Release("user_id:1", ("anonymous_id:x", "phone:+49"), "phone:+49", 4),
    ]


def test_what_a_split_parted_never_rejoins_not_even_by_way_of_others() -> None:
    desk = Desk()
    desk.link("user_id:1", "email:a")
    desk.split(("user_id:1",), ("email:a",))
    assert desk.link("user_id:1", "email:a")[0][0].reason == "negative_link"
    desk.link("email:a", "anonymous_id:x")
    assert desk.link("user_id:1", "anonymous_id:x")[0][0].reason == "negative_link"
    desk.reopen()
    assert desk.link("anonymous_id:x", "user_id:1") == ([], [])
    assert desk.people("user_id:1", "email:a") == {("user_id:1",), ("anonymous_id:x", "email:a")}


def test_a_split_before_any_link_keeps_apart_all_the_same() -> None:
    desk = Desk()
    (decision,), orders = desk.split(("email:a",), ("email:b", "email:c"))
    assert (decision.kind, decision.moved, orders) == ("split", (), [])
    assert desk.split(("email:b",), ("email:a",)) == ([], [])
    assert desk.link("email:a", "email:c")[0][0].reason == "negative_link"
    assert desk.link("email:b", "email:c")[0][0].kind == "merge"


def test_those_who_stay_are_apart_from_those_who_leave() -> None:
    """Also the ones that neither side named."""
    desk = Desk()
    for key in ("email:a", "email:b"):
        desk.link("user_id:1", key)
    desk.split(("user_id:1",), ("email:a",))
    assert desk.link("email:a", "email:b")[0][0].reason == "negative_link"


def test_a_split_cuts_every_cluster_that_holds_both_sides() -> None:
    desk = Desk()
    desk.link("user_id:1", "email:a")
    desk.link("user_id:2", "email:b")
    decisions, _ = desk.split(("email:a", "email:b"), ("user_id:1", "user_id:2"))
    assert [(each.winner, each.root) for each in decisions] == [("user_id:1", "email:a"), ("user_id:2", "email:b")]


def test_a_key_on_both_sides_stays_with_the_first() -> None:
    desk = Desk()
    desk.link("user_id:1", "email:a")
    assert desk.split(("user_id:1",), ("user_id:1",)) == ([], [])
    (decision,), _ = desk.split(("user_id:1",), ("user_id:1", "email:a"))
    assert decision.moved == ("email:a",)
    assert desk.people("user_id:1", "email:a") == {("user_id:1",), ("email:a",)}


def test_decisions_are_numbered_on_across_restarts() -> None:
    desk = Desk()
    desk.link("user_id:1", "email:a")
    desk.reopen()
    assert desk.link("user_id:1", "email:b")[0][0].decision == 2
    assert desk.linker.person("email:a") == ("user_id:1", ("email:a", "email:b", "user_id:1"))


def test_a_key_may_hold_anything_but_a_zero_byte() -> None:
    desk = Desk()
    odd = 'crm_id:a:b\n"ü\U0001f600'
    desk.link("user_id:1", odd)
    desk.reopen()
    assert desk.people(odd) == {tuple(sorted((odd, "user_id:1")))}


# --- by hand ----------------------------------------------------------------------------------------------------------


TRUSTING = IdentitySettings(trust_alias=True)


@pytest.mark.parametrize(
    ("settings", "link", "kind"),
    [
        (TRUSTING, Link("user_id:1", "user_id:2", "m1", 5, alias=True), "merge"),
        (TRUSTING, Link("user_id:2", "user_id:1", "m1", 5, alias=True), "merge"),
        (TRUSTING, Link("user_id:1", "user_id:2", "m1", 5), "refuse"),
        (DEFAULT, Link("user_id:1", "user_id:2", "m1", 5, alias=True), "refuse"),
        (TRUSTING, Link("user_id:1", "anonymous_id:x", "m1", 5, alias=True), "refuse"),
    ],
)
def test_a_trusted_alias_joins_two_user_ids_and_no_other_pair(
    settings: IdentitySettings, link: Link, kind: str
) -> None:
    desk = Desk(settings)
    desk.link("user_id:2", "anonymous_id:x")
    assert [each.kind for each in desk.linker.decide(link)[0]] == [kind]


def test_a_trusted_alias_breaks_no_other_cap() -> None:
    desk = Desk(IdentitySettings(trust_alias=True, types=(TypeSettings("email", cap=1),)))
    desk.link("user_id:1", "email:a")
    desk.link("user_id:2", "email:b")
    (decision,), _ = desk.linker.decide(Link("user_id:1", "user_id:2", "m1", 5, alias=True))
    assert decision.reason == "cap_email"


def test_a_merge_by_hand_is_held_up_by_a_split_only() -> None:
    desk = Desk(IdentitySettings(types=(TypeSettings("email", cap=1),)))
    desk.link("user_id:1", "email:a")
    desk.link("user_id:2", "email:b")
    assert desk.ask(Merge("email:b", "email:a", 7)) == [("merge", "user_id:1", "user_id:2", "requested")]
    assert desk.ask(Merge("user_id:1", "user_id:2", 7)) == []
    assert desk.link("user_id:1", "user_id:3")[0][0].reason == "unique_user_id"
    desk.split(("user_id:1",), ("user_id:2",))
    assert desk.ask(Merge("user_id:1", "user_id:2", 8)) == [("refuse", "user_id:1", "user_id:2", "negative_link")]


def test_an_unsplit_makes_one_of_whom_the_split_had_cut() -> None:
    desk = Desk()
    for other in ("email:a", "anonymous_id:x", "anonymous_id:y"):
        desk.link("user_id:1", other)
    desk.split(("user_id:1",), ("anonymous_id:x", "anonymous_id:y"))
    assert desk.ask(Unsplit("anonymous_id:y", "email:a", 8)) == [
        ("unsplit", "user_id:1", "anonymous_id:x", "requested"),
        ("merge", "user_id:1", "anonymous_id:x", "unsplit"),
    ]
    assert desk.people("user_id:1") == {("anonymous_id:x", "anonymous_id:y", "email:a", "user_id:1")}
    assert desk.ask(Unsplit("anonymous_id:y", "email:a", 9)) == []
    assert not [key for key in desk.store if key[:1] == b"n"]


def test_an_unsplit_of_strangers_lets_them_join_and_joins_nobody() -> None:
    desk = Desk()
    assert desk.ask(Unsplit("user_id:1", "email:a", 6)) == []
    desk.split(("user_id:1",), ("email:a",))
    assert desk.ask(Unsplit("user_id:1", "email:a", 8)) == [("unsplit", "user_id:1", "email:a", "requested")]
    assert desk.link("user_id:1", "email:a")[0][0].kind == "merge"


def test_a_split_of_an_earlier_version_is_lifted_and_its_sides_stay_two() -> None:
    """Its links do not tell whether the two were one."""
    desk = Desk()
    desk.link("user_id:1", "email:a")
    desk.split(("user_id:1",), ("email:a",))
    desk.reopen()
    desk.store.write({negative_link("user_id:1", "email:a"): b""})
    assert desk.ask(Unsplit("user_id:1", "email:a", 8)) == [("unsplit", "user_id:1", "email:a", "requested")]


@pytest.mark.parametrize("key", ["user_id:1", "phone:+49"])
def test_a_quarantine_leaves_who_belongs_together_without_it(key: str) -> None:
    """Whether the root or another member is quarantined; who is in no group stays with the root, or with each other."""
    desk = Desk()
    for other in ("phone:+49", "email:a", "email:b", "anonymous_id:x", "anonymous_id:y"):
        desk.link("user_id:1", other)
    groups = (("email:a", "anonymous_id:x", "user_id:9", key), ("email:b", "email:a"))
    told = desk.ask(Quarantine(key, groups, 8))
    kinds = [kind for kind, *_ in told]
    assert kinds[0] == "quarantine"
    assert set(kinds[1:]) == {"regroup"}
    rest = tuple(sorted({"user_id:1", "phone:+49", "anonymous_id:y"} - {key}))
    assert desk.people(*rest) == {rest}
    assert desk.people("email:a") == {("anonymous_id:x", "email:a")}
    assert desk.people("email:b") == {("email:b",)}
    assert desk.people(key) == {(key,)}
    assert desk.ask(Quarantine(key, groups, 8)) == []
    assert desk.link(key, "email:b")[0][0].reason == "quarantined"
    assert desk.ask(Merge(key, "email:a", 8)) == [
        ("refuse", *sorted((key, "email:a"), key=["user_id:1", "email:a", "phone:+49"].index), "quarantined")
    ]
    assert desk.link("email:a", "email:b")[0][0].kind == "merge"
    assert [kind for kind, *_ in desk.ask(EndQuarantine(key, 9))] == ["release", "merge", "merge"]
    everybody = ("anonymous_id:x", "anonymous_id:y", "email:a", "email:b", "phone:+49", "user_id:1")
    assert desk.people(key) == {everybody}
    assert desk.ask(EndQuarantine(key, 9)) == []


def test_a_quarantine_of_one_that_stands_alone_is_for_what_comes() -> None:
    desk = Desk()
    assert desk.ask(Quarantine("email:a", (), 8)) == [("quarantine", "email:a", "email:a", "requested")]
    assert desk.link("user_id:1", "email:a")[0][0].reason == "quarantined"
    assert desk.ask(EndQuarantine("email:a", 9)) == [("release", "email:a", "email:a", "requested")]
    assert desk.link("user_id:1", "email:a")[0][0].kind == "merge"
