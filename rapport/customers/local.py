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
from schemas.keys import split_key
from stream.embedded.reader import Reader


def profile(data: Path, plan: Path | None, key: str) -> dict[str, Any]:
    """The customer who has this identifier: `profiles.view.profile` and `triggers`. Raises UnknownCustomer."""
    with Reader.open(data) as reader:
        found = reader.profile(known_as(reader, data, plan, key))
    assert found is not None
    return {**found, "triggers": triggers(data, found["profile_ids"])}


def triggers(data: Path, profile_ids: list[str]) -> list[dict[str, Any]] | None:
    """What was last done for a customer; None where the published file cannot tell."""
    try:
        found = queries.rows(data, "triggers_of", {"profile_ids": profile_ids})
    except NotPublished:
        return None
    return [{**trigger, "payload": orjson.loads(trigger["payload"])} for trigger in found]


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
