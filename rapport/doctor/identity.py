"""Looks for identifiers that join strangers, and for those that an event of today would no longer give.

By facts alone, as they are published: the same facts in any order are found the same. It changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from profiles.identifiers import normalized
from profiles.settings import BLOCKED, SUSPECT_ABOVE, IdentitySettings
from rapport.customers import queries
from rapport.doctor.local import Finding, Verdict, listed
from rapport.plan import folder as plan_folder
from schemas.errors import PlanError, QueryError

CHECK = "identifiers"


def of_identity(data: Path, plan: Path | None) -> Iterator[Finding]:
    """Nothing where the plan cannot be loaded or nothing can be read that is published: other checks say that."""
    try:
        settings = plan_folder.load(plan, data).identity
        held = {row["key"] for row in queries.rows(data, "in_quarantine", package="rapport.doctor")}
        many = _named_with_many(data, settings, held)
        odd = _spelled_oddly(data, settings, held)
    except (PlanError, QueryError):
        return
    if many:
        yield Finding(
            CHECK,
            Verdict.warn,
            f"on one day named with very many others: {listed(many, 5)}",
            "rapport identity explain shows whom one joined; rapport identity quarantine lets it join nobody",
        )
    respelled = [f"{key} (now {now})" for key, now in odd if now]
    if respelled:
        yield Finding(
            CHECK,
            Verdict.warn,
            f"stored in a spelling of earlier versions: {listed(respelled, 5)}",
            "once the new spelling has come, rapport identity merge OLD NEW makes them one",
        )
    blocked = [key for key, now in odd if not now]
    if blocked:
        yield Finding(
            CHECK,
            Verdict.warn,
            f"stored by earlier versions and dropped now: {listed(blocked, 5)}",
            "rapport identity quarantine takes those apart whom one has joined",
        )
    if not many and not odd:
        yield Finding(CHECK, Verdict.ok, "none was on one day named with very many others")


def _named_with_many(data: Path, settings: IdentitySettings, held: set[str]) -> list[str]:
    limits = {each.name: each.suspect_above for each in settings.types if each.suspect_above is not None}
    asked = {"types": [*limits], "limits": [*limits.values()], "otherwise": SUSPECT_ABOVE}
    found = queries.rows(data, "named_with_many", asked, "rapport.doctor")
    return [
        f"{each['key']} with {each['others']:,} {each['other_type']} on {each['day']}"
        for each in found
        if each["key"] not in held
    ]


def _spelled_oddly(data: Path, settings: IdentitySettings, held: set[str]) -> list[tuple[str, str | None]]:
    """Keys and what they are under these settings, where that is something else."""
    types = {"email", *(each.name for each in settings.types)}
    asked = {
        "emails": [type_ for type_ in types if settings.terms(type_).normalizer == "email"],
        "blocked": [*BLOCKED],
    }
    keys = [row["key"] for row in queries.rows(data, "spelled_oddly", asked, "rapport.doctor")]
    return [(key, now) for key in keys if key not in held and (now := normalized(key, settings)) != key]
