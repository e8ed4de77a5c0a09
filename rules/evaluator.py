"""Rules compiled for speed, and what an event means to them. Nothing here keeps state, waits or raises on an event.

An event whose name no rule mentions costs one dict look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from rules.actions import placeholders
from rules.conditions.operators import Predicate, View, compiled, getter
from rules.language.model import Path, Rule, Window
from rules.patterns.absence import ARMS, CLOSES, RESTARTS, Entry, Run, Signal, open_runs
from schemas.messages import Event

KEY_LIMIT = 256
"""Characters: a longer value of `key` or `same` is none, for every profile's history would carry it."""

FIELDS_LIMIT = 4_096
"""Bytes that the fields of one event take, which actions name, of all rules together: they lie in the history."""

_NOTHING: Mapping[str, Any] = {}


class Fire(NamedTuple):
    """A rule without a window that an event met."""

    rule: Rule
    run_key: str
    fields: str = ""
    """What the rule's actions name of the event, JSON; empty where they name nothing."""


class Unusable(NamedTuple):
    """A rule whose event came and could not be used: a value that tells its runs apart is not there."""

    rule: Rule
    why: str
    closing: bool = False
    """It might have closed a window, but nobody knows which."""


class NoText(NamedTuple):
    """What stands where a field's value cannot tell runs apart."""

    why: str


class Reaction(NamedTuple):
    """What one event means to the rules."""

    fires: tuple[Fire, ...]
    signals: list[Signal]
    """To be stored with the event in its profile's history, for `RuleSet.open_runs`."""
    unusable: tuple[Unusable, ...] = ()


_TextOf = Callable[[View], str | NoText]
_FieldsOf = Callable[[View, int], str]
_Immediate = tuple[Rule, Predicate | None, _TextOf | None, _FieldsOf]
_Signaller = Callable[[View, bool, int, list[Signal], list[Unusable]], None]


class RuleSet:
    """All rules of a plan. Drafts see no events; paused ones only keep their windows going."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = tuple(rules)
        listening = tuple(rule for rule in self.rules if rule.listens)
        windowed = [rule for rule in listening if rule.when.window]
        self.waits = {rule.wait: rule.name for rule in windowed}
        """What signals of this release are stored under, and whose they are."""
        self._by_wait = {name: rule for rule in windowed for name in (rule.version, rule.wait)}
        """0.1.0 stored signals under the version of a rule."""
        windows = [rule.when.window for rule in windowed if rule.when.window]
        self.horizon = max((window.within for window in windows), default=0)
        """Microseconds: the longest window of any rule, 0 without one."""
        self.keeps_fields = any(placeholders.fields(rule.then) for rule in windowed)
        """Whether a window keeps some of the event that opened it, so that few of them may fill a history."""
        self._reactions = _by_event(listening)

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
        unusable: list[Unusable] = []
        if not late:
            for rule, matches, key_of, fields_of in immediates:
                if matches is None or matches(view):
                    key = event.message_id if key_of is None else key_of(view)
                    if isinstance(key, str):
                        fires.append(Fire(rule, key, fields_of(view, FIELDS_LIMIT)))
                    else:
                        unusable.append(_unusable(rule, rule.when.key, key))
        signals: list[Signal] = []
        for signaller in signallers:
            signaller(view, late, taken, signals, unusable)
        return Reaction(tuple(fires), signals, tuple(unusable)) if fires or signals or unusable else None

    def of(self, wait: str) -> Rule:
        """The rule whose signals are stored under this."""
        return self._by_wait[wait]

    def within(self, wait: str) -> int:
        """The window of the rule whose signals are stored under this, in microseconds."""
        window = self._by_wait[wait].when.window
        assert window is not None, wait
        return window.within

    def open_runs(self, history: Iterable[Entry], since: Mapping[str, int]) -> list[Run]:
        """The runs that rules have open in a profile's history: see `rules.patterns.absence.open_runs`."""
        return open_runs(self._by_wait, history, since)


