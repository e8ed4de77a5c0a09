"""Many customers from one seed: merges, splits, timers and duplicates whose outcome no order of delivery can change.

Nobody contends: every identifier has one owner. Time passes in steps, each longer than the short rule's window, and
only when everything before it has been taken; so a timer never races an event that could stop it. What follows then
depends on nothing but the input, and the embedded engine tells what it must come to.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb

from rapport.plan import folder as plan_folder
from schemas.instant import HOUR, MINUTE
from schemas.messages import Event, Rejected, Split
from stream.core.plan import Plan
from stream.embedded.engine import Engine
from stream.embedded.store import PUBLISHED
from stream_world import LONG, RULES, SHORT, START, again, event

Input = Event | Rejected
STEP = SHORT + 10 * MINUTE
EVENTS_EACH = 12
"""Events of a customer, in the mean."""
SPLIT_SHARE = 0.08
"""Customers of whom one device turns out to be somebody else's."""


class Phase(NamedTuple):
    """What comes in while the clock stands."""

    now: int
    splits: tuple[Split, ...]
    inputs: list[Input]


@dataclass(frozen=True, slots=True)
class Crowd:
    """All that comes in, and when the last timer is due."""

    seed: int
    phases: list[Phase]
    end: int

    @property
    def events(self) -> int:
        return sum(len(phase.inputs) for phase in self.phases)


class _Customer:
    def __init__(self, number: int, chance: random.Random) -> None:
        self.user = f"user_id:u{number}"
        self.email = f"email:u{number}@shop.example"
        self.devices = [f"anonymous_id:u{number}-{each}" for each in range(chance.choice((1, 2, 2, 3)))]
        self.together = {self.user}
        """Known to be one person before this phase began."""
        self.linked = {self.user}
        """By now."""
        self.strangers: set[str] = set()
        """Devices that a split took away."""
        self.resting: str | None = None
        """A device that is being split off in this phase: whose its events are is a matter of time, so it has none."""
        self.unsure = len(self.devices) > 1 and chance.random() < SPLIT_SHARE

    def keys(self) -> list[str]:
        return [key for key in (self.user, self.email, *self.devices) if key != self.resting]

    def sure(self) -> list[str]:
        """Those that will never leave: whose profile acts at once does not depend on what was first."""
        return [self.user, self.email, self.devices[0]]

    def linking(self, chance: random.Random) -> tuple[str, ...]:
        """Identifiers of a sign-in, the strongest first."""
        others = [key for key in (self.email, *self.devices) if key not in self.strangers]
        chosen = set(chance.sample(others, chance.randint(1, min(2, len(others)))))
        self.linked |= chosen
        return (self.user, *(key for key in others if key in chosen))

    def split(self, now: int) -> Split | None:
        """Takes the last device away, once it has been part of the person for a phase."""
        device, self.resting = self.devices[-1], None
        if not self.unsure or device not in self.together:
            return None
        self.unsure = False
        self.strangers = {device}
        self.linked.discard(device)
        self.together.discard(device)
        self.resting = device
        return Split(tuple(self.keys()), (device,), now)


class _Maker:
    def __init__(self, seed: int, events: int, phases: int) -> None:
        self.chance = random.Random(f"crowd {seed}")
        self.customers = [_Customer(each, self.chance) for each in range(max(4, events // EVENTS_EACH))]
        self.number = 0
        self.now = START
        self.sent: list[Event] = []
        self.owed: list[tuple[str, int]] = []
        """Events that will stop a timer: whose, and of which run."""
        size = events // phases
        self.made = [self._phase(START + number * STEP, size) for number in range(phases)]

    def _phase(self, start: int, size: int) -> Phase:
        self.now, self.sent, self.owed = start, self.sent[-size // 4 :], []
        for each in self.customers:
            each.together = set(each.linked)
        splits = tuple(split for each in self.customers if (split := each.split(start)))
        inputs: list[Input] = []
        while len(inputs) < size - len(self.owed):
            inputs.append(self._one())
        inputs += [self._event((key,), "B", n=run) for key, run in self.owed]
        return Phase(start, splits, inputs)

    def _one(self) -> Input:
        chance, customer = self.chance, self.chance.choice(self.customers)
        dice, key = chance.random(), chance.choice(customer.keys())
        if dice < 0.14:
            return self._event(customer.linking(chance), "identify", step=self.number)
        if dice < 0.30:
            return self._arm(customer, key)
        if dice < 0.40 and self.owed:
            stopped, run = self.owed.pop(chance.randrange(len(self.owed)))
            return self._event((stopped,), "B", n=run)
        if dice < 0.50:
            return self._event((chance.choice(customer.sure()),), "E")
        if dice < 0.53:
            return self._event((key,), "C")
        if dice < 0.58:
            order = f"o{self.number}"
            return self._event((customer.user,), "Order Completed", order_id=order, currency="EUR", total="9.90")
        if dice < 0.64 and self.sent:
            return again(chance.choice(self.sent), self.now)
        if dice < 0.645:
            known = chance.randrange(self.number + 1)
            return Rejected(self.now, "accept", "x", "", "", "", "crowd", b"\xff", 1, "", f"r{known // 2}")
        return self._event((key,), "X", s=chance.randrange(3))

    def _arm(self, customer: _Customer, key: str) -> Event:
        """Starts a timer; half of them are stopped in time, some by the same person under another identifier."""
        if self.chance.random() < 0.5:
            other = self.chance.choice(sorted(customer.together)) if key in customer.together else key
            self.owed.append((other, self.number + 1))
        return self._event((key,), "A")

    def _event(self, keys: tuple[str, ...], name: str, **properties: object) -> Event:
        self.number += 1
        self.now += 1
        self.sent.append(event(keys, self.number, name, self.now, self.now, **properties))
        return self.sent[-1]


def make(seed: int, events: int, phases: int = 3) -> Crowd:
    """The crowd of a seed."""
    made = _Maker(seed, events, phases).made
    return Crowd(seed, made, made[-1].now + LONG + HOUR)


def plan_in(folder: Path) -> Path:
    """A plan folder with a rule that acts at once, and two that wait: ten minutes and twelve hours."""
    rules = folder / "rules"
    rules.mkdir(parents=True)
    for name in ("short.yaml", "long.yaml", "instant.yaml"):
        (rules / name).write_text(RULES[name])
    (folder / "plan.yaml").write_text("allow_late_input: 1s\n")
    return folder


def embedded(crowd: Crowd, plan: Plan, folder: Path) -> Path:
    """The same in one process; returns what that published."""
    with Engine.open(folder, plan) as engine:
        for phase in crowd.phases:
            engine.advance(phase.now)
            for split in phase.splits:
                engine.ask(split._replace(at=phase.now))
            for chunk in chunks(phase.inputs, 200):
                engine.take(chunk)
        engine.advance(crowd.end)
        engine.publish()
    return folder / PUBLISHED


def chunks(inputs: list[Input], size: int) -> Iterator[list[Input]]:
    for start in range(0, len(inputs), size):
        yield inputs[start : start + size]


def triggers(published: Path) -> int:
    """How many the embedded run gave."""
    with duckdb.connect(str(published), read_only=True) as mart:
        ((count,),) = mart.execute("SELECT count(*) FROM mart.fct_trigger").fetchall()
    return int(count)


def loaded(folder: Path) -> Plan:
    """The plan that `plan_in` wrote."""
    return plan_folder.load(folder)
