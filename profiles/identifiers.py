"""Which identifiers an event names: found, normalized, checked and sorted, the strongest first.

| where | type |
|---|---|
| `userId`, `anonymousId` | `user_id`, `anonymous_id` |
| `traits.email`, `traits.phone` of an identify call; the same in `context.traits` of any call | `email`, `phone` |
| `context.device.id`, `context.device.advertisingId` | `device_id`, `advertising_id` |
| `context.externalIds[]` of the collection `users` and the encoding `none`, both being the defaults | its own `type` |
| properties, traits and context.traits that identity.yaml names | the type named there |
| `previousId` of an alias | kept apart: it becomes an identifier once it is known what it is |

A group's traits describe the group, not the person. A whole number counts as its decimal text; null is absent.
An identifier that cannot be used is dropped and recorded, never repaired by guessing; one that a database would
have to change (control characters) is malformed. So is a phone number with an extension, for many share it, and one
that a sheet has made another number of (`4.9309E+11`, `4930901820.0`) or that has words behind it.
This module must never decide who is who: it only reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from profiles.addresses import address_of, as_seen
from profiles.settings import IdentitySettings, is_placeholder, trimmed
from schemas.events import ID_CHARACTERS
from schemas.keys import key_of, split_key
from schemas.messages import Dropped, Rejected
from schemas.rejection import Oversized, reject, shown

_TRAITS: Final = {"email": "email", "phone": "phone"}
_TYPE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NO_PHONE: Final = re.compile(r"[0-9].*[^\W\d_]|^\s*\+?[0-9]+[.,]0+\s*$", re.DOTALL)
"""Letters behind a digit, which `phonenumbers` would dial as digits; the decimals of a sheet."""


class Identified(NamedTuple):
    """The identifiers of one event."""

    keys: tuple[str, ...]
    """Without repetition, the strongest first; empty when none is usable."""
    previous: str | None
    """The value of an alias's previousId."""
    dropped: tuple[Dropped, ...]


def extract(body: Mapping[str, Any], type_: str, settings: IdentitySettings) -> Identified:
    """The identifiers that an accepted event of this type names."""
    if not _is_plain(body, type_, settings):
        return _extracted(body, type_, settings)
    pair = (body.get("userId"), body.get("anonymousId"))
    identified: Identified | None = settings.recognized.get(pair)
    if identified is None:
        identified = _of_pair(pair, settings) or _extracted(body, type_, settings)
        if not identified.dropped:
            settings.recognized.note(pair, identified)
    return identified


def _of_pair(pair: tuple[object, object], settings: IdentitySettings) -> Identified | None:
    """What userId and anonymousId are, where each can be used or is missing: nearly always."""
    user, anonymous = pair
    strong = "" if user is None else _key("user_id", user, settings)
    weak = "" if anonymous is None else _key("anonymous_id", anonymous, settings)
    if not isinstance(strong, str) or not isinstance(weak, str) or not (strong or weak):
        return None
    if settings.rank("anonymous_id") < settings.rank("user_id"):
        strong, weak = weak, strong
    return Identified((strong, weak) if strong and weak else (strong or weak,), None, ())


def _is_plain(body: Mapping[str, Any], type_: str, settings: IdentitySettings) -> bool:
    """Whether userId and anonymousId are all that such an event can name."""
    if type_ == "identify" or type_ == "alias":
        return False
    context = body.get("context")
    if context and ("traits" in context or "device" in context or "externalIds" in context):
        return False
    properties = body.get("properties")
    return not (properties and settings.properties) or settings.properties.keys().isdisjoint(properties)


def _extracted(body: Mapping[str, Any], type_: str, settings: IdentitySettings) -> Identified:
    found: list[tuple[tuple[int, str], str]] = []
    dropped: list[Dropped] = []
    for kind, value in _named(body, type_, settings):
        if value is None:
            continue
        key = _key(kind, value, settings)
        if isinstance(key, str):
            found.append((settings.rank(kind), key))
        elif key not in dropped:
            dropped.append(key)
    previous = None
    if type_ == "alias" and (value := body.get("previousId")) is not None:
        key = _key("user_id", value, settings)
        if isinstance(key, str):
            previous = str(value)
        else:
            dropped.append(key._replace(type="previous_id"))
    found.sort()
    return Identified(tuple(dict.fromkeys([key for _, key in found])), previous, tuple(dropped))


