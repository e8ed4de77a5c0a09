"""Finding customers as people ask: words in any order, numbers as they are spoken, one slip of the keyboard.

It reads what was published last, and only that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from rapport.customers import patterns, queries
from rapport.customers.asked import profile_id_in
from rapport.customers.local import meant
from schemas.errors import UsageError
from schemas.keys import key_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LOOKED_AT_CLOSER = 100_000
"""Customers whose values are laid out one by one; where more have the longest term, all are read again for the next."""
LONGEST = 1_000
"""Characters of a word: a pattern of more would be too large."""
_UNSEEN = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
"""What is copied along with a word and nobody sees."""
_NUMBER = re.compile(r"(?<!\S)[+(]?\d[\d ()/.\u00a0\u2010-\u2015-]{3,}\d(?!\S)")
"""A phone number, or the part of one that somebody knows."""
_ABROAD = re.compile(r"\+|00")
_NAME = re.compile(r"[^\W\d_]{4,24}")
"""In what one slip is looked for, as it is in addresses. A number that differs by a digit is another number."""


@dataclass(frozen=True, slots=True)
class Found:
    customers: list[dict[str, Any]]
    of_all: int
    """How many there are; `customers` has the first of them."""
    instead: Sequence[str] = ()
    """The words that were looked for because nobody has those of the search."""


@dataclass(frozen=True, slots=True)
class _Term:
    """What has to be a part of something that is known of a customer: one of these texts, or these digits."""

    texts: tuple[str, ...]
    digits: str = ""

    def pattern(self, quoted: bool = False) -> str:
        texts = [orjson.dumps(text).decode()[1:-1] if quoted else text for text in self.texts]
        numbers = [patterns.of_number(self.digits)] if self.digits else []
        return "|".join([*map(patterns.of_text, texts), *numbers])


def find(data: Path, text: str, limit: int) -> Found:
    """Customers who have every word of `text` in an identifier, a trait value or the id of an order, ticket or cart.

    Whole values come first, then whoever was seen last. Where nobody has all words, those are found whose names or
    addresses differ by one slip. Raises NotPublished and QueryError, and UsageError where there is nothing to look for.
    """
    words = [word for each in text.split() if (word := each.strip(_UNSEEN))]
    if not words:
        raise UsageError("write what to look for: words, numbers, ids or parts of them")
    if max(map(len, words)) > LONGEST:
        raise UsageError(f"write shorter words, of up to {LONGEST:,} characters")
    with queries.opened(data) as connection:
        queries.answer(connection, "hits_made")
        for terms in _readings(data, words):
            if found := _found(connection, terms, limit):
                return found
        near = [_near(connection, term) for term in terms]
        if near == terms or not (found := _found(connection, near, limit)):
            return Found([], 0)
        instead = [word for term, other in zip(terms, near, strict=True) if term != other for word in other.texts]
        return Found(found.customers, found.of_all, instead)


def _readings(data: Path, words: Sequence[str]) -> Iterator[list[_Term]]:
    """What the words may mean: with a phone number among them, then one by one."""
    text = " ".join(words)
    if number := _NUMBER.search(text):
        rest = f"{text[: number.start()]} {text[number.end() :]}".split()
        yield [_Term((number[0],), _digits(data, number[0])), *(_Term((word,)) for word in rest)]
        if len(rest) + 1 == len(words):
            return
    yield [_Term((word,)) for word in words]


def _digits(data: Path, number: str) -> str:
    """The digits of a number that a full one has in it, however it was spoken: `030 1000356`, `+49 (0)30 1000356`."""
    full = meant(data, None, key_of("phone", number))
    if full is not None:
        return full.partition(":+")[2]
    abroad = _ABROAD.match(number)
    digits = re.sub(r"\D", "", number.replace("(0)", "") if abroad else number)
    return digits.removeprefix("00" if abroad else "0")


def _found(connection: DuckDBPyConnection, terms: Sequence[_Term], limit: int) -> Found | None:
    """Whoever has all of them, or None. All customers are looked at for the longest term, then whoever has that."""
    connection.execute("DELETE FROM hit")
    narrowed = False
    for place, term in enumerate(sorted(terms, key=lambda term: -len(term.texts[0]))):
        hits = _hits(connection, place, term, narrowed)
        if not hits:
            return None
        if not narrowed and hits <= LOOKED_AT_CLOSER and len(terms) > 1:
            connection.execute("DELETE FROM wanted; INSERT INTO wanted SELECT profile_id FROM hit")
            queries.answer(connection, "fields")
            narrowed = True
    found = queries.answer(connection, "find", {"terms": len(terms), "limit": limit})
    if not found:
        return None
    of_all = found[0]["of_all"]
    connection.execute("DELETE FROM wanted")
    connection.executemany("INSERT INTO wanted VALUES (?)", [[each["profile_id"]] for each in found])
    queries.answer(connection, "fields")
    _found_as(connection, terms, found)
    return Found([{name: each[name] for name in each if name != "of_all"} for each in found], of_all)


def _hits(connection: DuckDBPyConnection, place: int, term: _Term, narrowed: bool) -> int:
    """Gathers who has a term; returns how many.

    Only where nobody has it as a whole value are events read, for the ids of tickets and carts.
    """
    pattern = term.pattern()
    asked = {"term": place, "pattern": pattern, "whole": patterns.whole(pattern)}
    if narrowed:
        queries.answer(connection, "hits_of_fields", asked)
    else:
        queries.answer(connection, "hits", {**asked, "quoted": term.pattern(quoted=True)})
    [text, *_] = term.texts
    id_ = profile_id_in(text)
    if id_ is not None and (rows := queries.of_profile(connection, id_)):
        person = [rows[0]["profile_id"], place, True, f"profile_id:{id_}"]
        connection.execute("INSERT INTO hit VALUES (?, ?, ?, ?)", person)
    hits, whole = _counted(connection, place)
    if not whole and re.search(r"\d", text):
        named = rf'(?i)"(ticket_?id|cart_?id)":\s*"?({re.escape(text)})["\s,}}]'
        queries.answer(connection, "hits_of_events", {"term": place, "text": text, "named": named})
        hits, _ = _counted(connection, place)
    return hits


def _counted(connection: DuckDBPyConnection, place: int) -> tuple[int, int]:
    """Customers who have a term, and of these who as a whole value."""
    counted = "SELECT count(DISTINCT profile_id), count_if(whole) FROM hit WHERE term = ?"
    [(hits, whole)] = connection.execute(counted, [place]).fetchall()
    return hits, whole


def _found_as(connection: DuckDBPyConnection, terms: Sequence[_Term], found: Sequence[dict[str, Any]]) -> None:
    """Says in each customer found what of them the terms are a part of, and names those without a usual name."""
    told: dict[str, list[str]] = {each["profile_id"]: [each["found"]] if each["found"] else [] for each in found}
    for term in terms:
        pattern = term.pattern()
        asked = {"pattern": pattern, "whole": patterns.whole(pattern)}
        for row in queries.answer(connection, "found_as", asked):
            told[row["profile_id"]].append(row["found"])
    strangers = dict(connection.execute("SELECT profile_id, min(found) FROM field WHERE names GROUP BY ALL").fetchall())
    for each in found:
        each["found"] = ", ".join(dict.fromkeys(told[each["profile_id"]]))
        each["customer"] = each["customer"] or strangers[each["profile_id"]]


def _near(connection: DuckDBPyConnection, term: _Term) -> _Term:
    """The term with the names or addresses that are one slip away; as it is where there are none."""
    [text] = term.texts
    if "@" in text:
        words = queries.answer(connection, "near_address", {"address": text.lower()})
    elif _NAME.fullmatch(text):
        words = queries.answer(connection, "near", {"pattern": patterns.one_slip(text)})
    else:
        words = []
    return _Term(tuple(each["word"] for each in words)) if words else term
