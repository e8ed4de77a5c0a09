"""The active plan: what marketers wrote, loaded and checked."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.settings import DEFAULT, IdentitySettings
from rules.evaluator import RuleSet
from schemas.errors import Problem
from schemas.instant import HOUR, MINUTE, SECOND
from schemas.yaml.reader import PlanReader, raise_if_any
from schemas.yaml.strict import load


@dataclass(frozen=True, slots=True)
class Plan:
    """Identity settings and rules. Everything works without either: `Plan()` is the built-in plan."""

    identity: IdentitySettings = DEFAULT
    rules: RuleSet = RuleSet()
    allow_late_input: int = MINUTE
    """On a cluster: microseconds after its time for which a timer allows input to be under way."""


def load_allowance(text: str | bytes, file: str) -> int:
    """`allow_late_input` of a plan.yaml, in microseconds. Raises PlanError with all its problems."""
    problems: list[Problem] = []
    documents = load(text, file, problems)
    reader = PlanReader(file, problems)
    if len(documents) > 1:
        reader.problem(documents[1], "plan.yaml is one document; remove the `---` and what follows.")
    found = (reader.mapping(documents[0], "plan.yaml", ("allow_late_input",)) or {}) if documents else {}
    node = found.get("allow_late_input")
    allowed = reader.duration(node, "allow_late_input", SECOND, HOUR) if node is not None else None
    raise_if_any(problems)
    return MINUTE if allowed is None else allowed
