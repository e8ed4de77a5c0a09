"""Identifiers: where they come from, how they are normalized, what is dropped and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.identifiers import Identified, extract, nothing_left
from profiles.settings import BLOCKED, DEFAULT, IdentitySettings, Returning, TypeSettings
from schemas.messages import Dropped

GERMAN = IdentitySettings(default_region="DE")


def found(type_: str = "track", settings: IdentitySettings = DEFAULT, **body: object) -> Identified:
    return extract(body, type_, settings)


def test_every_place_gives_its_type_the_strongest_first():
    got = found(
        "identify",
        anonymousId="a",
        userId="u",
        traits={"email": "E@x.com", "phone": "+49 30 1234567"},
        context={
            "traits": {"email": "f@x.com", "phone": "+1 212 555 0100"},
            "device": {"id": "d", "advertisingId": "ad"},
            "externalIds": [
                {"id": "x", "type": "crm_id"},
                {"id": "g", "type": "b_id", "collection": "users", "encoding": "none"},
            ],
        },
    )
    assert got == Identified(
        (
            "user_id:u",
            "email:e@x.com",
            "email:f@x.com",
            "phone:+12125550100",
            "phone:+49301234567",
            "b_id:g",
            "crm_id:x",
            "device_id:d",
            "advertising_id:ad",
            "anonymous_id:a",
        ),
        None,
        (),
    )


IDS = st.none() | st.sampled_from(("u", " u ", "guest", "0-0", "a@B.c", "x" * 1025, "a\x00", "é", 7, -1, True, "TEST1"))
PICKY = (TypeSettings("user_id", normalize="email"), TypeSettings("anonymous_id", block_patterns=("^TEST",)))
SETTINGS = (DEFAULT, IdentitySettings(priority=("anonymous_id", "user_id")), IdentitySettings(types=PICKY))


@given(IDS, IDS, st.sampled_from(SETTINGS))
def test_the_short_way_for_two_ids_is_the_long_one(user: object, anonymous: object, settings: IdentitySettings) -> None:
    """An identify call may name more, so it never takes the short way."""
    body = {"userId": user, "anonymousId": anonymous}
    for _ in range(3):
        assert extract(body, "track", settings) == extract(body, "identify", settings)


def test_only_who_comes_back_soon_is_remembered() -> None:
    """A place is told apart from others by one byte, so a few strangers in a thousand are taken for somebody else."""
    memory = Returning(64)
    for number in range(1000):
        memory.note((number, 0), "stranger")
    assert len(memory) < 12
    for number in range(1000):
        memory.note((number, 1), "")
        memory.note((number, 1), "again")
        assert memory[number, 1] == "again"
        assert len(memory) <= 64


def test_named_properties_and_traits_are_identifiers():
    settings = IdentitySettings(
        types=(
            TypeSettings("loyalty_card", from_properties=("card", "loyalty")),
            TypeSettings("email", from_properties=("mail",)),
        )
    )
    assert found(settings=settings, properties={"card": 12, "mail": "A@b.de"}).keys == (
        "email:a@b.de",
        "loyalty_card:12",
    )
    assert found("identify", settings, traits={"loyalty": "x"}, context={"traits": {"card": "y"}}).keys == (
        "loyalty_card:x",
        "loyalty_card:y",
    )


def test_what_is_not_the_person_is_left_alone():
    assert found("group", traits={"email": "info@acme.com"}).keys == ()
    assert found("track", traits={"email": "a@b.de"}).keys == ()
    assert found("track", previousId="p", properties={"email": "a@b.de"}) == Identified((), None, ())
    others = [{"id": "1", "type": "t", "collection": "accounts"}, {"id": "1", "type": "t", "encoding": "sha256"}]
    assert found(context={"externalIds": others}) == Identified((), None, ())


def test_the_same_identifier_counts_once():
    got = found("identify", userId="u", traits={"email": "A@b.de "}, context={"traits": {"email": "a@B.de"}})
    assert got.keys == ("user_id:u", "email:a@b.de")


def test_alias_keeps_previous_apart():
    assert found("alias", userId="u", previousId="p") == Identified(("user_id:u",), "p", ())
    assert found("alias", userId="u", previousId=7).previous == "7"
    assert found("alias", userId="u", previousId="null") == Identified(
        ("user_id:u",), None, (Dropped("previous_id", "null", "blocked"),)
    )


@pytest.mark.parametrize("value", sorted(BLOCKED))
@pytest.mark.parametrize("around", ["{}", " {} ", '"{}"', "'{}'", "\t“{}”"])
def test_blocked_values_are_dropped_in_any_dress(value, around):
    for worn in (around.format(value), around.format(value.upper())):
        assert found(userId=worn, anonymousId="a") == Identified(
            ("anonymous_id:a",), None, (Dropped("user_id", worn, "blocked"),)
        )


@pytest.mark.parametrize("value", ["0", "000", "0000-0000", "-", "00000000-0000-0000-0000-000000000000", 0])
def test_zeros_are_blocked(value):
    assert found(userId=value).dropped == (Dropped("user_id", str(value), "blocked"),)


def test_blocked_after_normalizing():
    settings = IdentitySettings(default_region="DE", block=("+49301234567",))
    assert found("identify", settings, traits={"phone": "030 1234567"}).dropped == (
        Dropped("phone", "030 1234567", "blocked"),
    )


@pytest.mark.parametrize(
    ("value", "email"),
    [
        (" Ann@Example.COM\n", "ann@example.com"),
        ("a+b@x.co.uk", "a+b@x.co.uk"),
        ("ünï@exämple.de", "ünï@exämple.de"),
        ("a@b", None),
        ("a@@b.de", None),
        ("a b@c.de", None),
        ("Ann <a@b.de>", None),
        ("@b.de", None),
        ("a@b..de", None),
        ("a@.de", None),
        ("mailto:a@b.de", None),
        ("a@b.de,c@d.de", None),
        ("x", None),
        (5, None),
        (["a@b.de"], None),
    ],
)
def test_email(value, email):
    got = found("identify", traits={"email": value})
    assert got.keys == ((f"email:{email}",) if email else ())
    assert [each.reason for each in got.dropped] == ([] if email else ["malformed"])


@pytest.mark.parametrize(
    ("value", "settings", "phone"),
    [
        ("+49 (30) 123-4567", DEFAULT, "+49301234567"),
        ("030 1234567", GERMAN, "+49301234567"),
        ("0049301234567", GERMAN, "+49301234567"),
        (491701234567, DEFAULT, None),
        ("030 1234567", DEFAULT, None),
        ("+49 30 1234567 ext. 5", DEFAULT, None),
        ("+49 1", DEFAULT, None),
        ("call me", DEFAULT, None),
    ],
)
def test_phone(value, settings, phone):
    got = found("identify", settings, traits={"phone": value})
    assert got.keys == ((f"phone:{phone}",) if phone else ())
    assert [each.reason for each in got.dropped] == ([] if phone else ["malformed"])


@pytest.mark.parametrize("value", [" U 1 ", "A:b", "Ü", "00123", "x" * 1024, "a\u200bb", "😀"])
def test_user_ids_are_untouched(value):
    assert found(userId=value).keys == (f"user_id:{value}",)


def test_keys_are_nfc():
    assert found(userId="u\u0308").keys == found(userId="ü").keys == ("user_id:ü",)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x" * 1025, "too_long"),
        ("a\u0000b", "malformed"),
        ("a\nb", "malformed"),
        ("a\u007f", "malformed"),
        (1.5, "malformed"),
        (True, "malformed"),
        ({}, "malformed"),
        ([], "malformed"),
    ],
)
def test_unusable_values_are_dropped_and_recorded(value, reason):
    got = found(anonymousId="a", context={"device": {"id": value}})
    assert got.keys == ("anonymous_id:a",)
    assert [(each.type, each.reason) for each in got.dropped] == [("device_id", reason)]
    assert len(got.dropped[0].value) <= 200


@pytest.mark.parametrize("listed", ["x", {}, [5], [{}], [{"type": "a:b", "id": "1"}], [{"type": 5, "id": "1"}]])
def test_external_ids_of_no_known_shape_are_dropped(listed):
    assert [(each.type, each.reason) for each in found(context={"externalIds": listed}).dropped] == [
        ("external_id", "malformed")
    ]


def test_an_event_of_nobody_is_rejected_with_what_was_dropped():
    got = found(userId="null", anonymousId="")
    rejected = nothing_left(b"{}", got.dropped, "file", 5)
    assert (rejected.stage, rejected.code, rejected.field, rejected.value) == (
        "identify",
        "no_identifier",
        "user_id",
        "null",
    )
    assert "user_id blocked, anonymous_id blocked" in rejected.expectation
    assert (rejected.payload, rejected.source, rejected.rejected_at) == (b"{}", "file", 5)
    assert nothing_left(b"{}", (), "file", 5).field == ""


VALUE = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)
BODY = st.fixed_dictionaries(
    {},
    optional={
        "userId": st.text() | st.integers(),
        "anonymousId": st.text(),
        "previousId": st.text(),
        "traits": st.fixed_dictionaries({}, optional={"email": VALUE, "phone": VALUE}),
        "context": st.fixed_dictionaries(
            {},
            optional={
                "traits": st.fixed_dictionaries(
                    {}, optional={"email": VALUE, "phone": st.text("+0123456789 x", max_size=15)}
                ),
                "device": st.fixed_dictionaries({}, optional={"id": VALUE, "advertisingId": VALUE}),
                "externalIds": VALUE
                | st.lists(st.fixed_dictionaries({}, optional={"id": VALUE, "type": VALUE}), max_size=3),
            },
        ),
    },
)


@given(BODY, st.sampled_from(["track", "identify", "group", "alias"]))
def test_extract_never_raises_and_is_stable(body, type_):
    got = extract(body, type_, GERMAN)
    assert len(set(got.keys)) == len(got.keys)
    assert got == extract(dict(reversed(body.items())), type_, GERMAN)
    for key in got.keys:
        kind, _, value = key.partition(":")
        again = extract({"context": {"externalIds": [{"type": kind, "id": value}]}}, "track", GERMAN)
        assert again.keys == (key,)
