"""The step of a lane: one record in, its effects out. The same code runs embedded, on Kafka and in the simulator.

An event goes to its home (the row of its strongest identifier), which drops it if its message id was seen, asks the
linker about the other identifiers, and applies it to the profile here or forwards it to where the row points. Only the
linker's orders change a pointer, a root or a member set. A step never raises for what an event holds, reads no clock,
and depends on nothing but the rows, the record, `now` and the plan.
"""

from __future__ import annotations

from functools import partial

from profiles.facets import fold_traits
from profiles.kinds import ALIAS, MESSAGE_ID, ORDERS, TRAITS
from profiles.orders import ORDER_EVENTS, fold_order, statement
from profiles.row import Row
from profiles.rows import MAX_ASKED, Rows
from profiles.transfer import bundled, put_in, take_out
from schemas.instant import DAY
from schemas.keys import key_of, partition_of
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
    Transfer,
    Wake,
)
from stream.core.effects import LINKS, Address
from stream.core.plan import Plan
from stream.core.timers import Timers
from stream.core.waits import LATE_AFTER, Reached, Waits

ASK_AGAIN_AFTER = DAY
INTERNAL = "internal"


class Home(Waits):
    """One lane's rows under one plan. Effects gather in `effects` until the runner takes them."""

    def __init__(self, rows: Rows, plan: Plan, timers: Timers, partition: int = 0, partitions: int = 1) -> None:
        super().__init__(rows, plan, timers)
        self.taken = 0
        """Events, since the runner set it to 0."""
        self.newest = 0
        """When the newest event taken was accepted."""
        self._partition = partition
        self._partitions = partitions
        self._forget_after = plan.identity.forget_after

    # --- events -----------------------------------------------------------------------------------------------------

    def event(self, event: Event, now: int) -> None:
        """An accepted event at its home."""
        if self._in_plan is None:
            self._begin(now)
        rows = self._rows
        self.taken += 1
        if event.received_at > self.newest:
            self.newest = event.received_at
        key = event.identifiers[0]
        mark = _mark_of_event(key, event.message_id)
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
            self._send(self._alias_lookup(event, event.previous), now)
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
        mark = _mark_of_refusal(rejected.rejection_id)
        seen = self._rows.get(mark)
        if seen is None or now - int.from_bytes(seen, "big") >= self._forget_after:
            self._rows.put(mark, now.to_bytes(8, "big"))
            self.effects.rejected.append(rejected)

    def remember_id(self, known: Event | Rejected) -> None:
        """Keeps an id that was taken longer ago than ids are remembered: taken now, it is a duplicate."""
        if isinstance(known, Event):
            mark, at = _mark_of_event(known.identifiers[0], known.message_id), known.received_at
        else:
            mark, at = _mark_of_refusal(known.rejection_id), known.rejected_at
        self._rows.put(mark, at.to_bytes(8, "big"))

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
    def _alias_lookup(event: Event, previous: str) -> AliasLookup:
        """An alias speaks of its userId, even where another of its identifiers is stronger."""
        named = next((key for key in event.identifiers if key.startswith("user_id:")), event.identifiers[0])
        return AliasLookup(
            key_of("anonymous_id", previous), key_of("user_id", previous), named, event.message_id, event.now
        )

    def _apply(self, to: str, member: str, event: Event, now: int) -> None:
        """Counts the event into a component at its root and lets the rules see it."""
        rows = self._rows
        taken = max(now, self.noted_at + 1, self.reached.history_by + 1)  # clocks are set back, owners' differ
        reaction = self._rules.on_event(event, event.now - event.occurred_at > LATE_AFTER, taken)
        signals = self._admitted(to, event, reaction.signals, now) if reaction is not None else None
        if signals or member != to or not rows.append(to, event):
            root = rows.there(to)
            full = rows.note(root, member, event, signals)
            if full:
                rows.settle(root, member, full, self._wanted_since(root, event.now), partial(self._held, root))
        if event.type == "identify":
            if event.body.get("traits"):
                rows.lay(TRAITS, to, member, fold_traits(rows.row_of(TRAITS, to, member), event))
        elif event.name in ORDER_EVENTS and event.type == "track":
            said = statement(event)
            end = said.order_id.encode()
            rows.lay(ORDERS, to, member, fold_order(rows.row_of(ORDERS, to, member, end), said), end)
            self.effects.unreadable += said.unreadable
        if reaction:
            root = rows.there(to)
            for fire in reaction.fires:
                self._fire_at_once(root, member, fire, event)
            for rule, why, closing in reaction.unusable:
                if not closing or self._has_open(root, rule, event.occurred_at):
                    self._tell(root, rule, event, "unusable", why)
            if signals:
                self._expect(root, signals, event, now)

    # --- messages ---------------------------------------------------------------------------------------------------

    def message(self, message: Internal, now: int) -> None:
        """A message from another home, an order of the linker, or time passing."""
        if self._in_plan is None:
            self._begin(now)
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
                    self._link(Link(message.strongest, other, message.message_id, message.at, alias=not known))
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
        horizon, held = self._wanted_since(row, now), partial(self._held, row)
        strangers: list[Piece] = []
        for piece in message.pieces:
            if piece.member == row.key or piece.member in row.members:
                put_in(self._rows, row, piece, horizon, held)
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


def _mark_of_event(key: str, message_id: str) -> bytes:
    """The row that says that an event has been taken."""
    return MESSAGE_ID + key.encode() + b"\0" + message_id.encode()


def _mark_of_refusal(rejection_id: str) -> bytes:
    return MESSAGE_ID + b"\0" + rejection_id.encode()