def normalized(key: str, settings: IdentitySettings) -> str | None:
    """The key that an event naming this identifier would have got; None where it would have been dropped."""
    type_, value = split_key(key)
    named = {"context": {"externalIds": [{"id": value, "type": type_, "collection": "users", "encoding": "none"}]}}
    keys = extract(named, "track", settings).keys
    return keys[0] if keys else None


def nothing_left(raw: bytes | Oversized, dropped: Sequence[Dropped], source: str, now: int) -> Rejected:
    """The rejection of an event that `extract` found no key for."""
    first = dropped[0] if dropped else Dropped("", "", "")
    expectation = "a usable userId, anonymousId or other identifier"
    if dropped:
        expectation += f" (dropped: {', '.join(f'{each.type} {each.reason}' for each in dropped[:5])})"
    return reject(raw, "identify", "no_identifier", first.type, first.value, expectation, source, now)


def _named(body: Mapping[str, Any], type_: str, settings: IdentitySettings) -> list[tuple[str, Any]]:
    """Type and value of everything in its place, usable or not."""
    named = [("user_id", body.get("userId")), ("anonymous_id", body.get("anonymousId"))]
    if type_ == "identify" and (traits := body.get("traits")):
        _from_names(named, traits, _TRAITS)
        _from_names(named, traits, settings.properties)
    if settings.properties and (properties := body.get("properties")):
        _from_names(named, properties, settings.properties)
    if context := body.get("context"):
        if traits := context.get("traits"):
            _from_names(named, traits, _TRAITS)
            _from_names(named, traits, settings.properties)
        if device := context.get("device"):
            named.append(("device_id", device.get("id")))
            named.append(("advertising_id", device.get("advertisingId")))
        if (external := context.get("externalIds")) is not None:
            named += _external(external)
    return named


def _from_names(named: list[tuple[str, Any]], values: Mapping[str, Any], types: Mapping[str, str]) -> None:
    named += [(kind, values[name]) for name, kind in types.items() if name in values]


def _external(listed: object) -> list[tuple[str, Any]]:
    if not isinstance(listed, list):
        return [("external_id", [listed])]
    named: list[tuple[str, Any]] = []
    for each in listed:
        kind = each.get("type") if isinstance(each, dict) else None
        if not isinstance(kind, str) or not _TYPE_NAME.fullmatch(kind):
            named.append(("external_id", [each]))
        elif (each.get("collection") or "users") == "users" and (each.get("encoding") or "none") == "none":
            named.append((kind, each.get("id")))
    return named


def _key(kind: str, value: object, settings: IdentitySettings) -> str | Dropped:
    """The key of an identifier, or why it has none."""
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str):
        return Dropped(kind, shown(value), "malformed")
    if len(value) > ID_CHARACTERS:
        return Dropped(kind, shown(value), "too_long")
    normalizer, blocked, patterns = settings.terms(kind)
    if _blocked(value, blocked, patterns):
        return Dropped(kind, shown(value), "blocked")
    if normalizer != "none":
        normal = address_of(value) if normalizer == "email" else _phone(value, settings.default_region)
        if normal is None:
            return Dropped(kind, shown(value), "malformed")
        if normal != value and _blocked(normal, blocked, patterns):
            return Dropped(kind, shown(value), "blocked")
        value = normal
    if not value.isprintable() and _CONTROL.search(value):
        return Dropped(kind, shown(value), "malformed")
    return key_of(kind, value)


def _blocked(value: str, blocked: frozenset[str], patterns: tuple[re.Pattern[str], ...]) -> bool:
    return _is_nobodys(trimmed(value), blocked, patterns) or (
        not value.isascii() and _is_nobodys(trimmed(as_seen(value)), blocked, patterns)
    )


def _is_nobodys(bare: str, blocked: frozenset[str], patterns: tuple[re.Pattern[str], ...]) -> bool:
    if bare.casefold() in blocked or is_placeholder(bare):
        return True
    for pattern in patterns:  # noqa: SIM110 - `any` would cost a generator for each identifier
        if pattern.search(bare):
            return True
    return False


@lru_cache(maxsize=65_536)
def _phone(value: str, region: str | None) -> str | None:
    """E.164, or None. Possible, not assigned, numbers count: the tables of assigned ones change every few weeks."""
    import phonenumbers  # its tables cost start-up time that only a phone number is worth

    if _NO_PHONE.search(value):
        return None
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