def _by_event(rules: Iterable[Rule]) -> dict[str, tuple[tuple[_Immediate, ...], tuple[_Signaller, ...]]]:
    immediates: dict[str, list[_Immediate]] = {}
    signallers: dict[str, list[_Signaller]] = {}
    for rule in rules:
        window = rule.when.window
        if window is not None:
            for name in dict.fromkeys((rule.when.event, window.event, window.restart_on)):
                if name is not None:
                    signallers.setdefault(name, []).append(_signaller(rule, window, name))
        elif rule.active:
            where = compiled(rule.when.where) if rule.when.where else None
            key_of = _text_getter(rule.when.key) if rule.when.key else None
            immediates.setdefault(rule.when.event, []).append((rule, where, key_of, _fields_getter(rule)))
    names = dict.fromkeys((*immediates, *signallers))
    return {name: (tuple(immediates.get(name, ())), tuple(signallers.get(name, ()))) for name in names}


def _signaller(rule: Rule, window: Window, name: str) -> _Signaller:
    """What events of one name mean to one windowed rule. One that restarts its window by arming it says so once."""
    when, wait = rule.when, rule.wait
    arms, closes, restarts = name == when.event, name == window.event, name == window.restart_on
    arming = compiled(when.where) if when.where else _always
    closing = compiled(window.where) if window.where else _always
    key_of = _text_getter(when.key) if when.key else None
    same_of = _text_getter(window.same) if window.same else None
    fields_of = _fields_getter(rule)

    def signal(view: View, late: bool, taken: int, signals: list[Signal], unusable: list[Unusable]) -> None:
        same = same_of(view) if same_of else ""
        if closes and closing(view):
            if isinstance(same, str):
                signals.append([wait, CLOSES, "", same])
            else:
                unusable.append(_unusable(rule, window.same, same)._replace(closing=True))
        arming_now = arms and not late
        if not arming_now and not restarts:
            return
        key = key_of(view) if key_of else ""
        if arming_now and arming(view):
            if isinstance(key, NoText):
                unusable.append(_unusable(rule, when.key, key))
            elif isinstance(same, NoText):
                unusable.append(_unusable(rule, window.same, same))
            else:
                fields = fields_of(view, FIELDS_LIMIT - sum(len(each[5]) for each in signals if len(each) > 5))
                signals.append([wait, ARMS, key, same, taken, fields] if fields else [wait, ARMS, key, same, taken])
                return
        if restarts and isinstance(key, str) and (isinstance(same, str) or key):
            signals.append([wait, RESTARTS, key, same if isinstance(same, str) else "", taken])

    return signal


def _fields_getter(rule: Rule) -> _FieldsOf:
    """A function that gives what a rule's actions name of an event, as JSON of so many bytes at most.

    What finds no room is left out.
    """
    getters = [(str(path), getter(path)) for path in placeholders.fields(rule.then)]
    if not getters:
        return _no_fields

    def fields(view: View, room: int) -> str:
        found: dict[str, Any] = {}
        for name, get in getters:
            found[name] = get(view)
            if len(orjson.dumps(found)) > room:
                del found[name]
        return orjson.dumps(found).decode()

    return fields


def _no_fields(_view: View, _room: int) -> str:
    return ""


def _unusable(rule: Rule, path: Path | None, value: NoText) -> Unusable:
    return Unusable(rule, f"`{path}` {value.why}")


def _always(_: View) -> bool:
    return True


_MISSING = NoText("is missing")
_EMPTY = NoText("is empty")
_TOO_LONG = NoText(f"is longer than {KEY_LIMIT} characters")
_NO_VALUE = NoText("is a list or an object")


def _text_getter(path: Path) -> _TextOf:
    """A function that gives a field's value as text: what groups and names runs."""
    get = getter(path)

    def text(view: View) -> str | NoText:
        value = get(view)
        if isinstance(value, str):
            return (value if len(value) <= KEY_LIMIT else _TOO_LONG) if value else _EMPTY
        if value is True or value is False:
            return "true" if value else "false"
        if value.__class__ is float and value.is_integer():
            return str(int(value))
        if value is None:
            return _MISSING
        return str(value) if value.__class__ is int or value.__class__ is float else _NO_VALUE

    return text
