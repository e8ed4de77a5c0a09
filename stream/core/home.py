"""The step of a lane: one record in, its effects out. The same code runs embedded, on Kafka and in the simulator.

An event goes to its home (the row of its strongest identifier), which drops it if its message id was seen, asks the
linker about the other identifiers, and applies it to the profile here or forwards it to where the row points. Only the
linker's orders change a pointer, a root or a member set. A step never raises for what an event holds, reads no clock,
and depends on nothing but the rows, the record, `now` and the plan.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import orjson

from profiles.facets import ORDER_EVENTS, fold_order, fold_traits, order_id
from profiles.kinds import ALIAS, MARKS, MESSAGE_ID, ORDERS, TRAITS
from profiles.row import Row
from profiles.rows import MAX_ASKED, Rows
from profiles.transfer import bundled, put_in, take_out
from rules.evaluator import Fire
from rules.language.model import Rule
from rules.patterns.absence import ARMS, Run, Signal
from schemas.instant import DAY, HOUR
from schemas.keys import key_of, partition_of, profile_id, uuid5_of
from schemas.messages import (
    Absorb,
    Admit,
    AliasLookup,
    Event,
    Forward,
    Internal,
    Link,
    MakeRoot,
    Piece,
    Redirect,
    Rejected,
    Release,
    RuleDecision,
    Transfer,
    Trigger,
    Wake,
)
from stream.core.effects import LINKS, Address, Effects
from stream.core.plan import Plan
from stream.core.timers import Timers
from stream.core.watermark import NOBODY

LATE_AFTER = 72 * HOUR
"""An event older than this updates profiles and starts nothing."""
ASK_AGAIN_AFTER = DAY


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
INTERNAL = "internal"


class Home:
    """One lane's rows under one plan. Effects gather in `effects` until the runner takes them."""

    def __init__(self, rows: Rows, plan: Plan, timers: Timers, partition: int = 0, partitions: int = 1) -> None:
        self.effects = Effects()
        stored = rows.get(WATERMARK)
        self.reached = Reached(*map(int, stored.split(b","))) if stored else NOT_YET
        """How far the watermark has come. Under the events clock the runner moves it."""
        self._remembered = self.reached
        self.noted_at = 0
        """When the lane's watermark noted ends last."""
        self.taken = 0
        """Events, since the runner set it to 0."""
        self.newest = 0
        """When the newest event taken was accepted."""
        self._rows = rows
        self._timers = timers
        self._identity = plan.identity
        self._rules = plan.rules
        self._partition = partition
        self._partitions = partitions
        self._forget_after = plan.identity.forget_after

    # --- events -----------------------------------------------------------------------------------------------------

    def event(self, event: Event, now: int) -> None:
        """An accepted event at its home."""
        rows = self._rows
        self.taken += 1
        if event.received_at > self.newest:
            self.newest = event.received_at
        key = event.identifiers[0]
        mark = MESSAGE_ID + key.encode() + b"\0" + event.message_id.encode()
        seen = rows.get(mark)
        if seen is not None and event.received_at - int.from_bytes(seen, "big") < self._forget_after:
            self.effects.duplicate += 1
            return
        rows.put(mark, event.received_at.to_bytes(8, "big"))
        if not rows.known(key):
            rows.born(key)
            self.effects.profiles += 1
            self._link_alias(key, event.message_id, event.now)
        if len(event.identifiers) > 1:
            self._ask(key, event)
        if event.previous is not None:
            self._send(self._alias_lookup(key, event, event.previous), now)
        if event.now - event.occurred_at > LATE_AFTER:
            self.effects.late += 1
        self.effects.facts.append(event)
        to = rows.moved_to(key)
        if to is None:
            self._apply(key, key, event, now)
        else:
            self._send(Forward(to, event, 1), now)

    def reject(self, rejected: Rejected, now: int) -> None:
        """Refused input: recorded once, however often the same source is replayed."""
        self.effects.refused["events"] += 1
        mark = MESSAGE_ID + b"\0" + rejected.rejection_id.encode()
        seen = self._rows.get(mark)
        if seen is None or now - int.from_bytes(seen, "big") >= self._forget_after:
            self._rows.put(mark, now.to_bytes(8, "big"))
            self.effects.rejected.append(rejected)

    def _ask(self, key: str, event: Event) -> None:
        """Asks the linker about the event's strongest identifier with each other one, at most daily a pair."""
        for other in event.identifiers[1:]:
            if self._rows.holds(key, other):
                continue
            row = self._rows.there(key)
            asked = row.asked.get(other)
            if asked is not None and abs(event.now - asked) < ASK_AGAIN_AFTER:
                continue
            row.asked.pop(other, None)
            row.asked[other] = event.now
            if len(row.asked) > MAX_ASKED:
                del row.asked[next(iter(row.asked))]
            self._rows.touch(row)
            self._link(Link(key, other, event.message_id, event.now))

    def _link_alias(self, key: str, message_id: str, now: int) -> None:
        """An alias may have named this identifier before it was first seen: now the link can be asked for."""
        mark = ALIAS + key.encode()
        user = self._rows.get(mark)
        if user is not None:
            self._rows.put(mark, None)
            self._link(Link(user.decode(), key, message_id, now))

    @staticmethod
    def _alias_lookup(key: str, event: Event, previous: str) -> AliasLookup:
        return AliasLookup(
            key_of("anonymous_id", previous), key_of("user_id", previous), key, event.message_id, event.now
        )

    def _apply(self, to: str, member: str, event: Event, now: int) -> None:
        """Counts the event into a component at its root and lets the rules see it."""
        rows = self._rows
        taken = max(now, self.noted_at + 1, self.reached.history_by + 1)  # clocks are set back, owners' differ
        reaction = self._rules.on_event(event, event.now - event.occurred_at > LATE_AFTER, taken)
        signals = reaction.signals if reaction else None
        if signals or member != to or not rows.append(to, event):
            root = rows.there(to)
            full = rows.note(root, member, event, signals)
            if full:
                rows.settle(root, member, full, self._wanted_since(root, event.now))
        if event.type == "identify":
            if event.body.get("traits"):
                rows.lay(TRAITS, to, member, fold_traits(rows.row_of(TRAITS, to, member), event))
        elif event.name in ORDER_EVENTS and event.type == "track":
            end = order_id(event).encode()
            rows.lay(ORDERS, to, member, fold_order(rows.row_of(ORDERS, to, member, end), event), end)
        if reaction:
            root = rows.there(to)
            for fire in reaction.fires:
                self._fire_at_once(root, member, fire, event)
            if reaction.signals:
                self._expect(root, reaction.signals, event, now)

    # --- messages ---------------------------------------------------------------------------------------------------

    def message(self, message: Internal, now: int) -> None:
        """A message from another home, an order of the linker, or time passing."""
        match message:
            case Forward():
                self._forward(message, now)
            case Transfer():
                self._receive(message, now)
            case Wake():
                self._wake(message, now)
            case Event():
                self.event(message, now)
            case AliasLookup():
                known = self._rows.find(message.row) is not None
                other = message.row if known else message.user
                if not known:
                    self._rows.put(ALIAS + message.row.encode(), message.strongest.encode())
                if other != message.strongest:
                    self._link(Link(message.strongest, other, message.message_id, message.at))
            case Admit():
                row = self._row(message.row, now)
                row.members |= set(message.members)
                for member in message.members:
                    row.asked.pop(member, None)
            case Absorb():
                self._absorb(message, now)
            case Redirect():
                row = self._row(message.row, now)
                row.to = message.to
            case MakeRoot():
                row = self._row(message.row, now)
                row.to = None
                row.members = frozenset(message.members) - {row.key}
                self.effects.profiles += 1
            case Release():
                self._release(message, now)

    def _row(self, key: str, now: int) -> Row:
        """Its row; one that was only ever named beside a stronger identifier has none until an order reaches it."""
        row = self._rows.find(key)
        if row is None:
            row = self._rows.born(key)
            self.effects.profiles += 1
            self._link_alias(key, "", now)
        else:
            self._rows.touch(row)
        return row

    def _send(self, message: Forward | Transfer | AliasLookup, now: int) -> None:
        """To a row elsewhere by message; to one of this lane directly, in the same commit."""
        key = message.row if isinstance(message, AliasLookup) else message.to
        partition = partition_of(key, self._partitions)
        if partition == self._partition:
            self.message(message, now)
        else:
            self.effects.sent.append((Address(INTERNAL, partition), message))

    def _link(self, link: Link) -> None:
        self.effects.sent.append((LINKS, link))

    def _forward(self, message: Forward, now: int) -> None:
        to, member = message.to, message.event.identifiers[0]
        if not self._rows.known(to):
            self._row(to, now)
        further = self._rows.moved_to(to)
        if further is not None:
            self._send(Forward(further, message.event, message.hops + 1), now)
        elif member == to or self._rows.holds(to, member):
            self._apply(to, member, message.event, now)
        else:
            self._send(Forward(member, message.event, message.hops + 1), now)

    def _receive(self, message: Transfer, now: int) -> None:
        row = self._row(message.to, now)
        if row.to is not None:
            self._send(message._replace(to=row.to, hops=message.hops + 1), now)
            return
        self._fire(row, now)
        horizon = self._wanted_since(row, now)
        strangers: list[Piece] = []
        for piece in message.pieces:
            if piece.member == row.key or piece.member in row.members:
                put_in(self._rows, row, piece, horizon)
            else:
                strangers.append(piece)
        if not message.more:
            # What is due later than by this lane's own watermark still waits here, and may be this root's own.
            by, history_by = self.reached
            missed = Reached(min(message.missed_before, by), min(message.history_by, history_by))
            self._look(row, now, missed=missed)
        if strangers:
            # Together as long as they can be: most often they left in one split and belong to one root.
            to, hops = strangers[0].member, message.hops + 1
            self._send(message._replace(to=to, pieces=tuple(strangers), hops=hops, more=False), now)

    def _absorb(self, order: Absorb, now: int) -> None:
        row = self._row(order.row, now)
        self._fire(row, now)
        pieces = take_out(self._rows, row, (row.key, *sorted(row.members)))
        row.members = frozenset()
        row.to = order.to
        row.wake = 0
        self.effects.profiles -= 1
        self._hand_over(order.to, pieces, now)

    def _release(self, order: Release, now: int) -> None:
        row = self._row(order.row, now)
        self._fire(row, now)
        pieces = take_out(self._rows, row, order.members)
        row.members -= set(order.members)
        self._look(row, now, missed=self.reached)
        self._hand_over(order.to, pieces, now)

    def _hand_over(self, to: str, pieces: list[Piece], now: int) -> None:
        """All in one message, or where that would be more than a broker takes, in several."""
        parts = bundled(pieces)
        for part in parts:
            self._send(Transfer(to, part, 1, self.reached.by, part is not parts[-1], self.reached.history_by), now)

    # --- rules ------------------------------------------------------------------------------------------------------

    def _wake(self, wake: Wake, now: int) -> None:
        """The watermark has come so far; where a row is named, it has something due by then."""
        self.reached = Reached(max(self.reached.by, wake.by), max(self.reached.history_by, wake.history_by))
        row = None if wake.row == NOBODY else self._rows.find(wake.row)
        if row is not None and row.to is None:
            self._look(row, now, fire=self.reached, without=wake.without)

    def remember(self) -> None:
        """Writes down how far the watermark has come, before a commit."""
        if self.reached != self._remembered:
            self._remembered = self.reached
            self._rows.put(WATERMARK, b"%d,%d" % self.reached)

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
        for version, role, *_ in signals:
            if role == ARMS:
                due = at + self._rules.within(str(version))
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

    def _fire(self, root: Row, now: int) -> None:
        """Fires what the watermark has passed, before the root's members change."""
        if 0 < root.wake <= self.reached.by:
            self._look(root, now, fire=self.reached)

    def _look(
        self, root: Row, now: int, fire: Reached = NOT_YET, missed: Reached = NOT_YET, without: tuple[int, ...] = ()
    ) -> None:
        """Looks through the open runs: those that `fire` covers fire, the next ones set the row's wake.

        A run that `missed` covers was closed until a split, or a merge, took away what had closed it: it is recorded
        as missed.
        """
        members = list(self._rows.members(root))
        forgotten = max((component.forgotten for _, component in members), default=0)
        entries = []
        home_of: dict[str, str] = {}
        for member, component in members:
            for entry in self._rows.signalled(root, member, component) if component.signals else ():
                if entry[0] > forgotten:
                    entries.append(entry)
                    home_of[entry[1]] = member
        past = max(now, self.reached.by)  # an earlier owner's clock may have been ahead
        waiting = []
        for run in self._rules.open_runs(entries):
            if run.due <= past:
                if run.rule.when.key is None:
                    # A late event or a merge may bring an earlier opening or a later restart: neither is a new run.
                    marks = {name: home_of[name] for name in (run.run_key, run.message_id)}
                else:
                    marks = {run.run_key: home_of[run.message_id]}
                if any(self._marked(root, run.rule.name, name) for name in marks):
                    continue
                if missed.covers(run) or fire.covers(run):
                    for name, member in marks.items():
                        self._mark(root, member, run.rule.name, name, run.due)
                    verdict = "missed" if missed.covers(run) else "fired"
                    self._act(root, run.rule, run, run.armed_at, now, verdict, without)
                    continue
            waiting.append(run)
        latest = max((entry[0] for entry in entries), default=root.latest)
        self._wait(root, waiting, latest, woken=fire is not NOT_YET)

    def _wait(self, root: Row, runs: list[Run], latest: int, woken: bool) -> None:
        """Sets the row's wake to the earliest of these runs, which come in order of their due time."""
        before = root.wake
        root.wake = runs[0].due if runs else 0
        root.since = min((run.armed_at for run in runs), default=0)
        root.latest = latest
        if root.times != root.stored_times:
            self._rows.keep(root)
        if runs and (woken or root.wake != before):
            self._timers.push(root.wake, root.key, late=runs[0].taken >= runs[0].due)
        ahead = next((run for run in runs if run.taken < run.due), None)
        if ahead is not None and ahead is not runs[0]:
            self._timers.push(ahead.due, root.key, late=False)

    def _wanted_since(self, root: Row, now: int) -> int:
        """From when on history may still matter to a rule: to a late event's window, or to one that is open."""
        since = now - self._rules.horizon - LATE_AFTER
        return min(since, root.since) if root.since else since

    def _fire_at_once(self, root: Row, member: str, fire: Fire, event: Event) -> None:
        if fire.rule.when.key is None:
            verdict = "fired"
        elif self._marked(root, fire.rule.name, fire.run_key):
            verdict = "repeated"
        else:
            verdict = "fired"
            self._mark(root, member, fire.rule.name, fire.run_key, event.occurred_at)
        run = Run(fire.rule, fire.run_key, event.occurred_at, event.occurred_at, event.message_id)
        self._act(root, fire.rule, run, event.occurred_at, event.now, verdict)

    def _act(
        self,
        root: Row,
        rule: Rule,
        run: Run,
        event_at: int,
        now: int,
        verdict: str,
        without: tuple[int, ...] = (),
    ) -> None:
        """One decision for the run and, when a live rule fires, one trigger for each of its actions."""
        profile = profile_id(root.key)
        if verdict == "fired" and rule.status != "live":
            verdict = rule.status
        detail = _DETAILS[verdict]
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
                    action.payload,
                    now,
                    event_at,
                )
            )

    def _marked(self, root: Row, rule: str, run_key: str) -> bool:
        end = _sum(rule, run_key)
        return any(self._rows.row_of(MARKS, root.key, member, end) is not None for member in (root.key, *root.parts))

    def _mark(self, root: Row, member: str, rule: str, run_key: str, at: int) -> None:
        self._rows.lay(MARKS, root.key, member, orjson.dumps([rule, run_key, at]), _sum(rule, run_key))


_DETAILS = {
    "fired": "matched; its actions were sent",
    "shadow": "matched; a shadow rule sends nothing",
    "repeated": "matched, but this run key had fired before",
    "missed": "reopened by a split or a merge after its time had passed",
}


def _sum(rule: str, run_key: str) -> bytes:
    return hashlib.blake2b(f"{rule}\0{run_key}".encode(), digest_size=16).digest()
