"""What the rules of a plan wait for in the profiles of one lane: windows that open, close, fire or are missed.

The half of a lane's step that knows rules; `stream.core.home` builds on it. No clock here: `now` is an argument.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import orjson

from profiles.component import MAX_TAIL_LINES
from profiles.kinds import MARKS
from profiles.row import Row
from profiles.rows import Rows, Store
from rules.evaluator import Fire
from rules.language.model import Rule
from rules.patterns.absence import ARMS, Entry, Run, Signal
from schemas.instant import DAY, HOUR, LAST
from schemas.keys import profile_id, uuid5_of
from schemas.messages import Event, RuleDecision, Trigger, Wake
from stream.core.carried import carried
from stream.core.effects import Effects
from stream.core.plan import Plan
from stream.core.timers import Timers
from stream.core.watermark import NOBODY

LATE_AFTER = 72 * HOUR
"""An event older than this updates profiles and starts nothing."""
GRACE = DAY
"""What is found later than this after its time is missed, whatever kept it: nothing ran, a pause, a late source."""
MAX_WAITS = 256
"""Windows that one profile may have open."""
MAX_WAITS_BYTES = 48 * 1024
"""What the history of the events that hold them open may take."""
SURELY_HELD = 64
"""Events with signals, the fewest that may fill `MAX_WAITS_BYTES`."""


class Reached(NamedTuple):
    """How far the watermark of a lane has come."""

    by: int = 0
    """All input up to this instant has been taken."""
    history_by: int = 0
    """Of sources that sent history, all that had been taken by this instant is complete."""

    def covers(self, run: Run) -> bool:
        """Whether nothing that could close the run is still on its way."""
        return run.due <= self.by and (run.taken < run.due or run.taken <= self.history_by)


NOT_YET = Reached()
WATERMARK = b"\0watermark"
"""The row that holds `Reached`: what was missed is measured by it, whoever owns the lane by then."""
RULES = b"\0rules"
"""The row that says since when each rule that waits has been in the plan: {`Rule.wait`: lane clock}."""


def rules_known(rows: Store) -> int:
    """How many rules customers wait under in the committed rows of a lane."""
    return len(orjson.loads(rows.get(RULES) or b"{}"))


class Waits:
    """What is open in the profiles of one lane, under one plan. Decisions and triggers gather in `effects`."""

    def __init__(self, rows: Rows, plan: Plan, timers: Timers) -> None:
        self.effects = Effects()
        stored = rows.get(WATERMARK)
        self.reached = Reached(*map(int, stored.split(b","))) if stored else NOT_YET
        """How far the watermark has come. Under the events clock the runner moves it."""
        self._remembered = self.reached
        self.noted_at = 0
        """When the lane's watermark noted ends last."""
        known = rows.get(RULES)
        self._known_rules: dict[str, int] | None = orjson.loads(known) if known else None
        """`RULES` as it is stored; None in a lane's first life, and in a store of 0.1.0."""
        self._in_plan: dict[str, int] | None = None
        """The same under this plan, once the lane has taken something."""
        self._since: dict[str, int] = {}
        """By the name of the rule."""
        self._rows = rows
        self._timers = timers
        self._rules = plan.rules
        self._identity = plan.identity

    # --- how far it has come ----------------------------------------------------------------------------------------

    def _begin(self, now: int) -> None:
        """The lane takes something under this plan for the first time: rules new to it are in the plan from now on."""
        known = self._known_rules
        self._in_plan = {wait: 0 if known is None else known.get(wait, now) for wait in self._rules.waits}
        self._since = {name: self._in_plan[wait] for wait, name in self._rules.waits.items()}

    def remember(self) -> None:
        """Writes down how far the watermark has come, and which rules are in the plan, before a commit."""
        if self.reached != self._remembered:
            self._remembered = self.reached
            self._rows.put(WATERMARK, b"%d,%d" % self.reached)
        if self._in_plan is not None and self._in_plan != self._known_rules:
            self._known_rules = self._in_plan
            self._rows.put(RULES, orjson.dumps(self._in_plan))

    def _wake(self, wake: Wake, now: int) -> None:
        """The watermark has come so far; where a row is named, it has something due by then."""
        self.reached = Reached(max(self.reached.by, wake.by), max(self.reached.history_by, wake.history_by))
        row = None if wake.row == NOBODY else self._rows.find(wake.row)
        if row is not None and row.to is None:
            self._look(row, now, fire=self.reached, without=wake.without)

    # --- what an event opens ----------------------------------------------------------------------------------------

    def _admitted(self, to: str, event: Event, signals: list[Signal], now: int) -> list[Signal]:
        """The signals, less those of windows that cannot be held open; each of these leaves a decision instead."""
        for signal in signals:
            if signal[1] == ARMS:
                break
        else:
            return signals
        root = self._rows.there(to)
        held = forgotten = 0
        for component in self._rows.with_history(root):
            held += component.signals
            forgotten = max(forgotten, component.forgotten)
        if event.occurred_at <= forgotten:
            return self._without_arming(root, event, signals, "missed", _FORGOTTEN)
        if not self._rules.keeps_fields and held < SURELY_HELD and held + MAX_TAIL_LINES * len(root.parts) < MAX_WAITS:
            return signals
        entries, home_of = self._entries(root)
        opened = (event.occurred_at, event.sequence, event.message_id, signals)
        before = len(self._unmarked(root, entries, home_of, now))
        home_of[event.message_id] = event.identifiers[0]
        after = self._unmarked(root, [*entries, opened], home_of, now)
        if len(after) <= before or (len(after) <= MAX_WAITS and _size(after, entries) <= MAX_WAITS_BYTES):
            return signals
        return self._without_arming(root, event, signals, "full", _FULL)

    def _without_arming(
        self, root: Row, event: Event, signals: list[Signal], verdict: str, detail: str
    ) -> list[Signal]:
        for wait, role, *_ in signals:
            if role == ARMS:
                self._tell(root, self._rules.of(str(wait)), event, verdict, detail)
        return [signal for signal in signals if signal[1] != ARMS]

    def _expect(self, root: Row, signals: list[Signal], event: Event, now: int) -> None:
        """Moves the wake forward for a window that an event may have opened.

        In order of time no run is due before the event that armed it plus its window, and a restart or a closing
        event only moves a run back: the wake is never late, and where it is early, waking finds nothing due and sets
        it anew. An event out of order can uncover windows that others hid, so all are looked at.
        """
        at = event.occurred_at
        if at < root.latest:
            self._look(root, now)
            return
        root.latest = at
        wake = root.wake
        for wait, role, *_ in signals:
            if role == ARMS:
                due = at + self._rules.within(str(wait))
                if wake == 0 or due < wake:
                    wake = due
                elif wake <= now:
                    self._timers.push(due, root.key, late=due <= now)  # not held up with an earlier one
                if root.since == 0:
                    root.since = at
        if wake != root.wake:
            root.wake = wake
            self._timers.push(wake, root.key, late=wake <= now)
        self._rows.keep(root)

    def _held(self, root: Row) -> set[str]:
        """Message ids of the events that hold windows open: history may not lose them."""
        entries, home_of = self._entries(root)
        return {needed for run in self._unmarked(root, entries, home_of, LAST) for needed in run.needs}

    # --- what is open -----------------------------------------------------------------------------------------------

    def _fire(self, root: Row, now: int) -> None:
        """Fires what the watermark has passed, before the root's members change."""
        if 0 < root.wake <= self.reached.by:
            self._look(root, now, fire=self.reached)

    def _look(
        self, root: Row, now: int, fire: Reached = NOT_YET, missed: Reached = NOT_YET, without: tuple[int, ...] = ()
    ) -> None:
        """Looks through the open runs: those that `fire` covers fire, the next ones set the row's wake.

        A run that `missed` covers was closed until a split, or a merge, took away what had closed it: it is recorded
        as missed. So is what is found `GRACE` after its time. A paused rule fires nothing: its runs stay open.
        """
        entries, home_of = self._entries(root)
        past = max(now, self.reached.by)  # an earlier owner's clock may have been ahead
        waiting = []
        for run in self._unmarked(root, entries, home_of, past):
            verdict, detail = _verdict(run, past, fire, missed)
            if not verdict:
                waiting.append(run)
                continue
            for name, member in _marks(run, home_of):
                self._mark(root, member, run.rule.name, name, run.due)
            self._act(root, run.rule, run, run.armed_at, now, verdict, without, detail)
        latest = max((entry[0] for entry in entries), default=root.latest)
        self._wait(root, waiting, latest, woken=fire is not NOT_YET)

    def _entries(self, root: Row) -> tuple[list[Entry], dict[str, str]]:
        """The history that rules look at, and the member that each event's message id belongs to.

        What a component forgot may have closed what others armed by then, so that is not looked at. Its own is: what
        it kept was open when it forgot.
        """
        members = list(self._rows.members(root))
        forgetful = [(member, component) for member, component in members if component.forgotten]
        entries: list[Entry] = []
        home_of: dict[str, str] = {}
        for member, component in members:
            if component.signals:
                forgotten = 0
                if forgetful:
                    forgotten = max((each.forgotten for other, each in forgetful if other != member), default=0)
                for entry in self._rows.signalled(root, member, component):
                    if entry[0] > forgotten:
                        entries.append(entry)
                        home_of[entry[2]] = member
        return entries, home_of

    def _unmarked(self, root: Row, entries: Iterable[Entry], home_of: Mapping[str, str], by: int) -> list[Run]:
        """The runs that nothing closed, but those due by an instant that have fired or were told of."""
        runs = self._rules.open_runs(entries, self._since)
        return [
            run
            for run in runs
            if run.due > by or not any(self._marked(root, run.rule.name, name) for name, _ in _marks(run, home_of))
        ]

    def _has_open(self, root: Row, rule: Rule, at: int) -> bool:
        """Whether a window of this rule was open at an instant, as far as a profile knows by now."""
        runs = self._rules.open_runs(self._entries(root)[0], self._since) if root.latest else ()
        return any(run.rule is rule and run.armed_at <= at <= run.due for run in runs)

    def _wait(self, root: Row, runs: list[Run], latest: int, woken: bool) -> None:
        """Sets the row's wake to the earliest of these runs, which come in order of their due time.

        Those of paused rules stay in the index of wakes, and are looked at when a plan is loaded.
        """
        before = root.wake
        root.wake = runs[0].due if runs else 0
        root.since = min((run.armed_at for run in runs), default=0)
        root.latest = latest
        if root.times != root.stored_times:
            self._rows.keep(root)
        awake = [run for run in runs if run.rule.active]
        if awake and (woken or awake[0].due != before):
            self._timers.push(awake[0].due, root.key, late=awake[0].taken >= awake[0].due)
        ahead = next((run for run in awake if run.taken < run.due), None)
        if ahead is not None and ahead is not awake[0]:
            self._timers.push(ahead.due, root.key, late=False)

    def _wanted_since(self, root: Row, now: int) -> int:
        """From when on history may still matter to a rule: to a late event's window, or to one that is open."""
        since = now - self._rules.horizon - LATE_AFTER
        return min(since, root.since) if root.since else since

    # --- decisions --------------------------------------------------------------------------------------------------

    def _fire_at_once(self, root: Row, member: str, fire: Fire, event: Event) -> None:
        if fire.rule.when.key is None:
            verdict = "fired"
        elif self._marked(root, fire.rule.name, fire.run_key):
            verdict = "repeated"
        else:
            verdict = "fired"
            self._mark(root, member, fire.rule.name, fire.run_key, event.occurred_at)
        run = Run(fire.rule, fire.run_key, event.occurred_at, event.occurred_at, event.message_id, fields=fire.fields)
        self._act(root, fire.rule, run, event.occurred_at, event.now, verdict, named=event.identifiers)

    def _tell(self, root: Row, rule: Rule, event: Event, verdict: str, detail: str) -> None:
        """A decision on an event that a rule could not do anything with."""
        if rule.active:
            run = Run(rule, event.message_id, event.occurred_at, event.occurred_at, event.message_id)
            self._act(root, rule, run, event.occurred_at, event.now, verdict, (), detail)

    def _act(
        self,
        root: Row,
        rule: Rule,
        run: Run,
        event_at: int,
        now: int,
        verdict: str,
        without: tuple[int, ...] = (),
        detail: str = "",
        named: tuple[str, ...] = (),
    ) -> None:
        """One decision for the run and, when a live rule fires, one trigger for each of its actions.

        `named`: the identifiers of the event that fires it at once.
        """
        profile = profile_id(root.key)
        if verdict == "fired" and rule.status != "live":
            verdict = rule.status
        detail = detail or _DETAILS[verdict]
        if without:
            detail += f"; not waited for, since nothing moved there: {', '.join(f'events/{each}' for each in without)}"
        self.effects.decisions.append(
            RuleDecision(rule.name, rule.version, profile, run.run_key, run.message_id, verdict, detail, now)
        )
        if verdict != "fired":
            return
        for index, action in enumerate(rule.then):
            identity = "\0".join(("trigger", rule.name, rule.version, profile, run.run_key, str(index)))
            self.effects.triggers.append(
                Trigger(
                    uuid5_of(identity),
                    rule.name,
                    rule.version,
                    profile,
                    run.run_key,
                    action.kind,
                    {**action.payload, **carried(action, run, named, self._rows, root, self._identity)},
                    now,
                    event_at,
                )
            )

    def _marked(self, root: Row, rule: str, run_key: str) -> bool:
        end = _sum(rule, run_key)
        return any(self._rows.row_of(MARKS, root.key, member, end) is not None for member in (root.key, *root.parts))

    def _mark(self, root: Row, member: str, rule: str, run_key: str, at: int) -> None:
        self._rows.lay(MARKS, root.key, member, orjson.dumps([rule, run_key, at]), _sum(rule, run_key))


