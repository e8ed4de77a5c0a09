"""Which files of a plan folder are read, and which only look as if they were.

    identity.yaml, plan.yaml     or .yml
    rules/**, tests/**           every .yaml and .yml, in folders of any depth

Hidden files and folders are never looked at: editors, notebooks and Kubernetes keep copies there. Symbolic links are
followed, and what several of them lead to is read once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG

from rules.lint.walk import Lint
from schemas.errors import Problem
from schemas.yaml.strict import SIZE_LIMIT

IDENTITY = ("identity.yaml", "identity.yml")
PLAN = ("plan.yaml", "plan.yml")
RULES, TESTS = "rules", "tests"
YAML = (".yaml", ".yml")
_NOTES = (".md",)
"""Files beside rules and tests that nobody takes for one."""


def yaml_files(folder: Path, problems: list[Problem]) -> list[Path]:
    """The plan files of a folder, in the order in which they are reported; what cannot be looked at is a problem."""
    found: dict[Path, Path] = {}
    for path in sorted(_below(folder, problems), key=lambda path: (path.is_symlink(), path)):
        if path.suffix in YAML:
            try:
                mode = path.stat().st_mode
            except OSError as error:
                problems.append(Problem(str(path), 0, 0, f"cannot be read: {error.strerror}"))
                continue
            if not S_ISREG(mode):
                problems.append(Problem(str(path), 0, 0, "is no file; remove it"))
                continue
            found.setdefault(path.resolve(), path)
    return sorted(found.values())


def content(path: Path, problems: list[Problem]) -> bytes | None:
    """At most a little more than a plan file may hold: its loader says what is wrong with more."""
    try:
        with path.open("rb") as file:
            return file.read(SIZE_LIMIT + 1)
    except OSError as error:
        problems.append(Problem(str(path), 0, 0, f"cannot be read: {error.strerror}"))
        return None


def unread(folder: Path) -> list[Lint]:
    """Files that look like a part of the plan and are none."""
    lints: list[Lint] = []
    for path in _visible(folder):
        if path.name in (RULES, TESTS):
            lints += [_lint(each, _of_ending(each)) for each in _below(path, []) if _is_other(each)]
        elif path.is_dir():
            lints += [_lint(each, _of_folder(path.name)) for each in _visible(path) if _like_yaml(each.name)]
        elif path.name not in (*IDENTITY, *PLAN) and (advice := _of_name(path.name)):
            lints.append(_lint(path, advice))
    return sorted(lints)


def _is_other(path: Path) -> bool:
    return path.suffix not in YAML and path.suffix.lower() not in _NOTES


def _of_ending(path: Path) -> str:
    return "its name must end in .yaml or .yml, in small letters" if path.exists() else "it leads to nothing"


def _lint(path: Path, advice: str) -> Lint:
    return Lint(str(path), 0, 0, f"this file is not read: {advice}.")


def _of_folder(name: str) -> str:
    for known in (RULES, TESTS):
        if name.casefold() in (known, known.removesuffix("s")):
            return f"rename its folder to {known}"
    return "only rules/, tests/, identity.yaml and plan.yaml are"


def _of_name(name: str) -> str:
    """What to do with a file at the top of the folder; "" where nobody takes it for a part of the plan."""
    for known in (IDENTITY[0], PLAN[0]):
        if name.casefold().split(".")[0] == known.split(".")[0] and not name.casefold().endswith(_NOTES):
            return f"name it {known}"
    return "rules are in rules/, tests in tests/" if _like_yaml(name) else ""


def _like_yaml(name: str) -> bool:
    return any(ending in name.casefold() for ending in YAML)


def _below(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """Every visible file below. A folder that several links lead to, or one lead back to, is entered once."""
    entered: set[Path] = set()
    waiting = deque([folder])
    while waiting:
        here = waiting.popleft()
        try:
            found = _visible(here)
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(Problem(str(here), 0, 0, f"cannot be read: {error.strerror}"))
            continue
        if here.resolve() in entered:
            continue
        entered.add(here.resolve())
        for path in found:
            if not path.is_dir():
                yield path
            elif path.is_symlink():
                waiting.append(path)
            else:
                waiting.appendleft(path)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
