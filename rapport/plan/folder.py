"""Reads a plan folder. Every file of it is optional; what is missing keeps its built-in default.

All problems of all files are reported at once. Nothing is judged here: what the files hold goes to the
loaders of their packages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from profiles.settings import DEFAULT, load_identity
from rapport.plan.files import IDENTITY, PLAN, RULES, content, unread, yaml_files
from rules.lint.names import NOTHING, Seen
from rules.lint.walk import Lint, lints
from rules.load import load_rules
from schemas.errors import DataFolderError, PlanError, Problem
from schemas.yaml.reader import raise_if_any
from sinks.lake import durable
from stream.core.plan import Plan, load_allowance

KEPT = "plan.json"
"""In a data folder: the plan that it had last."""


class Texts(NamedTuple):
    """The files of a plan by their names, as far as a run needs them."""

    identity: Mapping[str, bytes]
    plan: Mapping[str, bytes]
    rules: Mapping[str, bytes]


def load(folder: Path | None, data: Path | None = None) -> Plan:
    """The plan in `folder`; where no folder was named, the one that `data` had last, else the default plan.

    Raises PlanError with every problem.
    """
    if folder is None:
        return _parsed(kept(data), []) if data is not None and has_kept(data) else Plan()
    problems: list[Problem] = []
    texts = _read(folder, problems)
    return _parsed(texts, problems)


def keep(folder: Path, data: Path) -> None:
    """A data folder goes on with this plan where none is named. Raises FolderUnwritable or PlanError."""
    problems: list[Problem] = []
    texts = _read(folder, problems)
    raise_if_any(problems)
    shown = {part: {name: text.decode() for name, text in found.items()} for part, found in texts._asdict().items()}
    with durable.as_folder_error(data):
        durable.replace_file(data / KEPT, orjson.dumps(shown, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))


def has_kept(data: Path) -> bool:
    """Whether a data folder knows the plan that it had last."""
    return (data / KEPT).is_file()


def kept(data: Path) -> Texts:
    """The plan that a data folder had last. Raises DataFolderError where it cannot be read."""
    path = data / KEPT
    try:
        stored = orjson.loads(path.read_bytes())
        return Texts(*({name: text.encode() for name, text in stored[part].items()} for part in Texts._fields))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataFolderError(f"{path} cannot be read ({error}). Name the plan folder with --plan DIR.") from error


def _read(folder: Path, problems: list[Problem]) -> Texts:
    if not folder.is_dir():
        raise PlanError([Problem(str(folder), 0, 0, "no such plan folder; `rapport init` makes one")])
    try:
        present = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise PlanError([Problem(str(folder), 0, 0, f"cannot be read: {error.strerror}")]) from error
    identity, plan = (_one(folder, present, names, problems) for names in (IDENTITY, PLAN))
    return Texts(identity, plan, _texts(folder, problems))


def _parsed(texts: Texts, problems: list[Problem]) -> Plan:
    found: dict[str, Any] = {"identity": DEFAULT, "allow_late_input": Plan().allow_late_input}
    for name, files, read in (
        ("identity", texts.identity, load_identity),
        ("allow_late_input", texts.plan, load_allowance),
    ):
        for file, text in files.items():
            try:
                found[name] = read(text, file)
            except PlanError as error:
                problems.extend(error.problems)
    try:
        found["rules"] = load_rules(texts.rules)
    except PlanError as error:
        problems.extend(error.problems)
    raise_if_any(problems)
    return Plan(**found)


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


def _one(folder: Path, present: Collection[str], names: tuple[str, ...], problems: list[Problem]) -> dict[str, bytes]:
    """A file that may have one of these names. `present` are the names in the folder, as they are written: some file
    systems find `Identity.yaml` where identity.yaml is asked for."""
    found = [folder / name for name in names if name in present]
    if len(found) > 1:
        problems.append(Problem(str(found[1]), 0, 0, f"there is a second file, {found[0].name}; keep one of them"))
    texts = {str(path): content(path, problems) for path in found[:1]}
    return {file: text for file, text in texts.items() if text is not None}


def _texts(folder: Path, problems: list[Problem]) -> dict[str, bytes]:
    texts = {str(path): content(path, problems) for path in yaml_files(folder / RULES, problems)}
    return {file: text for file, text in texts.items() if text is not None}
