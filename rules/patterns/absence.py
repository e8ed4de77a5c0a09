"""Open windows, derived from history: which runs of a rule still wait or were due. No state is kept between calls.

A signal is what one event means to one windowed rule, stored with the event in the profile's history as a JSON list
`[wait, role, key, same, taken]`; `wait` is the rule's hash of name and `when`, key and same are "" where the rule has
none, and `taken`, when the event was taken, is there where the signal sets a due time. Because runs are a function of
the set of stored signals, merging two histories, replaying them or reading them in another order gives the same runs.

At one instant what arms counts first, so an order closes the cart of the same second, or day; whether a restart or a
closing event counts next makes no difference. Where one name both arms and closes they count one by one, each closing
first. Among equals the sequence decides (the place in the file or batch), then the message id, never the arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rules.language.model import Rule

ARMS, CLOSES, RESTARTS = 0, 1, 2

Signal = list[Any]
"""`[wait, role, key, same, taken, fields]`: text, number, text, text, instant, text. Those that 0.1.0 stored have no
`taken`; `fields` is there where the rule's actions name some of the arming event."""


Entry = tuple[int, int, str, list[Signal]]
"""One stored event of a profile's history: when it occurred, its sequence, its message id, its signals."""


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
    first: str = ""
    """Message id of the event that opened it, where a newer one has armed it again since."""
    restarted: str = ""
    """Message id of the event that moved `due` last, where that armed nothing."""
    before_active: bool = False
    """It was opened before its rule was in the plan without a break: what has closed it may have been missed."""
    fields: str = ""
    """What the rule's actions name of the event that armed it, as JSON; empty where they name nothing."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Message ids of the events without which it would be another run, or none."""
        return tuple(filter(None, (self.first, self.message_id, self.restarted)))


_NEVER: Mapping[str, int] = {}

_Step = tuple[Any, ...]
"""What one event means to one rule: its time, its place at that instant (four values), and last its signal."""


class _Open(NamedTuple):
    """A run on its way."""

    due: int
    taken: int
    armed_at: int
    first: str
    message_id: str
    restarted: str
    key: str
    same: str
    """What closes it."""
    fields: str


class _Windows:
    """The runs of one rule, fed with its signals in the order of time."""

    def __init__(self, rule: Rule) -> None:
        window = rule.when.window
        assert window is not None, rule.name
        self._rule = rule
        self._within = window.within
        self._keyed = rule.when.key is not None
        self._rearms = window.restart_on == rule.when.event
        self._same_is_group = window.same is not None and rule.when.key in (None, window.same)
        self._open: dict[str, _Open] = {}
        self._overdue: list[_Open] = []

    def apply(self, at: int, message_id: str, role: int, key: str, same: str, taken: int = 0, fields: str = "") -> None:
        if role == CLOSES:
            self._close(at, same)
            return
        group = key if self._keyed else same
        found = self._open.get(group)
        if found is not None and (at > found.due or (at == found.due and role == ARMS and not self._rearms)):
            self._overdue.append(self._open.pop(group))
            found = None
        due = at + self._within
        if role == ARMS and (found is None or self._rearms):
            first = message_id if found is None else found.first
            self._open[group] = _Open(due, taken, at, first, message_id, "", key, same, fields)
        elif role == RESTARTS and found is not None:
            self._open[group] = found._replace(due=due, taken=taken, restarted=message_id)

    def _close(self, at: int, same: str) -> None:
        groups = (same,) if self._same_is_group else tuple(self._open)
        for group in groups:
            found = self._open.get(group)
            if found is not None and found.same == same and at <= found.due:
                del self._open[group]
        if self._overdue:
            self._overdue = [each for each in self._overdue if each.same != same or at != each.due]

    def runs(self, before_active: bool) -> dict[str, Run]:
        """Every run not closed, by its run key; of several with one the earliest."""
        earliest: dict[str, Run] = {}
        for each in (*self._overdue, *self._open.values()):
            due, taken, armed_at, first, message_id, restarted, key, _, fields = each
            run_key = key if self._keyed else first
            run = Run(self._rule, run_key, due, armed_at, message_id, taken, first, restarted, before_active, fields)
            earliest.setdefault(run_key, run)
        return earliest


def open_runs(rules: Mapping[str, Rule], history: Iterable[Entry], since: Mapping[str, int] = _NEVER) -> list[Run]:
    """The runs that rules with a window (by what their signals are stored under) have open in a history in any order.

    The soonest due comes first. A window opens when its rule is armed and none is open in its group: the value of
    `key`, else of `same`, else the whole profile. The awaited event closes it when it comes at the arming instant or
    later, at the due instant at the latest: then the event wins. A restart until then moves due. Runs whose due has
    passed are given, too: the caller knows which of them have fired. Signals of other rules mean nothing.

    `since` says when each rule (by its name) came into the plan: what was taken earlier opens runs of their own, which
    are `before_active`, and none where the rule has opened one of the same key since.
    """
    heard: dict[str, tuple[Rule, list[_Step]]] = {}
    armed = set()  # the others open nothing
    for at, sequence, message_id, signals in history:
        for signal in signals:
            rule = rules.get(signal[0])
            if rule is None:
                continue
            found = heard.get(rule.name)
            if found is None:
                found = heard[rule.name] = (rule, [])
            role = signal[1]
            if role == ARMS:
                armed.add(rule.name)
            rank = 0 if rule.closes_itself else role
            found[1].append((at, rank, sequence, message_id, role != CLOSES, signal))
    runs: list[Run] = []
    for name, (rule, steps) in heard.items():
        if name not in armed:
            continue
        steps.sort()
        began = since.get(name, 0)
        now = _runs(rule, steps if not began else [step for step in steps if not _earlier(step, began)], False)
        runs += now.values()
        if began:
            earlier = [step for step in steps if step[-1][1] == CLOSES or _earlier(step, began)]
            runs += (run for key, run in _runs(rule, earlier, True).items() if key not in now)
    runs.sort(key=lambda run: (run.due, run.armed_at, run.rule.name, run.run_key))
    return runs


def _earlier(step: _Step, began: int) -> bool:
    """Whether what opens or restarts a window was taken before its rule was in the plan."""
    signal: Signal = step[-1]
    return signal[1] != CLOSES and (len(signal) < 5 or signal[4] < began)


def _runs(rule: Rule, steps: Iterable[_Step], before_active: bool) -> dict[str, Run]:
    windows = _Windows(rule)
    for at, _, _, message_id, _, signal in steps:
        windows.apply(at, message_id, *signal[1:])
    return windows.runs(before_active)
