"""The active plan: what marketers wrote, loaded and checked."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.settings import DEFAULT, IdentitySettings
from rules.evaluator import RuleSet


@dataclass(frozen=True, slots=True)
class Plan:
    """Identity settings and rules. Everything works without either: `Plan()` is the built-in plan."""

    identity: IdentitySettings = DEFAULT
    rules: RuleSet = RuleSet()
