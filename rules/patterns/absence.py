"""Open windows, derived from history: which runs of a rule still wait or were due. No state is kept between calls.

A signal is what one event means to one windowed rule, stored with the event in the profile's history as a JSON list
`[version, role, key, same, taken]`; key and same are "" where the rule has none, and `taken`, when the event was taken,
is there where the signal sets a due time. Because runs are a
function of the set of stored signals, merging two histories, replaying them or reading them in another order gives
the same runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rules.language.model import Rule, Window

ARMS, CLOSES, RESTARTS = 0, 1, 2

Signal = list[Any]
"""`[version, role, key, same, taken]`: text, number, text, text, instant. Signals stored before 0.2 have no `taken`."""


Entry = tuple[int, str, list[Signal]]
"""One stored event of a profile's history: when it occurred, its message id, its signals."""


class Run(NamedTuple):
    """One opened window that no awaited event has closed."""

    rule: Rule
    run_key: str
    """The value of the rule's `key`, else the message id of the event that opened the window."""
    due: int
    """Instant at which the rule fires, if it has not yet (the caller keeps the marks of fired runs)."""
    armed_at: int
    message_id: str
    """The event that armed it, the newest one where a newer one arms it again; `armed_at` is its time."""
    taken: int = 0
    """When the event that set `due` was taken: an instant of the lane's clock. Not before `due` is late."""


_Open = tuple[int, int, int, str, str, str]
"""A run on its way: due, taken, armed_at, message_id, run_key, and the `same` value that closes it."""


class _Windows:
    """The runs of one rule, fed with its signals in the order of time."""

    def __init__(self, rule: Rule, window: Window) -> None:
        self._rule = rule
        self._within = window.within
        self._keyed = rule.when.key is not None
        self._rearms = window.restart_on == rule.when.event
        self._same_is_group = window.same is not None and rule.when.key in (None, window.same)
        self._open: dict[str, _Open] = {}
        self._overdue: list[_Open] = []

    def apply(self, at: int, message_id: str, role: int, key: str, same: str, taken: int = 0) -> None:
        if role == CLOSES:
            self._close(at, same)
            return
        group = key if self._keyed else same
        found = self._open.get(group)
        if found is not None and at >= found[0]:
            self._overdue.append(self._open.pop(group))
            found = None
        if role == ARMS and (found is None or self._rearms):
            first = message_id if found is None else found[4]
            self._open[group] = at + self._within, taken, at, message_id, key if self._keyed else first, same
        elif role == RESTARTS and found is not None:
            self._open[group] = at + self._within, taken, *found[2:]

    def _close(self, at: int, same: str) -> None:
        groups = (same,) if self._same_is_group else tuple(self._open)
        for group in groups:
            found = self._open.get(group)
            if found is not None and found[5] == same and at < found[0]:
                del self._open[group]

    def runs(self) -> Iterable[Run]:
        """Every run not closed; of several with one run key the earliest."""
        earliest: dict[str, Run] = {}
        for due, taken, armed_at, message_id, run_key, _ in (*self._overdue, *self._open.values()):
            if run_key not in earliest:
                earliest[run_key] = Run(self._rule, run_key, due, armed_at, message_id, taken)
        return earliest.values()


def open_runs(rules: Mapping[str, Rule], history: Iterable[Entry]) -> list[Run]:
    """The runs that the rules (by version) have open in a history given in any order, the soonest due first.

    A window opens when its rule is armed and none is open in its group: the value of `key`, else of `same`, else the
    whole profile. The awaited event closes it when it comes after the arming one and before it is due; at that instant
    the rule fires. A restart before due moves due. Runs whose due has passed are given, too: the caller knows which of
    them have fired. Signals of other versions mean nothing.
    """
    windows: dict[str, _Windows] = {}
    for at, message_id, signals in sorted(history):
        for version, role, key, same, *taken in signals if len(signals) == 1 else sorted(signals, key=_closing_first):
            found = windows.get(version)
            if found is None:
                rule = rules.get(version)
                if rule is None or rule.when.window is None:
                    continue
                found = windows[version] = _Windows(rule, rule.when.window)
            found.apply(at, message_id, role, key, same, *taken)
    runs = [run for each in windows.values() for run in each.runs()]
    runs.sort(key=lambda run: (run.due, run.armed_at, run.rule.name, run.run_key))
    return runs


def _closing_first(signal: Signal) -> bool:
    """An event that both closes and arms ends the old window and opens a new one, never its own."""
    return bool(signal[1] != CLOSES)
