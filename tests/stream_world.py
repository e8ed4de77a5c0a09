"""Random shops for the simulator: a plan, a script of inputs and faults, all from one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from profiles.settings import IdentitySettings, TypeSettings
from rules.load import load_rules
from schemas.instant import DAY, HOUR, MINUTE, SECOND
from schemas.messages import ByHand, EndQuarantine, Event, Link, Merge, Quarantine, Rejected, SourceMark, Split, Unsplit
from stream.core.plan import Plan
from stream.simulation.broker import Fault, random_faults
from stream.simulation.simulator import Item

START = 20_000 * DAY
SHORT, LONG = 10 * MINUTE, 12 * HOUR
BY_HAND = 10
"""Every so many-th shop has people who merge, take splits back and quarantine; it may trust an alias of user ids."""
QUIET = LONG + HOUR
"""A pause in which every timer that is open comes due."""
ALMOST = 6 * DAY + 12 * HOUR
"""A pause after which message ids are still known, though not for long."""
_RULE = """
rule: {name}
owner: tests
status: live
purpose: proof
when: {when}
then: [{{alert: slack, to: desk, message: hello}}]
"""
RULES = {
    "short.yaml": _RULE.format(name="short", when="{event: A, not_followed_by: {event: B}, within: 10m, key: n}"),
    "long.yaml": _RULE.format(name="long", when="{event: C, not_followed_by: {event: D}, within: 12h, key: n}"),
    "restart.yaml": _RULE.format(
        name="restart", when="{event: F, not_followed_by: {event: B}, within: 10m, restart_on: F}"
    ),
    "same.yaml": _RULE.format(
        name="same", when="{event: F, not_followed_by: {event: X, same: s}, within: 10m, restart_on: A}"
    ),
    "instant.yaml": _RULE.format(name="instant", when="{event: E, key: n}"),
}
STARTS = {"short": ("A", "B", SHORT), "long": ("C", "D", LONG)}
"""Rule -> the event that arms it, the event that closes it, and its window."""
SPANNING = ("restart", "same")
"""Rules whose runs may hold events of several identifiers."""
NAMES = (
    "A",
    "B",
    "C",
    "C",
    "C",
    "D",
    "D",
    "E",
    "F",
    "F",
    "X",
    "identify",
    "Order Completed",
    "Order Refunded",
    "Order Cancelled",
)
LOOSE = IdentitySettings(types=(TypeSettings("email", cap=50),))
TIGHT = IdentitySettings(types=(TypeSettings("email", cap=3), TypeSettings("anonymous_id", cap=4)))
TRUSTING = replace(TIGHT, trust_alias=True)
RULE_SET = load_rules(RULES)


@dataclass(slots=True)
class World:
    """What a seed stands for."""

    seed: int
    plan: Plan
    partitions: int
    faults: tuple[Fault, ...]
    splits: bool
    loose: bool
    """No cap can bite and nothing is split: people are exactly the connected components."""
    phases: list[list[Item]] = field(default_factory=list)
    """The inputs; after each phase comes a pause of the length in `pauses`."""
    pauses: list[int] = field(default_factory=list)
    told_together: dict[str, str] = field(default_factory=dict)
    """Message id -> the source that sent it, of those that came as history."""

    def strength(self, key: str) -> tuple[tuple[int, str], str]:
        """Sorts identifiers, the strongest first."""
        return self.plan.identity.rank(key.split(":", maxsplit=1)[0]), key


def event(keys: tuple[str, ...], number: int, name: str, occurred_at: int, now: int, **properties: object) -> Event:
    """An accepted event; the first key is the strongest."""
    type_ = name if name in ("identify", "alias") else "track"
    body = {"type": type_, "messageId": f"m{number}"}
    body["traits" if type_ == "identify" else "properties"] = {"n": number, **properties}
    previous = str(properties["previous"]) if "previous" in properties else None
    channel = ("web", "email", None)[number % 3]
    fields = (keys, f"m{number}", type_, name, channel, occurred_at, now, now, "world", previous, ())
    return Event(*fields, body)


def again(sent: Event, now: int) -> Event:
    """The same event, sent once more."""
    return sent._replace(received_at=now, now=now)


def make(seed: int, scale: int = 1) -> World:
    """The world of a seed."""
    return _Maker(seed, scale).world


class _Maker:
    def __init__(self, seed: int, scale: int) -> None:
        chance = self.chance = random.Random(f"world {seed}")
        loose = chance.random() < 0.25
        splits = not loose and chance.random() < 0.7
        self.hand = random.Random(f"by hand {seed}")
        self.by_hand = not loose and seed % BY_HAND == BY_HAND - 1
        partitions = chance.choice((1, 2, 3, 4, 4, 5))
        faults = random_faults(seed, partitions, chance.choice((0.0, 0.01, 0.04)))
        allowed = chance.choice((0, 10 * SECOND, MINUTE))
        trusting = self.by_hand and self.hand.random() < 0.5
        plan = Plan(LOOSE if loose else TRUSTING if trusting else TIGHT, RULE_SET, allowed)
        self.world = World(seed, plan, partitions, faults, splits or self.by_hand, loose)
        self.crowd = chance.choice(((1, 1, 2, 2, 3), (1, 1, 1, 1, 1, 2), (2, 3)))
        self.now = START
        self.number = 0
        self.sent: list[Event] = []
        self.asked: list[ByHand] = []
        self.refused: list[Rejected] = []
        kinds = (
            ("email", "anonymous_id")
            if loose
            else ("user_id", "email", "email", "anonymous_id", "anonymous_id", "anonymous_id", "device_id", "phone")
        )
        count = chance.randint(4, 12)
        self.keys = [f"{chance.choice(kinds)}:{letter}" for letter in "abcdefghijkl"[:count]]
        if self.by_hand:
            self.keys[:3] = ["user_id:a", "user_id:b", "user_id:c"]
        for _ in range(chance.randint(1, 4)):
            self._phase(chance.choice((4, 8, 15, 30, 60)) * scale, chance.choice((QUIET, QUIET, ALMOST, 8 * DAY)))
        self.world.pauses[-1] += DAY
        self.now += DAY
        self._closing()

    def _phase(self, size: int, pause: int) -> None:
        items: list[Item] = []
        for _ in range(size):
            self.now += self.chance.randrange(40) * SECOND
            items.append(self._item())
            if self.chance.random() < 0.04:
                items += self._history()
        items = self._bundled(items)
        self.world.phases.append(items)
        self.world.pauses.append(pause)
        self.now += pause + 5 * HOUR

    def _item(self) -> Item:
        if self.by_hand and self.sent and self.hand.random() < 0.2:
            return self._by_hand()
        chance, dice = self.chance, self.chance.random()
        if dice < 0.72 or not self.sent:
            return self._event(chance.sample(self.keys, min(chance.choice(self.crowd), len(self.keys))))
        if dice < 0.84:
            return again(chance.choice(self.sent[-10:] if chance.random() < 0.5 else self.sent), self.now)
        if dice < 0.86:
            number = chance.randrange(5)
            return Rejected(self.now, "accept", "x", "", "", "", "world", b"\xff", 1, "", f"r{number}")
        if dice < 0.94 and self.world.splits:
            keys = chance.sample(self.keys, chance.choice((2, 2, 3, 4)))
            cut = chance.randint(1, len(keys) - 1)
            both = keys[:1] if chance.random() < 0.2 else []
            return Split(tuple(keys[:cut]), tuple(keys[cut:] + both), self.now)
        if dice < 0.96 and not self.world.loose:
            return self._event(chance.sample(self.keys, 1), alias=True)
        first, second = sorted(chance.sample(self.keys, 2), key=self.world.strength)
        return Link(first, second, "by hand", self.now)

    def _by_hand(self) -> Item:
        """What people ask the linker for, and an alias of two user ids."""
        hand = self.hand
        a, b, *more = hand.sample(self.keys, min(len(self.keys), hand.choice((2, 4, 6))))
        kind = hand.choice(("merge", "split", "unsplit", "quarantine", "release", "alias"))
        match kind:
            case "merge":
                return Merge(a, b, self.now)
            case "split":
                return self._asked(Split((a,), (b, *more[:1]), self.now))
            case "unsplit":
                splits = [each for each in self.asked if isinstance(each, Split)]
                if splits and hand.random() < 0.7:
                    split = hand.choice(splits)
                    a, b = split.a[0], split.b[0]
                return Unsplit(a, b, self.now)
            case "quarantine":
                return self._asked(Quarantine(a, (tuple(more[:1]), (b, *more[1:])), self.now))
            case "release":
                quarantined = [each.key for each in self.asked if isinstance(each, Quarantine)]
                return EndQuarantine(hand.choice([*quarantined, a]), self.now)
            case _:
                user, previous = hand.sample(self.keys[:3], 2)
                self.number += 1
                made = event((user,), self.number, "alias", self.now, self.now, previous=previous.split(":")[1])
                self.sent.append(made)
                return made

    def _asked(self, request: ByHand) -> ByHand:
        self.asked.append(request)
        return request

    def _history(self) -> list[Item]:
        """What a source sends that tells of the last hours: windows that are over, and what had closed some of them."""
        chance, source = self.chance, f"source {self.number}"
        items: list[Item] = [SourceMark(source, True, self.now)]
        arms, closes, within = chance.choice(list(STARTS.values()))
        began = self.now - within - chance.randrange(1, 60) * MINUTE
        armed = [self._past(chance.choice(self.keys), arms, began + each) for each in range(chance.randint(1, 4))]
        closed = [
            self._past(each.identifiers[0], closes, began + chance.randrange(10, within // SECOND) * SECOND)
            for each in armed
            if chance.random() < 0.6
        ]
        self.world.told_together |= {each.message_id: source for each in (*armed, *closed)}
        others = [self._event(chance.sample(self.keys, 1)) for _ in range(chance.randrange(6))]
        items += [*armed, *others, *closed]
        return [*items, SourceMark(source, False, self.now)]

    def _past(self, key: str, name: str, occurred_at: int) -> Event:
        self.number += 1
        made = event((key,), self.number, name, occurred_at, self.now)
        self.sent.append(made)
        return made

    def _event(self, keys: list[str], alias: bool = False) -> Event:
        chance = self.chance
        self.number += 1
        ranked = tuple(sorted(keys, key=self.world.strength))
        late = chance.choice((0, 0, 0, 0, 5 * SECOND, 3 * HOUR, 100 * HOUR))
        occurred_at = self.now - late + self.number
        name = "alias" if alias else chance.choice(NAMES)
        properties: dict[str, object] = {}
        if alias:
            properties["previous"] = chance.choice(self.keys).split(":")[1]
        if name.startswith("Order"):
            properties = {
                "order_id": f"o{chance.randrange(6)}",
                "currency": "EUR",
                "total": f"{chance.randrange(9000) / 100:.2f}",
            }
        if name in "FX":
            properties["s"] = chance.randrange(3)
        made = event(ranked, self.number, name, occurred_at, max(self.now, occurred_at), **properties)
        self.sent.append(made)
        return made

    def _bundled(self, items: list[Item]) -> list[Item]:
        """Events of one home that come one after another may share a record."""
        bundled: list[Item] = []
        for item in items:
            last = bundled[-1] if bundled else None
            if isinstance(item, Event) and self.chance.random() < 0.5:
                if type(last) is tuple and last[0].identifiers[0] == item.identifiers[0]:
                    bundled[-1] = (*last, item)
                else:
                    bundled.append((item,))
            else:
                bundled.append(item)
        return bundled

    def _closing(self) -> None:
        """Every pair that was ever seen, once more."""
        pairs = {(each.identifiers[0], other) for each in self.sent for other in each.identifiers[1:]}
        items: list[Item] = []
        for first, other in sorted(pairs):
            self.now += SECOND
            items.append(self._event([first, other]))
        self.world.phases.append(items)
        self.world.pauses.append(QUIET)
