"""Identifiers: where they come from, how they are normalized, what is dropped and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.addresses import address_of
from profiles.identifiers import Identified, extract, nothing_left
from profiles.settings import BLOCKED, DEFAULT, IdentitySettings, Returning, TypeSettings
from schemas.keys import key_of
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


NOBODY = [
    "0", "000", "0000-0000", "-", "00000000-0000-0000-0000-000000000000", 0, "-1", "--", "...", "***", "?", "_", "0.0",
    "null", "nu\u200bll", "\uff2e\uff35\uff2c\uff2c", "undefined undefined", "not-logged-in",
    "NIL", "None", "NaN", "undefined", "unknown", "Unidentified", "Anonymous", "guest", "FALSE",
    "[object Object]",
    "{}", "[]", "n/a", "N/A", "#N/A", "#REF!", "#NV", "(not set)", "(NULL)", "(none)", "(not provided)", "\\N", '"\\N"',
    "<nil>", "<null>", "<Null>", "{{user_id}}", "{{ user.id }}", "u-{{id}}", "${USER_ID}", "#{id}", "%USER_ID%",
    "%%email%%",
    "%7B%7Buser_id%7D%7D", "[user_id]", "[[email]]", "<USER_ID>", "<%= id %>", "{user_id}", "*|EMAIL|*", "user_id",
    "distinctid",
    "9774D56D682E549C", "02:00:00:00:00:00",
]  # fmt: skip


@pytest.mark.parametrize("value", NOBODY)
def test_placeholders_are_nobody_of_any_type(value):
    """Templates that nobody filled in, errors of sheets, zeros and words for nothing join strangers."""
    shop = IdentitySettings(types=(TypeSettings("user_id", block=("kiosk",)), TypeSettings("card", block=("kiosk",))))
    external = {"externalIds": [{"type": "card", "id": value}]}
    for settings in (DEFAULT, shop):
        got = found(settings=settings, userId=value, anonymousId=value, context=external)
        assert got.keys == ()
        assert [each.reason for each in got.dropped] == ["blocked"] * 3


@pytest.mark.parametrize(
    "value",
    ["10", "0-1", "nullo", "guest1", "user@example.com", "N", "n", "NA", "test", "Nil Nonn", "007", "-12", "#1001",
     "a_b",
     "100%", "50%-club-50", "{8C139779-6750-4ACA-8280-6D447C97C2BB}", "[7]x", "(4)", "id-7", "none-7", "\\x", "%x",
     "$12",
     "<a@b.de>", "anonymous-7", "0x1f"],
)  # fmt: skip
def test_what_may_be_somebody_stays(value):
    assert found(userId=value).keys == (f"user_id:{value}",)


@pytest.mark.parametrize(
    ("type_", "value", "reason"),
    [
        ("email", "test@test.com", "blocked"),
        ("email", "None@none.de", "blocked"),
        ("email", "noemail@noemail.com", "blocked"),
        ("email", "{{email}}", "blocked"),
        ("email", "{{name}}@shop.example", "blocked"),
        ("email", "<null>", "blocked"),
        ("email", "n/a", "blocked"),
        ("email", "test@shop.example", ""),
        ("email", "none@test.com", ""),
        ("phone", "+1 555 555 5555", "blocked"),
        ("phone", "+49 1234567890", "blocked"),
        ("phone", "0000000000", "blocked"),
        ("phone", "%PHONE%", "blocked"),
        ("phone", "+1 212 345 6789", ""),
        ("phone", "+971 4 444 4444", ""),
    ],
)
def test_placeholders_of_one_type(type_, value, reason):
    got = found("identify", traits={type_: value})
    assert [each.reason for each in got.dropped] == ([reason] if reason else [])
    assert bool(got.keys) != bool(reason)


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
        ("a@b.de\u200b", "a@b.de"),
        ("\ufeffa@b.de", "a@b.de"),
        ("a\u00ad@b\u2060.de", "a@b.de"),
        ("\u202aa@b.de\u202c\u200f", "a@b.de"),
        ("\u00a0a@b.de\u00a0", "a@b.de"),
        ("a\u00a0b@c.de", None),
        ("\uff21\uff20\uff42\uff0ede", "a@b.de"),
        ("a@b\u3002de", "a@b.de"),
        ("'a@b.de'", "a@b.de"),
        ("\u201ca@b.de\u201d", "a@b.de"),
        ("'a@b.de", "a@b.de"),
        ("<A@b.de>", "a@b.de"),
        ('"<mailto:a@b.de>"', "a@b.de"),
        ("MailTo:a@b.de?subject=Hi", "a@b.de"),
        ("o'neil@b.ie", "o'neil@b.ie"),
        ("a..b@c.de", "a..b@c.de"),
        ("a@xn--exmple-cua.de", "a@ex\u00e4mple.de"),
        ("a@XN--EXMPLE-CUA.de", "a@ex\u00e4mple.de"),
        ("a@EXA\u0308MPLE.de", "a@ex\u00e4mple.de"),
        ("a@b.xn--p1ai", "a@b.\u0440\u0444"),
        ("a@stra\u00dfe.de", "a@stra\u00dfe.de"),
        ("a@xn--zzzz.de", None),
        ("a@xn--abc-.de", None),
        ("a@xn--\u00fc.de", None),
        ("a@-b.de", None),
        ("a@b-.de", None),
        ("a@b_c.de", None),
        ("a@b.de.", None),
        ("react@18.2.0", None),
        ("a@b.de?x=1", None),
        (f"a@{'b' * 64}.de", None),
        (f"a@{'ü' * 60}.de", None),
        (f"{'a' * 250}@b.de", None),
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


PARTS = ("a", "A", "@", "b", ".", "de", "xn--", "xn--exmple-cua", "\u00fc", "u\u0308", "\u0130", "\ufb01", "\u200b",
         "\ufeff",
         "\u00ad", "\uff20", "\u3002", "'", '"', "<", ">", "mailto:", "?", "-", " ", "\u00a0", "\u1160", "\ufe0f",
         "1")  # fmt: skip


@given(
    st.lists(st.sampled_from(PARTS), max_size=9).map("".join)
    | st.from_regex(r"a@xn--[a-z0-9-]{1,12}\.de", fullmatch=True)
)
def test_an_address_that_was_normalized_stays_as_it_is(value):
    address = address_of(value)
    assert address is None or address_of(address) == address == key_of("", address)[1:]


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
        ("Tel.: +49 30 1234567", DEFAULT, "+49301234567"),
        ("01.42.68.53.00", IdentitySettings(default_region="FR"), "+33142685300"),
        ("+49 30 1234567 (work)", GERMAN, None),
        ("4.9301234567E10", GERMAN, None),
        ("49301234567.0", GERMAN, None),
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
