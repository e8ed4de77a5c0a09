"""Who is meant by what a person writes for a customer: `type:value`, a value alone, or a profile id."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rapport.customers import queries
from schemas.errors import NotPublished, UnknownCustomer, UsageError
from schemas.keys import key_of, split_key

if TYPE_CHECKING:
    from rapport.customers.by_hand import Customers

_PROFILE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_NAMES = (("first_name", "last_name"), ("firstName", "lastName"), ("name",), ("full_name",))


def profile_id_in(text: str) -> str | None:
    """The profile id that a text is, with or without `profile_id:` before it."""
    id_ = text.strip().lower().removeprefix("profile_id:")
    return id_ if _PROFILE_ID.fullmatch(id_) else None


def key_of_customer(text: str, customers: Customers, plan: Path | None) -> str:
    """An identifier of the customer whom a value alone or a profile id names.

    An old profile id, given up in a merge, names whoever has its identifier today. Raises UnknownCustomer, and
    UsageError where identifiers of several types have the value and are different people.
    """
    id_ = profile_id_in(text)
    if id_ is not None and (key := of_profile(customers.data, id_) or customers.born(id_)):
        return key
    value = text.strip()
    people: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for key in _keys(value, customers.data, plan):
        found = _found(customers, key)
        if found is not None:
            people.setdefault(found["profile_id"], (key, found))
    if not people:
        raise UnknownCustomer(f"nobody has {text.strip()!r}; search by a part of it: rapport find {shlex.quote(value)}")
    if len(people) > 1:
        listed = ", ".join(f"{key} ({name_of(found)})" for key, found in people.values())
        raise UsageError(f"{value!r} may be {len(people)} customers: {listed}; write which, as TYPE:VALUE")
    [(key, _)] = people.values()
    return key


def of_profile(data: Path, id_: str) -> str | None:
    """An identifier of whoever has a profile id, or had it before a merge; None where the tables cannot tell."""
    try:
        with queries.opened(data) as connection:
            rows = queries.of_profile(connection, id_)
    except NotPublished:
        return None
    return rows[0]["key"] if rows else None


def name_of(customer: Mapping[str, Any]) -> str:
    """What to call them: a name among their traits, else their strongest identifier."""
    traits = customer["traits"]
    for parts in _NAMES:
        found = [str(traits[part]) for part in parts if isinstance(traits.get(part), str) and traits[part].strip()]
        if found:
            return " ".join(found)
    strongest = customer["identifiers"][0]
    return f"{strongest['type']}:{strongest['value']}"


def _keys(value: str, data: Path, plan: Path | None) -> list[str]:
    """The keys that the value may be: of types that are known here, and of those that the tables hold."""
    from profiles.identifiers import normalized
    from rapport.plan import folder as plan_folder

    identity = plan_folder.load(plan, data).identity
    written = [key_of(type_, value) for type_ in identity.known_types]
    keys = [key for each in written for key in (each, normalized(each, identity)) if key]
    values = [*dict.fromkeys(split_key(key)[1] for key in keys)]
    with suppress(NotPublished):
        keys += [row["key"] for row in queries.rows(data, "keys_of_value", {"values": values})]
    return [*dict.fromkeys(keys)]


def _found(customers: Customers, key: str) -> Mapping[str, Any] | None:
    try:
        return customers.asked(key)
    except UnknownCustomer:
        return None
