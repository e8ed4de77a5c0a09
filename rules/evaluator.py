"""Rules compiled for speed, and what an event means to them. Nothing here keeps state, waits or raises on an event.

An event whose name no rule mentions costs one dict look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from rules.conditions.operators import Predicate, View, compiled, getter
from rules.language.model import Path, Rule, Window
from rules.patterns.absence import ARMS, CLOSES, RESTARTS, Entry, Run, Signal, open_runs
from schemas.messages import Event

KEY_LIMIT = 256
"""Characters: a longer value of `key` or `same` is none, for every profile's history would carry it."""

_NOTHING: Mapping[str, Any] = {}


class Fire(NamedTuple):
    """A rule without a window that an event met."""

    rule: Rule
    run_key: str


class Reaction(NamedTuple):
    """What one event means to the rules."""

    fires: tuple[Fire, ...]
    signals: list[Signal]
    """To be stored with the event in its profile's history, for `RuleSet.open_runs`."""


_Immediate = tuple[Rule, Predicate | None, Callable[[View], str] | None]
_Signaller = Callable[[View, bool, int, list[Signal]], None]


class RuleSet:
    """All rules of a plan; only those that are live or shadow look at events."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = tuple(rules)
        self.active = tuple(rule for rule in self.rules if rule.active)
        self._by_version = {rule.version: rule for rule in self.active}
        windows = [rule.when.window for rule in self.active if rule.when.window]
        self.horizon = max((window.within for window in windows), default=0)
        """Microseconds: the longest window of any rule, 0 without one."""
        self._reactions = _by_event(self.active)

    def on_event(self, event: Event, late: bool = False, taken: int = 0) -> Reaction | None:
        """What the event means; None when it means nothing. A late one only closes and restarts windows.

        `taken` is the instant at which a lane takes it.
        """
        found = self._reactions.get(event.name)
        if found is None:
            return None
        body = event.body
        own = body.get("traits" if event.type == "identify" or event.type == "group" else "properties")
        view = (own if isinstance(own, dict) else _NOTHING, body)
        immediates, signallers = found
        fires: list[Fire] = []
        if not late:
            for rule, matches, key_of in immediates:
                if matches is None or matches(view):
                    key = event.message_id if key_of is None else key_of(view)
                    if key:
                        fires.append(Fire(rule, key))
        signals: list[Signal] = []
        for signaller in signallers:
            signaller(view, late, taken, signals)
        return Reaction(tuple(fires), signals) if fires or signals else None

    def within(self, version: str) -> int:
        """The window of the active rule of this version, in microseconds; 0 where it has none."""
        window = self._by_version[version].when.window
        return window.within if window else 0

    def open_runs(self, history: Iterable[Entry]) -> list[Run]:
        """The runs that active rules have open in a profile's history: see `rules.patterns.absence.open_runs`."""
        return open_runs(self._by_version, history)


def _by_event(rules: Iterable[Rule]) -> dict[str, tuple[tuple[_Immediate, ...], tuple[_Signaller, ...]]]:
    immediates: dict[str, list[_Immediate]] = {}
    signallers: dict[str, list[_Signaller]] = {}
    for rule in rules:
        window = rule.when.window
        if window is None:
            where = compiled(rule.when.where) if rule.when.where else None
            key_of = _text_getter(rule.when.key) if rule.when.key else None
            immediates.setdefault(rule.when.event, []).append((rule, where, key_of))
        else:
            for name in dict.fromkeys((rule.when.event, window.event, window.restart_on)):
                if name is not None:
                    signallers.setdefault(name, []).append(_signaller(rule, window, name))
    names = dict.fromkeys((*immediates, *signallers))
    return {name: (tuple(immediates.get(name, ())), tuple(signallers.get(name, ()))) for name in names}


def _signaller(rule: Rule, window: Window, name: str) -> _Signaller:
    """What events of one name mean to one windowed rule. One that restarts its window by arming it says so once."""
    when, version = rule.when, rule.version
    arms, closes, restarts = name == when.event, name == window.event, name == window.restart_on
    arming = compiled(when.where) if when.where else _always
    closing = compiled(window.where) if window.where else _always
    key_of = _text_getter(when.key) if when.key else None
    same_of = _text_getter(window.same) if window.same else None

    def signal(view: View, late: bool, taken: int, signals: list[Signal]) -> None:
        same = same_of(view) if same_of else ""
        has_same = same_of is None or same != ""
        if closes and has_same and closing(view):
            signals.append([version, CLOSES, "", same])
        if not (arms and not late) and not restarts:
            return
        key = key_of(view) if key_of else ""
        if key_of is not None and not key:
            return
        if arms and not late and has_same and arming(view):
            signals.append([version, ARMS, key, same, taken])
        elif restarts and (has_same or key):
            signals.append([version, RESTARTS, key, same, taken])

    return signal


def _always(_: View) -> bool:
    return True


def _text_getter(path: Path) -> Callable[[View], str]:
    """A function that gives a field's value as text: what groups and names runs; "" where it cannot."""
    get = getter(path)

    def text(view: View) -> str:
        value = get(view)
        if value.__class__ is str:
            return value if len(value) <= KEY_LIMIT else ""
        if value is True or value is False:
            return "true" if value else "false"
        if value.__class__ is float and value.is_integer():
            return str(int(value))
        return str(value) if value.__class__ is int or value.__class__ is float else ""

    return text
