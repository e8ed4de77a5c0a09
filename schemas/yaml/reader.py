"""Reads expected shapes out of YAML nodes and notes every mistake with its place. It must never stop at the first one.

Each method takes a node and what it is called, and gives the value, or None after noting a problem. A caller thus
reads on, and raises once at the end (`raise_if_any`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence

from schemas import instant
from schemas.errors import PlanError, Problem
from schemas.nearest import nearest
from schemas.yaml.strict import Mapping as MappingNode
from schemas.yaml.strict import Node, Scalar, shown
from schemas.yaml.strict import Sequence as SequenceNode

_UNITS = {"s": instant.SECOND, "m": instant.MINUTE, "h": instant.HOUR, "d": instant.DAY}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
DURATION_PATTERN = "^[0-9]{1,9}[smhd]$"


PATTERN_LIMIT = 200
REPEATS_LIMIT = 3
CHOICES_LIMIT = 12
_LITERAL = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEAT = re.compile(r"[*+{]")
_CHOICE = re.compile(r"(?<![(*+?}])\?|\|")
_GROUP = re.compile(r"\((?!\?:)\?|\)[*+{]")


def suggestion(name: str, options: Iterable[str]) -> str:
    """The option that was probably meant, or all of them, as a sentence."""
    guess = nearest(name, options)
    return f"Did you mean `{guess}`?" if guess else f"Known are: {listed(options)}."


def listed(options: Iterable[str]) -> str:
    return ", ".join(options)


def duration_text(micros: int) -> str:
    """The shortest writing of a duration: `3h`, not `180m`."""
    unit = next(unit for unit in ("d", "h", "m", "s") if micros % _UNITS[unit] == 0)
    return f"{micros // _UNITS[unit]}{unit}"


def raise_if_any(problems: Sequence[Problem]) -> None:
    """Raises PlanError with all problems in the order of files and lines."""
    if problems:
        raise PlanError(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column)))


class PlanReader:
    """Reads nodes of one file. `subject` leads every message, so that one knows what it is about."""

    def __init__(self, file: str, problems: list[Problem], subject: str = "") -> None:
        self.file = file
        self._problems = problems
        self._lead = f"{subject}: " if subject else ""

    @property
    def found(self) -> int:
        """How many problems there are by now."""
        return len(self._problems)

    def faulty(self, node: Node) -> bool:
        """Whether a problem at this very place is noted already."""
        here = (self.file, node.line, node.column)
        return any((each.file, each.line, each.column) == here for each in self._problems)

    def problem(self, node: Node, message: str) -> None:
        self._problems.append(Problem(self.file, node.line, node.column, self._lead + message))

    def mapping(
        self, node: Node, what: str, keys: Iterable[str], needed: Iterable[str] = (), later: Iterable[str] = ()
    ) -> dict[str, Node] | None:
        """The values under known keys. Unknown keys, missing ones and those of `later` versions are problems."""
        entries = self.entries(node, what)
        if entries is None:
            return None
        known, future = tuple(keys), frozenset(later)
        meant = set(entries)
        for name, (key, _) in entries.items():
            if name in future:
                self.problem(key, f"This version does not know `{name}` in {what} yet; remove it.")
            elif name not in known:
                self.problem(key, f"`{shown(name)}` is unknown in {what}. {suggestion(name, known)}")
                meant.add(nearest(name, known))
        for name in needed:
            if name not in meant:
                self.problem(node, f"`{name}` is missing in {what}; add it.")
        return {name: value for name, (_, value) in entries.items() if name in known}

    def entries(self, node: Node, what: str) -> Mapping[str, tuple[Scalar, Node]] | None:
        """All keys with their values, whatever their names."""
        if isinstance(node, MappingNode):
            return node.entries
        self._wrong(node, what, "keys with values, like `name: value`")
        return None

    def items(self, node: Node, what: str) -> tuple[Node, ...] | None:
        """The items of a list that is not empty."""
        if not isinstance(node, SequenceNode):
            self._wrong(node, what, "a list, like `[first, second]`")
            return None
        if not node.items:
            self.problem(node, f"{what} is empty; fill it or leave it out.")
            return None
        return node.items

    def texts(self, node: Node, what: str, longest: int = 200) -> tuple[str, ...] | None:
        """A list of texts."""
        items = self.items(node, what)
        if items is None:
            return None
        read = [self.text(item, f"an item of {what}", longest) for item in items]
        texts = tuple(text for text in read if text is not None)
        return texts if len(texts) == len(read) else None

    def text(self, node: Node, what: str, longest: int = 200) -> str | None:
        """Text that is not blank."""
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            quotes = isinstance(node, Scalar) and node.value is not None
            self._wrong(node, what, f'text; put quotes around it: "{shown(node.source)}"' if quotes else "text")  # type: ignore[union-attr]
            return None
        if not node.value.strip():
            self.problem(node, f"{what} is blank; fill it.")
            return None
        if len(node.value) > longest:
            self.problem(node, f"{what} is {len(node.value)} characters long; {longest} is the most.")
            return None
        return node.value

    def name(self, node: Node, what: str, pattern: str, example: str) -> str | None:
        """Text of the given regular expression."""
        text = self.text(node, what)
        if text is not None and not re.fullmatch(pattern, text):
            self.problem(node, f"{what} cannot be `{shown(text)}`; write a name like `{example}`.")
            return None
        return text

    def choice(self, node: Node, what: str, options: Sequence[str]) -> str | None:
        """One of the options."""
        text = self.text(node, what)
        if text is not None and text not in options:
            self.problem(node, f"{what} cannot be `{shown(text)}`. {suggestion(text, options)}")
            return None
        return text

    def pattern(self, node: Node, what: str) -> str | None:
        """A regular expression that cannot take long on any value: Python's matcher tries all ways to match."""
        text = self.text(node, what, PATTERN_LIMIT)
        if text is None:
            return None
        try:
            with warnings.catch_warnings(action="error"):
                re.compile(text, re.IGNORECASE)
        except re.error as error:
            where = "" if error.pos is None else f" at its character {error.pos + 1}"
            self.problem(node, f"{what} `{shown(text)}` is not a regular expression: {error.msg}{where}.")
            return None
        except (Warning, OverflowError, RecursionError) as error:
            self.problem(node, f"{what} `{shown(text)}` is not a clear regular expression: {error}.")
            return None
        bare = _LITERAL.sub("x", text)
        if _GROUP.search(bare):
            self.problem(node, f"{what} `{shown(text)}` repeats a group or uses (?...); only (?:...) is possible.")
            return None
        if len(_REPEAT.findall(bare)) > REPEATS_LIMIT or len(_CHOICE.findall(bare)) > CHOICES_LIMIT:
            most = f"{REPEATS_LIMIT} of * + {{}} and {CHOICES_LIMIT} of ? |"
            self.problem(node, f"{what} `{shown(text)}` could take too long to match; {most} are the most.")
            return None
        return text

    def boolean(self, node: Node, what: str) -> bool | None:
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        self._wrong(node, what, "true or false")
        return None

    def integer(self, node: Node, what: str, lowest: int, highest: int) -> int | None:
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return value
        self._wrong(node, what, f"a whole number from {lowest} to {highest}")
        return None

    def duration(self, node: Node, what: str, shortest: int, longest: int) -> int | None:
        """`30s`, `15m`, `3h` or `7d` in microseconds."""
        text = node.value if isinstance(node, Scalar) else None
        match = _DURATION.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            self._wrong(node, what, "a duration like 30s, 15m, 3h or 7d")
            return None
        micros = int(match[1]) * _UNITS[match[2]]
        if not shortest <= micros <= longest:
            bounds = f"{duration_text(shortest)} to {duration_text(longest)}"
            self.problem(node, f"{what} is `{match[0]}`; it must be from {bounds}.")
            return None
        return micros

    def _wrong(self, node: Node, what: str, expected: str) -> None:
        if isinstance(node, Scalar):
            got = f"`{shown(node.source)}`" if node.source else "empty"
        else:
            got = "a list" if isinstance(node, SequenceNode) else "a mapping"
        self.problem(node, f"{what} is {got}; it must be {expected}.")
