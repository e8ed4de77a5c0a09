"""Reads a plan folder. Every file of it is optional; what is missing keeps its built-in default.

All problems of all files are reported at once. Nothing is judged here: what the files hold goes to the
loaders of their packages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import orjson

from profiles.settings import DEFAULT, load_identity
from rapport.plan.files import IDENTITY, PLAN, RULES, content, unread, yaml_files
from rules.evaluator import RuleSet
from rules.lint.names import NOTHING, Seen
from rules.lint.walk import Lint, lints
from rules.load import load_rules
from schemas.errors import PlanError, Problem
from stream.core.plan import Plan, load_allowance

T = TypeVar("T")


def load(folder: Path | None) -> Plan:
    """The plan in `folder`, or the default plan where no folder was named. Raises PlanError with every problem."""
    if folder is None:
        return Plan()
    if not folder.is_dir():
        raise PlanError([Problem(str(folder), 0, 0, "no such plan folder; `rapport init` makes one")])
    problems: list[Problem] = []
    try:
        present = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise PlanError([Problem(str(folder), 0, 0, f"cannot be read: {error.strerror}")]) from error
    identity = _one(folder, present, IDENTITY, load_identity, DEFAULT, problems)
    allowed = _one(folder, present, PLAN, load_allowance, Plan().allow_late_input, problems)
    rules = _rules(folder, problems)
    if problems or identity is None or rules is None or allowed is None:
        raise PlanError(problems)
    return Plan(identity, rules, allowed)


def digest(plan: Plan) -> str:
    """12 hex digits that are the same on every worker with the same plan, whatever its layout and comments."""
    rules = sorted((rule.name, rule.version, rule.status) for rule in plan.rules.rules)
    stated = orjson.dumps([asdict(plan.identity), rules, plan.allow_late_input], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(stated).hexdigest()[:12]


def doubts(folder: Path, plan: Plan, seen: Seen = NOTHING) -> list[Lint]:
    """What a folder, loaded as `plan`, says and may not mean: files that are not read, no rules, lints of its rules."""
    problems: list[Problem] = []
    found = lints(_texts(folder, problems), seen)
    if not plan.rules.rules:
        found.append(Lint(str(folder / RULES), 0, 0, "there are no rules; `rapport init DIR` writes a first one."))
    return unread(folder) + found


def _one(
    folder: Path,
    present: Collection[str],
    names: tuple[str, ...],
    read: Callable[[bytes, str], T],
    default: T,
    problems: list[Problem],
) -> T | None:
    """What a file that may have one of these names says. `present` are the names in the folder, as they are written:
    some file systems find `Identity.yaml` where identity.yaml is asked for."""
    found = [folder / name for name in names if name in present]
    if len(found) > 1:
        problems.append(Problem(str(found[1]), 0, 0, f"there is a second file, {found[0].name}; keep one of them"))
    if not found:
        return default
    text = content(found[0], problems)
    if text is None:
        return None
    try:
        return read(text, str(found[0]))
    except PlanError as error:
        problems.extend(error.problems)
        return None


def _rules(folder: Path, problems: list[Problem]) -> RuleSet | None:
    try:
        return load_rules(_texts(folder, problems))
    except PlanError as error:
        problems.extend(error.problems)
        return None


def _texts(folder: Path, problems: list[Problem]) -> dict[str, bytes]:
    texts = {str(path): content(path, problems) for path in yaml_files(folder / RULES, problems)}
    return {file: text for file, text in texts.items() if text is not None}