def _verdict(run: Run, past: int, fire: Reached, missed: Reached) -> tuple[str, str]:
    """What becomes of a run by an instant, and why where the verdict alone does not say it; "" where it still waits."""
    if run.due > past:
        return "", ""
    if missed.covers(run):
        return "missed", ""
    if not fire.covers(run) or not run.rule.active:
        return "", ""
    if past - run.due > GRACE:
        return "missed", _LATE
    return "before_active" if run.before_active else "fired", ""


def _marks(run: Run, home_of: Mapping[str, str]) -> list[tuple[str, str]]:
    """The names under which a run is marked once it is decided, and the members that the marks move with."""
    if run.rule.when.key is not None:
        return [(run.run_key, home_of[run.message_id])]
    # A late event or a merge may bring an earlier opening or a later restart: neither is a new run.
    return [(name, home_of[name]) for name in dict.fromkeys((run.run_key, run.message_id))]


def _size(runs: Iterable[Run], entries: Iterable[Entry]) -> int:
    """Bytes of history that runs need, about."""
    needed = {message_id for run in runs for message_id in run.needs}
    return sum(_AN_ENTRY + len(orjson.dumps(signals)) for _, _, id_, signals in entries if id_ in needed)


_AN_ENTRY = 100
"""Bytes of a history entry beside its signals."""
_FORGOTTEN = "came after the history that could have closed it had been let go"
_FULL = f"the customer has {MAX_WAITS} windows open already, or as many as there is room for"
_LATE = "found more than 24 hours after its time"

_DETAILS = {
    "fired": "matched; its triggers say what to send",
    "shadow": "matched; a shadow rule sends nothing",
    "repeated": "matched, but this run key had fired before",
    "missed": "reopened by a split or a merge after its time had passed",
    "before_active": "began before the rule was in the plan without a break: what ended it may not have been seen",
}


def _sum(rule: str, run_key: str) -> bytes:
    return hashlib.blake2b(f"{rule}\0{run_key}".encode(), digest_size=16).digest()
