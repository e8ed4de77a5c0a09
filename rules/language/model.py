"""A rule as a value: what the parser makes and the evaluator compiles. It must know neither YAML nor events.

A `Rule.version` is the first 12 hex digits of the SHA-256 over what the rule does: its name, purpose, `when` and
`then` in canonical JSON. Title, owner, status, comments, layout and the order of conditions do not change it. A renamed
rule is another rule. `Rule.wait` is the same over name and `when` alone: what customers wait under, so that a changed
text, purpose or status loses nobody who waits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

Value = str | int | float | bool

STATUSES = ("draft", "shadow", "live", "paused")
ACTIVE = frozenset(("shadow", "live"))
"""Rules of these statuses decide; a shadow rule records that, and does nothing else."""

Root = Literal["properties", "context", "traits"]


class Path(NamedTuple):
    """Where a value stands in an event's body."""

    root: Root
    """`properties` are the event's own: the traits of an identify or group call. `traits` are those, or the
    `context.traits` that other events send along."""
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.steps if self.root == "properties" else (self.root, *self.steps))


@dataclass(frozen=True, slots=True)
class Compare:
    """One field against one operand. `operator` is a key of `rules.conditions.operators.OPERATORS`."""

    field: Path
    operator: str
    operand: Value | tuple[Value, ...]

    def canonical(self) -> Any:
        operand = sorted(map(repr, self.operand)) if isinstance(self.operand, tuple) else self.operand
        return [str(self.field), self.operator, operand]


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions taken together: `all`, `any` or `none` of them."""

    kind: Literal["all", "any", "none"]
    conditions: tuple[Condition, ...]

    def canonical(self) -> Any:
        return [self.kind, sorted((each.canonical() for each in self.conditions), key=json.dumps)]


Condition = Compare | Group


@dataclass(frozen=True, slots=True)
class Window:
    """The absence of an event for a time."""

    event: str
    where: Condition | None
    within: int
    """Microseconds."""
    same: Path | None
    """Only an event with the same value here counts as the awaited one."""
    restart_on: str | None
    """Name of the event that starts the time anew."""


@dataclass(frozen=True, slots=True)
class When:
    """What a rule waits for: an event, or an event and then a window without another one."""

    event: str
    where: Condition | None
    window: Window | None
    key: Path | None
    """One run per value of this field; without it one per event, or with a window one at a time."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do, as it goes into a trigger."""

    kind: str
    """`send`, `alert` or `webhook`."""
    payload: Mapping[str, Any]
    """send: channel, template. alert: channels, to, message, severity. webhook: name, body."""


@dataclass(frozen=True)
class Rule:
    name: str
    title: str
    owner: str
    status: str
    purpose: str
    when: When
    then: tuple[Action, ...]
    file: str
    line: int

    @property
    def active(self) -> bool:
        return self.status in ACTIVE

    @property
    def listens(self) -> bool:
        """Whether it sees events: the windows of a paused rule go on. A draft is as good as absent."""
        return self.status != "draft"

    @cached_property
    def closes_itself(self) -> bool:
        """Whether one name both arms and closes: at one instant such events count one by one, each closing first."""
        return self.when.window is not None and self.when.window.event == self.when.event

    @cached_property
    def version(self) -> str:
        then = [[action.kind, action.payload] for action in self.then]
        return _digest({**self._waited_for(), "purpose": self.purpose, "then": then})

    @cached_property
    def wait(self) -> str:
        return _digest({**self._waited_for(), "kind": "wait"})

    def _waited_for(self) -> dict[str, Any]:
        when, window = self.when, self.when.window
        return {
            "rule": self.name,
            "event": when.event,
            "where": when.where and when.where.canonical(),
            "key": when.key and str(when.key),
            "window": window
            and {
                "event": window.event,
                "where": window.where and window.where.canonical(),
                "within": window.within,
                "same": window.same and str(window.same),
                "restart_on": window.restart_on,
            },
        }


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
