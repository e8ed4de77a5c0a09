"""Reads a plan folder. Every file of it is optional; what is missing keeps its built-in default.

All problems of all files are reported at once. Nothing is judged here: what the files hold goes to the
loaders of their packages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import orjson

from profiles.settings import DEFAULT, load_identity
from rules.evaluator import RuleSet
from rules.load import load_rules
from schemas.errors import PlanError, Problem
from schemas.yaml.strict import SIZE_LIMIT
from stream.core.plan import Plan, load_allowance

IDENTITY = ("identity.yaml", "identity.yml")
PLAN = ("plan.yaml", "plan.yml")
YAML = (".yaml", ".yml")

T = TypeVar("T")


def load(folder: Path | None) -> Plan:
    """The plan in `folder`, or the default plan where no folder was named. Raises PlanError with every problem."""
    if folder is None:
        return Plan()
    if not folder.is_dir():
        raise PlanError([Problem(str(folder), 0, 0, "no such plan folder; `rapport init` makes one")])
    problems: list[Problem] = []
    identity = _one(folder, IDENTITY, load_identity, DEFAULT, problems)
    allowed = _one(folder, PLAN, load_allowance, Plan().allow_late_input, problems)
    rules = _rules(folder, problems)
    if problems or identity is None or rules is None or allowed is None:
        raise PlanError(problems)
    return Plan(identity, rules, allowed)


def digest(plan: Plan) -> str:
    """12 hex digits that are the same on every worker with the same plan, whatever its layout and comments."""
    rules = sorted((rule.name, rule.version, rule.status) for rule in plan.rules.rules)
    stated = orjson.dumps([asdict(plan.identity), rules, plan.allow_late_input], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(stated).hexdigest()[:12]


def rule_files(folder: Path) -> list[Path]:
    """The rule files of a plan folder, in the order in which they are reported."""
    return sorted(path for path in (folder / "rules").rglob("*") if path.suffix in YAML and path.is_file())


def _one(
    folder: Path, names: tuple[str, ...], read: Callable[[bytes, str], T], default: T, problems: list[Problem]
) -> T | None:
    """What a file that may have one of these names says."""
    found = [folder / name for name in names if (folder / name).is_file()]
    if len(found) > 1:
        problems.append(Problem(str(found[1]), 0, 0, f"there is a second file, {found[0].name}; keep one of them"))
    if not found:
        return default
    content = _content(found[0], problems)
    if content is None:
        return None
    try:
        return read(content, str(found[0]))
    except PlanError as error:
        problems.extend(error.problems)
        return None


def _rules(folder: Path, problems: list[Problem]) -> RuleSet | None:
    contents = {str(path): _content(path, problems) for path in rule_files(folder)}
    try:
        return load_rules({file: content for file, content in contents.items() if content is not None})
    except PlanError as error:
        problems.extend(error.problems)
        return None


def _content(path: Path, problems: list[Problem]) -> bytes | None:
    """At most a little more than a plan file may hold: its loader says what is wrong with more."""
    try:
        with path.open("rb") as file:
            return file.read(SIZE_LIMIT + 1)
    except OSError as error:
        problems.append(Problem(str(path), 0, 0, f"cannot be read: {error.strerror}"))
        return None
