"""Finding customers and the reasons for their identity. Reads only, also while an engine runs.

One customer comes from the rows, as they are this moment; the log comes from what was published last.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import orjson

from rapport.customers import queries
from rapport.customers.explanation import between, chain, named, quarantined, split_between
from schemas.errors import NotPublished, UnknownCustomer
from schemas.keys import key_of, split_key
from stream.embedded.reader import Reader


def profile(data: Path, plan: Path | None, key: str, events: int | None = None) -> dict[str, Any]:
    """The customer who has this identifier: `profiles.view.profile` and `decided`. Raises UnknownCustomer."""
    with Reader.open(data) as reader:
        found = reader.profile(known_as(reader, data, plan, key))
    assert found is not None
    return {**found, **published(data, found, events)}


def published(data: Path, customer: dict[str, Any], events: int | None) -> dict[str, Any]:
    """What the published file knows besides: `triggers`, what rules on trial would have done (`shadow`), and so many
    `last_events` as were asked for. Each is None where it cannot tell."""
    keys = [key_of(each["type"], each["value"]) for each in customer["identifiers"]]
    ids = {"profile_ids": customer["profile_ids"]}
    told = {"triggers": _told(data, "triggers_of", ids), "shadow": _told(data, "shadow_of", ids)}
    if events is None:
        return told
    return {**told, "last_events": _told(data, "events_of", {"keys": keys, "limit": events})}


def _told(data: Path, question: str, parameters: dict[str, Any]) -> list[dict[str, Any]] | None:
    try:
        found = queries.rows(data, question, parameters)
    except NotPublished:
        return None
    return [{name: _value(name, value) for name, value in each.items()} for each in found]


def _value(name: str, value: Any) -> Any:
    return orjson.loads(value) if name in ("payload", "properties", "traits") and value is not None else value


def explain(data: Path, plan: Path | None, a: str, b: str | None = None) -> dict[str, Any]:
    """How the customer of `a` came together, or why `a` and `b` are one customer or are not. Raises UnknownCustomer.

    `{"same": bool | None, "declared_apart": bool, "people": [...], "links": [decisions], "against": [decisions],
    "dropped": [...]}`. A person without a `profile_id` is an identifier that was named and never used for one;
    `dropped` says how often, why and where that happened to those asked about, `quarantined` which of them are in
    quarantine.
    """
    with Reader.open(data) as reader:
        people = [_person(reader, data, plan, key) for key in (a, b) if key is not None]
        keys = [person["identifier"] for person in people]
        apart = len(keys) == 2 and reader.apart(*keys)
    return {**explained(data, people), "declared_apart": apart}


def explained(data: Path, people: list[dict[str, Any]]) -> dict[str, Any]:
    """The same for people that are known, by the decisions published; declared apart by a split in them."""
    members = [person["members"] for person in people]
    decisions = queries.rows(data, "identity_of", {"keys": [key for side in members for key in side]})
    dropped = queries.rows(data, "dropped_of", {"keys": [person["identifier"] for person in people]})
    held = [person["identifier"] for person in people if quarantined(decisions, person["identifier"])]
    if len(people) == 1:
        merges = [decision for decision in decisions if decision["kind"] == "merge"]
        others = [decision for decision in decisions if decision["kind"] != "merge"]
        return {
            "same": None,
            "declared_apart": False,
            "people": people,
            "links": merges,
            "against": others,
            "dropped": dropped,
            "quarantined": held,
        }
    same = people[0]["root"] == people[1]["root"]
    keys = [person["identifier"] for person in people]
    links = chain(decisions, members[0], *keys) if same else []
    if same and not links:  # what joined them left in a quarantine, and events name them together all the same
        links = chain(named(queries.rows(data, "named", {"keys": members[0]})), members[0], *keys)
    against = [] if same else between(decisions, *members)
    return {
        "same": same,
        "declared_apart": not same and split_between(decisions, *members),
        "people": people,
        "links": links,
        "against": against,
        "dropped": dropped,
        "quarantined": held,
    }


def _person(reader: Reader, data: Path, plan: Path | None, key: str) -> dict[str, Any]:
    try:
        known = known_as(reader, data, plan, key)
    except UnknownCustomer:
        return refused_only(data, [each for each in (key, meant(data, plan, key)) if each])
    return {**(reader.person(known) or {}), "identifier": known}


def refused_only(data: Path, keys: list[str]) -> dict[str, Any]:
    """An identifier, in what ways it may be written, that events named and that was never used: it has no profile.

    Raises UnknownCustomer where none named it.
    """
    if not any(queries.rows(data, question, {"keys": keys}) for question in ("identity_of", "dropped_of")):
        raise unknown(keys[0])
    return {"identifier": keys[-1], "root": keys[-1], "profile_id": None, "members": [keys[-1]]}


def known_as(reader: Reader, data: Path, plan: Path | None, key: str) -> str:
    """The key under which this identifier is stored: as written, else as its type normalizes it."""
    if reader.person(key) is not None:
        return key
    usual = meant(data, plan, key)
    if usual is not None and reader.person(usual) is not None:
        return usual
    raise unknown(key)


def unknown(key: str) -> UnknownCustomer:
    """What to say when nobody has this identifier."""
    type_, value = split_key(key)
    return UnknownCustomer(f"nobody has {type_} {value!r}; search by a part of it: rapport find {shlex.quote(value)}")


def meant(data: Path, plan: Path | None, key: str) -> str | None:
    """The key as an event that names it would have got it."""
    from profiles.identifiers import normalized
    from rapport.plan import folder as plan_folder

    return normalized(key, plan_folder.load(plan, data).identity)


def identity_log(data: Path, key: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest identity decisions, newest first, of all customers or of one identifier."""
    return queries.rows(data, "identity_log", {"key": key, "limit": limit})
