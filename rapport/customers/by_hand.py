"""What people decide about customers by hand: split, unsplit, merge, quarantine, release.

The same here for a data folder and for a cluster (`by_hand_local`, `by_hand_cluster`): who is there is asked, what
events named is read from the published tables, one request goes to the linker, and what came of it is shown. Each of
them again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rapport.customers import queries
from rapport.customers.naming import Naming, on_side
from schemas.errors import NotPublished, UnknownCustomer, UsageError
from schemas.keys import key_of, profile_id
from schemas.messages import ByHand, EndQuarantine, Merge, Quarantine, Split, Unsplit
from stream.clock import wall_now

Found = Mapping[str, Any]
"""A customer, as `profiles.view.profile` shows one."""
Done = Callable[[Mapping[str, Found]], bool]
"""Whether what was asked for shows in the customers of some identifiers."""


class Customers(Protocol):
    """Where customers are asked for and decided about."""

    data: Path
    """The folder of the published tables."""

    def known(self, key: str) -> str:
        """The key under which an identifier is stored: as written, else as its type normalizes it."""

    def asked(self, key: str) -> Found | None:
        """The customer who has an identifier; None where nobody has."""

    def born(self, id_: str) -> str | None:
        """An identifier of whoever has the one that was born with a profile id; None where that is not known."""

    def keeps_apart(self, ours: Sequence[str], theirs: Sequence[str]) -> str:
        """The identifier whose quarantine keeps two people apart, or `split`; empty where nothing does."""

    def carry_out(self, request: ByHand, keys: Iterable[str], done: Done) -> None:
        """Has the linker decide, and waits until that shows in the customers of `keys`."""


def preview(customers: Customers, a: Sequence[str], b: Sequence[str]) -> dict[str, Any]:
    """What a split of these would do: `{"one": whether they are one customer, "a": side, "b": side}`.

    A side is a list of `{"identifier", "why", "named_with", "sources", "newest_at"}`. Raises UnknownCustomer, and
    UsageError where a key stands on both sides.
    """
    on_one_side_each(a, b)
    people = _people(customers, (*a, *b))
    ours, theirs = set(a), set(b)
    staying: dict[str, set[str]] = {"a": set(), "b": set()}
    one = False
    naming = Naming(())
    for members in {tuple(identifiers(found)) for found in people.values()}:
        if ours.isdisjoint(members) or theirs.isdisjoint(members):
            continue
        one = True
        if set(members) - {*a, *b}:
            naming = _naming(customers, members, a[0])
        mine, others = naming.sides(members, ours.intersection(members), theirs.intersection(members))
        root_side = "a" if _root(people, members) in mine else "b"
        staying[root_side] |= set(members) - mine - others
        ours |= mine
        theirs |= others
    return {
        "one": one,
        "a": on_side(naming, ours | staying["a"], a, ours),
        "b": on_side(naming, theirs | staying["b"], b, theirs),
    }


def on_one_side_each(a: Sequence[str], b: Sequence[str]) -> None:
    """Raises UsageError where a key stands on both sides."""
    if both := set(a) & set(b):
        raise UsageError(f"{both.pop()} stands on both sides; name each identifier once")


def split(customers: Customers, a: Sequence[str], b: Sequence[str], shown: Mapping[str, Any]) -> dict[str, Any]:
    """Carries out what `preview` shows. Returns both: `{"a": {profile_id, identifiers, event_count}, "b": ...}`."""
    ours, theirs = (tuple(each["identifier"] for each in shown[name]) for name in ("a", "b"))
    keys = (*a, *b)
    before = _people(customers, keys)
    customers.carry_out(Split(ours, theirs, wall_now()), keys, lambda after: apart(after, before, a, b))
    after = _people(customers, keys)
    return {"a": side(after[a[0]]), "b": side(after[b[0]])}


def merge(customers: Customers, a: str, b: str) -> list[dict[str, Any]]:
    """Makes one customer of two. Returns it. Raises UsageError where a split or a quarantine keeps them apart."""
    before = _people(customers, (a, b))
    if not _one(before):
        why = customers.keeps_apart(identifiers(before[a]), identifiers(before[b]))
        if why == "split":
            raise UsageError(f"A split keeps {a} and {b} apart: rapport identity unsplit {a} {b} takes it back.")
        if why:
            raise UsageError(f"{why} is in quarantine: rapport identity release {why} takes that back.")
        request = Merge(a, b, wall_now())
        customers.carry_out(request, (a, b), lambda after: _one(after) and _events(after) >= _events(before))
    return _shown(_people(customers, (a, b)))


def unsplit(customers: Customers, a: str, b: str) -> list[dict[str, Any]]:
    """Takes splits between two people back: whom one had cut is one again. Returns the one or the two."""
    before = _people(customers, (a, b))
    customers.carry_out(Unsplit(a, b, wall_now()), (a, b), lambda after: _events(after) >= _events(before))
    return _shown(_people(customers, (a, b)))


def quarantine(customers: Customers, key: str) -> list[dict[str, Any]]:
    """Takes an identifier out of who is one person. Returns its own customer and the groups that it had joined."""
    found = _people(customers, (key,))[key]
    members = identifiers(found)
    groups = _naming(customers, members, key).groups(members, key) if len(members) > 1 else []
    before = {key: found}
    heads = [key, *(group[0] for group in groups)]
    request = Quarantine(key, tuple(map(tuple, groups)), wall_now())
    customers.carry_out(
        request, heads, lambda after: identifiers(after[key]) == [key] and _events(after) >= _events(before)
    )
    return _shown(_people(customers, heads))


def release(customers: Customers, key: str) -> list[dict[str, Any]]:
    """Takes a quarantine back: whoever was of one customer with the identifier is again. Returns that customer."""
    before = _people(customers, (key,))
    customers.carry_out(EndQuarantine(key, wall_now()), (key,), lambda after: _events(after) >= _events(before))
    return _shown(_people(customers, (key,)))


def identifiers(found: Found) -> list[str]:
    """The keys of a customer."""
    return [key_of(each["type"], each["value"]) for each in found["identifiers"]]


def side(found: Found) -> dict[str, Any]:
    """What is shown of a customer afterwards."""
    return {
        "profile_id": found["profile_id"],
        "identifiers": identifiers(found),
        "event_count": found["event_count"],
    }


def apart(after: Mapping[str, Found], before: Mapping[str, Found], a: Iterable[str], b: Iterable[str]) -> bool:
    """Whether no customer has keys of both sides any more, and every event has followed its identifier."""
    mine, theirs = ({after[key]["profile_id"] for key in keys} for keys in (a, b))
    return mine.isdisjoint(theirs) and _events(after) >= _events(before)


def _people(customers: Customers, keys: Iterable[str]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for key in keys:
        customer = customers.asked(key)
        if customer is None or key not in identifiers(customer):
            raise UnknownCustomer(f"nobody has {key}; the identifiers of a customer: rapport profile TYPE:VALUE")
        found[key] = customer
    return found


def _naming(customers: Customers, members: Sequence[str], key: str) -> Naming:
    try:
        if said := queries.shortcoming(customers.data):
            raise NotPublished(said)
        return Naming(queries.rows(customers.data, "named", {"keys": [*members]}))
    except NotPublished as error:
        raise NotPublished(f"Where the identifiers of {key} were named cannot be seen: {error}") from error


def _root(people: Mapping[str, Found], members: Sequence[str]) -> str:
    profile = next(found["profile_id"] for found in people.values() if members[0] in identifiers(found))
    return next(member for member in members if profile_id(member) == profile)


def _one(people: Mapping[str, Found]) -> bool:
    return len({found["profile_id"] for found in people.values()}) == 1


def _events(customers: Mapping[str, Found]) -> int:
    """Of all these, each customer once."""
    return sum({each["profile_id"]: each["event_count"] for each in customers.values()}.values())


def _shown(people: Mapping[str, Found]) -> list[dict[str, Any]]:
    return [side(found) for found in {found["profile_id"]: found for found in people.values()}.values()]
