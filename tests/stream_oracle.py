"""What must be true of a simulated run, computed anew and naively from the logs. Every breach is one line of text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import combinations, zip_longest
from typing import Any, NamedTuple

from profiles.facets import RECENT_ENTRIES
from profiles.kinds import place
from profiles.settings import IdentitySettings
from schemas import codec
from schemas.instant import DAY, HOUR, MINUTE
from schemas.keys import partition_of, profile_id
from schemas.messages import (
    EndQuarantine,
    Event,
    Forward,
    Link,
    Merge,
    Quarantine,
    Rejected,
    Request,
    SourceMark,
    Split,
    Transfer,
    Unsplit,
)
from stream.core.effects import LINKS, Address
from stream.core.owners import Unreadable
from stream.simulation.simulator import Endless, Pause, Simulator
from stream_world import SPANNING, STARTS, World

HOPS = 8
PUNCTUAL = 5 * MINUTE
"""How long after its time a run is decided while nothing comes in: late input is allowed for, clocks differ."""
LATE = 72 * HOUR


class Decided(NamedTuple):
    """A decision on who is one person, without its number and its time."""

    kind: str
    winner: str
    loser: str
    moved: tuple[str, ...]
    reason: str


class Naive:
    """Who is one person: sets of identifiers, and pairs that must stay apart. The linker in a few lines."""

    def __init__(self, settings: IdentitySettings) -> None:
        self.settings = settings
        self.people: dict[str, frozenset[str]] = {}
        self.apart: set[frozenset[str]] = set()
        self.cut: set[frozenset[str]] = set()
        """Of those apart, whom a split found together."""
        self.quarantined: dict[str, frozenset[str]] = {}
        """With whom each was before."""
        self.told: set[tuple[frozenset[str], str]] = set()
        """Refusals: the pair and the reason."""

    def of(self, key: str) -> frozenset[str]:
        return self.people.get(key, frozenset((key,)))

    def mergeable(self, a: str, b: str) -> bool:
        return self.refusal(a, b) is None

    def forbidden(self, a: str, b: str) -> str | None:
        """Why these two may not be one person, whoever asks."""
        if {a, b} & self.quarantined.keys():
            return "quarantined"
        return "negative_link" if self.pairs(a, b) & self.apart else None

    def pairs(self, a: str, b: str) -> set[frozenset[str]]:
        """All pairs across the people of these two."""
        return {frozenset((x, y)) for x in self.of(a) for y in self.of(b)}

    def refusal(self, a: str, b: str, alias: bool = False) -> str | None:
        """Why an event may not make these two one person."""
        if (why := self.forbidden(a, b)) is not None:
            return why
        ours, theirs = self.of(a), self.of(b)
        users = alias and self.settings.trust_alias and a.startswith("user_id:") and b.startswith("user_id:")
        held, more = (Counter(key.partition(":")[0] for key in side) for side in (ours, theirs))
        for each in sorted((held.keys() & more.keys()) - ({"user_id"} if users else set())):
            if each == "user_id":
                return "unique_user_id"
            if held[each] + more[each] > self.settings.cap(each):
                return f"cap_{each}"
        return None

    def decide(self, request: Request) -> list[Decided]:
        """What there is to tell: nothing where nothing changes, nor of a refusal that was told before."""
        match request:
            case Link(a, b, _, _, alias):
                return self._joined(a, b, self.refusal(a, b, alias), "named_together")
            case Split(a, b):
                return self._split(a, [key for key in b if key not in a])
            case Merge(a, b):
                return self._joined(a, b, self.forbidden(a, b), "requested")
            case Unsplit(a, b):
                return self._unsplit(a, b)
            case Quarantine(key, groups):
                return self._quarantine(key, groups)
            case EndQuarantine(key):
                return self._released(key)

    def _joined(self, a: str, b: str, why: str | None, reason: str) -> list[Decided]:
        ours, theirs = sorted((self.of(a), self.of(b)), key=lambda side: self.strength(self.root(side)))
        if ours == theirs:
            return []
        winner, loser = self.root(ours), self.root(theirs)
        if why is not None:
            told = (frozenset((a, b)), why)
            new = told not in self.told
            self.told.add(told)
            return [Decided("refuse", winner, loser, (), why)] if new else []
        self._set(ours | theirs)
        return [Decided("merge", winner, loser, tuple(sorted(theirs)), reason)]

    def _unsplit(self, a: str, b: str) -> list[Decided]:
        winner, loser = sorted((self.root(self.of(a)), self.root(self.of(b))), key=self.strength)
        lifted = self.pairs(a, b) & self.apart
        if not lifted or winner == loser:
            return []
        were_one = bool(lifted & self.cut)
        self.apart -= lifted
        self.cut -= lifted
        told = Decided("unsplit", winner, loser, (), "requested")
        return [told, *(self._joined(a, b, self.forbidden(a, b), "unsplit") if were_one else ())]

    def _quarantine(self, key: str, groups: tuple[tuple[str, ...], ...]) -> list[Decided]:
        if key in self.quarantined:
            return []
        whole = self.of(key)
        root, rest = self.root(whole), whole - {key}
        self.quarantined[key] = rest
        parts: list[frozenset[str]] = []
        for group in groups:
            parts.append(rest.intersection(group))
            rest -= parts[-1]
        parts.append(rest)
        if len(whole) > 1:
            self._set(frozenset((key,)))
        if root == key:
            told = [Decided("quarantine", key, key, (), "requested")]
        else:
            stays = rest.union(*(part for part in parts if root in part))
            parts = [part for part in parts if not part & stays]
            self._set(stays)
            told = [Decided("quarantine", root, key, (key,), "requested")]
        for part in filter(None, parts):
            self._set(part)
            told.append(Decided("regroup", root, self.root(part), tuple(sorted(part)), "quarantined"))
        return told

    def _released(self, key: str) -> list[Decided]:
        if key not in self.quarantined:
            return []
        members, root = sorted(self.quarantined.pop(key)), self.root(self.of(key))
        joined = [
            each for member in members for each in self._joined(key, member, self.forbidden(key, member), "released")
        ]
        return [Decided("release", root, root, (), "requested"), *joined]

    def _split(self, one: Sequence[str], other: Sequence[str]) -> list[Decided]:
        declared = {frozenset((x, y)) for x in one for y in other}
        new = not declared <= self.apart
        self.apart |= declared
        decided = []
        for cluster in sorted({self.of(key) for key in one}, key=self.root):
            a, b = cluster.intersection(one), cluster.intersection(other)
            if a and b:
                root = self.root(cluster)
                leaving = a if root in b else b
                cut = {frozenset((x, y)) for x in leaving for y in cluster - leaving}
                self.apart |= cut
                self.cut |= cut
                self._set(leaving)
                self._set(cluster - leaving)
                decided.append(Decided("split", root, self.root(leaving), tuple(sorted(leaving)), "requested"))
        if new and not decided:
            roots = sorted((self.root(self.of(one[0])), self.root(self.of(other[0]))), key=self.strength)
            decided.append(Decided("split", *roots, (), "requested"))
        return decided

    def _set(self, cluster: frozenset[str]) -> None:
        for key in cluster:
            self.people[key] = cluster

    def root(self, cluster: Iterable[str]) -> str:
        return min(cluster, key=self.strength)

    def strength(self, key: str) -> tuple[tuple[int, str], str]:
        return self.settings.rank(key.partition(":")[0]), key


def connected(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """Connected components, key by key."""
    found: dict[str, frozenset[str]] = {}
    for a, b in pairs:
        union = found.get(a, frozenset((a,))) | found.get(b, frozenset((b,)))
        found.update(dict.fromkeys(union, union))
    return found


class Snapshot(NamedTuple):
    """How things stood when nothing moved any more and a pause began."""

    now: int
    until: int
    facts: int
    decisions: int
    roots: dict[str, str]


def judge(world: World, simulator: Simulator) -> list[str]:
    """Runs a world and names everything that went wrong, nothing when all is well."""
    snapshots = []
    try:
        for items, pause in zip(world.phases, world.pauses, strict=True):
            simulator.run(items)
            snapshots.append(_snapshot(simulator, pause))
            simulator.run([Pause(pause)])
    except (Endless, Unreadable) as error:
        return [f"endless: {error}"]
    checks = (_accounts, _identity, _asking, _places, _figures, _wakes, _timers, _closing)
    return [f"{check.__name__[1:]}: {said}" for check in checks for said in check(world, simulator, snapshots)]


def _snapshot(simulator: Simulator, pause: int) -> Snapshot:
    roots = {member: root for root, members in simulator.people().items() for member in members}
    outputs = simulator.outputs
    return Snapshot(simulator.now, simulator.now + pause, len(outputs.facts), len(outputs.decisions), roots)


def _inputs(world: World, simulator: Simulator) -> list[Any]:
    """Everything that came in, in the order of its log."""
    logs = [simulator.logs[Address("events", partition)] for partition in range(world.partitions)]
    messages = (message for log in logs for record in log.records() for message in opened(record))
    return [message for message in messages if not isinstance(message, SourceMark)]


def opened(record: bytes) -> list[Any]:
    """The messages of a record."""
    return [codec.decode(line) for line in record.split(b"\n")]


def hops(simulator: Simulator) -> Iterator[Forward | Transfer]:
    """Everything that travelled from lane to lane."""
    for partition in range(simulator.partitions):
        for record in simulator.logs[Address("internal", partition)].records():
            yield from (message for message in opened(record) if isinstance(message, Forward | Transfer))


def _accounts(world: World, simulator: Simulator, _: list[Snapshot]) -> Iterator[str]:
    """Every input has one outcome, and a message id is known for exactly as long as it should be."""
    accepted: dict[tuple[str, str], int] = {}
    expected: Counter[tuple[str, str, int]] = Counter()
    refused: dict[str, int] = {}
    duplicate = again = 0
    for each in _inputs(world, simulator):
        known, id_, at = (
            (refused, each.rejection_id, each.rejected_at)
            if isinstance(each, Rejected)
            else (accepted, (each.identifiers[0], each.message_id), each.received_at)
        )
        if id_ in known and at - known[id_] < world.plan.identity.forget_after:
            if isinstance(each, Event):
                duplicate += 1
            continue
        known[id_] = at
        if isinstance(each, Event):
            expected[*id_, at] += 1
        else:
            again += 1
    facts = Counter((each.identifiers[0], each.message_id, each.received_at) for each in simulator.outputs.facts)
    if facts != expected:
        yield f"applied too much {facts - expected}, too little {expected - facts}"
    if simulator.outputs.duplicate != duplicate:
        yield f"{simulator.outputs.duplicate} duplicates, not {duplicate}"
    if len(simulator.outputs.rejected) != again:
        yield f"{len(simulator.outputs.rejected)} rejected, not {again}"
    furthest = max((message.hops for message in hops(simulator)), default=0)
    if furthest > HOPS:
        yield f"a message took {furthest} hops"


def _identity(world: World, simulator: Simulator, _: list[Snapshot]) -> Iterator[str]:
    """Rows, linker and the naive replay of the requests agree on who is one person."""
    naive, expected = replayed(world, simulator)
    linker, rows, people = simulator.linker(), simulator.rows, simulator.people()
    for key in {*naive.people, *(each.identifiers[0] for each in simulator.outputs.facts)}:
        root, members = linker.person(key)
        if set(members) != naive.of(key) or root != naive.root(naive.of(key)):
            yield f"linker has {key} in {members} under {root}, not {set(naive.of(key))}"
        row = rows.find(key)
        if row is None or (row.to or key) != root:
            yield f"the row of {key} points to {row and row.to}, not to {root}"
        if set(people.get(root, ())) != set(members):
            yield f"{root} holds {people.get(root)}, not {members}"
    numbers = [each.decision for each in simulator.outputs.identity]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"decisions are numbered {numbers}"
    told = [Decided(each.kind, each.winner, each.loser, each.moved, each.reason) for each in simulator.outputs.identity]
    if told != expected:
        wrong = next((pair for pair in zip_longest(told, expected) if pair[0] != pair[1]), None)
        yield f"{len(told)} decisions, not {len(expected)}; the first that differs: {wrong}"
    if simulator.outputs.profiles != len(people):
        yield f"{simulator.outputs.profiles} profiles counted, {len(people)} there"
    if world.loose:
        pairs = [(fact.identifiers[0], other) for fact in simulator.outputs.facts for other in fact.identifiers[1:]]
        by_hand = [(item.a, item.b) for items in world.phases for item in items if isinstance(item, Link)]
        for key, component in connected(pairs + by_hand).items():
            if naive.of(key) != component:
                yield f"{key} is with {set(naive.of(key))}, connected to {set(component)}"


def replayed(world: World, simulator: Simulator) -> tuple[Naive, list[Decided]]:
    """The requests in the linker's order, decided naively."""
    naive = Naive(world.plan.identity)
    decided = [each for request in _requests(simulator) for each in naive.decide(request)]
    return naive, decided


def _requests(simulator: Simulator) -> list[Request]:
    """Everything the linker was asked, in its order."""
    return [request for record in simulator.logs[LINKS].records() for request in opened(record)]  # type: ignore[misc]


def _ever_together(world: World, simulator: Simulator) -> set[frozenset[str]]:
    """Pairs that were one person at some time."""
    naive = Naive(world.plan.identity)
    found: set[frozenset[str]] = set()
    for request in _requests(simulator):
        for each in naive.decide(request):
            if each.kind == "merge":
                found.update(map(frozenset, combinations(naive.of(each.winner), 2)))
    return found


def _asking(world: World, simulator: Simulator, _: list[Snapshot]) -> Iterator[str]:
    """A pair is asked about often enough and not with every event; an alias leads to somebody, now or later."""
    asked: dict[tuple[str, str], list[Link]] = defaultdict(list)
    for request in _requests(simulator):
        if isinstance(request, Link):
            asked[request.a, request.b].append(request)
    events = {(fact.identifiers[0], fact.message_id) for fact in simulator.outputs.facts if fact.previous is None}
    for (a, b), requests in asked.items() if not world.splits else ():
        times = sorted(each.at for each in requests if (a, each.message_id) in events)
        # Admitting a member forgets when it was asked about, and a root that is absorbed after that asks once more.
        if any(third - first < DAY for first, third in zip(times, times[2:], strict=False)):
            yield f"{a} asked about {b} at {times}"
    together = _ever_together(world, simulator)
    for fact in simulator.outputs.facts:
        first = fact.identifiers[0]
        for other in fact.identifiers[1:]:
            near = (each for each in asked[first, other] if abs(each.at - fact.now) < DAY)
            if frozenset((first, other)) not in together and not any(near):
                yield f"{fact.message_id} did not ask about {first} and {other}"
    by_message = {(each.a, each.message_id): each.b for requests in asked.values() for each in requests}
    named: dict[str, set[str]] = defaultdict(set)
    for fact in simulator.outputs.facts:
        if fact.previous is None:
            continue
        key, either = fact.identifiers[0], {f"anonymous_id:{fact.previous}", f"user_id:{fact.previous}"}
        if key not in either:
            named[f"anonymous_id:{fact.previous}"].add(key)
            if by_message.get((key, fact.message_id)) not in either:
                yield f"alias {fact.message_id} of {key} asked nothing"
    rows = simulator.rows
    for anonymous, users in named.items():
        if rows.find(anonymous) is not None and not any((user, anonymous) in asked for user in users):
            yield f"{anonymous} came after {users} had named it, and nobody asked"


def _places(world: World, simulator: Simulator, _: list[Snapshot]) -> Iterator[str]:
    """Every event lies once in its identifier's component at the right root; nothing lies anywhere else."""
    people, rows = simulator.people(), simulator.rows
    for kind in b"chtof":
        for key, _value in rows.scan(bytes((kind,))):
            root, member = (part.decode() for part in key[1:].split(b"\0")[:2])
            if member not in people.get(root, ()):
                yield f"{chr(kind)} row of {member} left at {root}"
    facts: dict[str, list[str]] = defaultdict(list)
    for fact in simulator.outputs.facts:
        facts[fact.identifiers[0]].append(fact.message_id)
    for key, _value in rows.scan(b"i"):
        row = rows.find(key[1:].decode())
        assert row is not None
        if row.to is not None:
            if row.component is not None or row.members or row.wake:
                yield f"moved row {row.key} is not empty"
            continue
        held = dict(rows.members(row))
        if row.parts.keys() != {
            key[1:].split(b"\0")[1].decode() for key, _value in rows.scan(place(b"c", row.key, ""))
        }:
            yield f"{row.key} knows of components of {set(row.parts)}"
        for member in people[row.key]:
            component = held.get(member)
            count = component.totals(component.lines()).count if component else 0
            if count != len(facts[member]):
                yield f"{member} counts {count}, not {len(facts[member])}"
            lines = Counter(entry[1] for entry in rows.history(row, member, component)) if component else Counter()
            if lines - Counter(facts[member]) or (
                len(facts[member]) <= RECENT_ENTRIES and lines != Counter(facts[member])
            ):
                yield f"{member} has history {sorted(lines)}, not {sorted(facts[member])}"


def _figures(world: World, simulator: Simulator, _: list[Snapshot]) -> Iterator[str]:
    """Counts, traits and money of each profile are those of the facts of its members."""
    for root, shown in simulator.profiles().items():
        members = simulator.people()[root]
        facts = [fact for fact in simulator.outputs.facts if fact.identifiers[0] in members]
        names = Counter(fact.name for fact in facts)
        if shown["event_count"] != len(facts) or {name: e["count"] for name, e in shown["events"].items()} != names:
            yield f"{root} shows {shown['event_count']} events, has {len(facts)}"
        newest = max(
            (fact for fact in facts if fact.type == "identify"),
            key=lambda fact: (fact.occurred_at, fact.message_id),
            default=None,
        )
        if shown["traits"] != (newest.body["traits"] if newest else {}):
            yield f"{root} shows traits {shown['traits']}"
        orders = shown["orders"]
        found = (
            orders["count"],
            Decimal(orders["revenue"].get("EUR", 0)),
            sum(map(Decimal, orders["refunded"].values())),
        )
        if found != _money(facts):
            yield f"{root} shows orders {found}, not {_money(facts)}"


def _money(facts: list[Event]) -> tuple[int, Decimal, Decimal]:
    """Orders, gross revenue and refunds, one order id after another; a refund counts once, whoever it came by."""
    count, gross, back = 0, Decimal(0), Decimal(0)
    for order in {fact.body["properties"]["order_id"] for fact in facts if fact.name.startswith("Order")}:
        mine = [
            fact for fact in facts if fact.name.startswith("Order") and fact.body["properties"]["order_id"] == order
        ]
        placed = [
            (fact.occurred_at, fact.message_id, Decimal(fact.body["properties"]["total"]))
            for fact in mine
            if fact.name == "Order Completed"
        ]
        amount = max(placed)[2] if placed else Decimal(0)
        refunds = {fact.message_id: fact.body["properties"]["total"] for fact in mine if fact.name == "Order Refunded"}
        parts = sum(map(Decimal, refunds.values()), Decimal(0))
        cancelled = any(fact.name == "Order Cancelled" for fact in mine)
        count += bool(placed)
        gross += amount
        back += max(parts, amount) if cancelled else parts
    return count, gross, back


def _wakes(world: World, simulator: Simulator, _: list[Snapshot]) -> Iterator[str]:
    """After the last pause nobody waits for anything."""
    left = list(simulator.rows.scan(b"w"))
    if left:
        yield f"wakes left behind: {left}"


def _timers(world: World, simulator: Simulator, snapshots: list[Snapshot]) -> Iterator[str]:
    """A run ends at most once; it fires exactly when no closing event came in time."""
    facts, decisions = simulator.outputs.facts, simulator.outputs.decisions
    verdicts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for decision in decisions:
        verdicts[decision.rule, decision.run_key].append(decision.verdict)
    for run, said in verdicts.items():
        # A split leaves the mark of a run that spanned both sides on one of them; the other has missed it.
        if said.count("fired") > 1 or (len(said) > 1 and not (world.splits and run[0] in SPANNING)):
            yield f"{run} ended {said}"
        # Merged histories can close an opening earlier than before, so that a later one, long over, takes its place.
        if "missed" in said and not world.splits and run[0] not in SPANNING:
            yield f"{run} was missed without a split"
    ids = Counter(trigger.trigger_id for trigger in simulator.outputs.triggers)
    fired = sum(decision.verdict == "fired" for decision in decisions)
    if len(ids) != len(simulator.outputs.triggers) or len(ids) != fired:
        yield f"{len(simulator.outputs.triggers)} triggers with {len(ids)} ids for {fired} firings"
    on_time = {fact.message_id: fact for fact in facts if fact.now - fact.occurred_at <= LATE}
    for fact in on_time.values():
        run_key = str(fact.body.get("properties", {}).get("n"))
        if fact.name == "E" and verdicts["instant", run_key] != ["fired"]:
            yield f"instant {run_key}: {verdicts['instant', run_key]}"
    yield from _every_run(world, simulator, snapshots, on_time)
    for snapshot in snapshots:
        yield from _in_pause(snapshot, simulator, on_time)


def _every_run(
    world: World, simulator: Simulator, snapshots: list[Snapshot], on_time: dict[str, Event]
) -> Iterator[str]:
    """Every run against the logs: it fires unless something of its person could have closed it, never before all input
    up to its time has been taken, and never when what closes it was there by then."""
    decided = {(each.rule, each.run_key): each for each in simulator.outputs.decisions}
    accepted = _accepted(simulator)
    far = {each.event.message_id for each in hops(simulator) if isinstance(each, Forward) and each.hops > 1}
    # Those went from lane to lane more than once, which is what `allow_late_input` is for.
    people, _ = replayed(world, simulator)
    allowed = world.plan.allow_late_input
    for armed in on_time.values():
        for rule, (arms, closes, within) in STARTS.items():
            if armed.name != arms:
                continue
            due, run_key = armed.occurred_at + within, str(armed.body["properties"]["n"])
            found = decided.get((rule, run_key))
            closers = _closers(simulator.outputs.facts, armed, closes, within)
            if found is None:
                mine = people.of(armed.identifiers[0])
                if not [each for each in closers if world.splits or each.identifiers[0] in mine]:
                    yield f"{rule} {run_key} never fired"
                continue
            if found.verdict != "fired":
                continue
            # Without faults all clocks are the same; a new owner's may be behind that of the one that noted the ends.
            if found.decided_at < due + allowed - (MINUTE if world.faults else 0):
                yield f"{rule} {run_key} fired at {found.decided_at}, before {due + allowed}"
            for each in closers:
                together = world.told_together.get(armed.message_id, "a") == world.told_together.get(
                    each.message_id, "b"
                )
                in_time = together or accepted[each.message_id] <= due + allowed
                at_hand = each.occurred_at <= due and armed.message_id not in far and each.message_id not in far
                log = str(Address("events", partition_of(each.identifiers[0], simulator.partitions)))
                if (
                    in_time
                    and at_hand
                    and log not in found.detail
                    and _one_person(world, snapshots, simulator, armed, each)
                ):
                    yield f"{rule} {run_key} fired although {each.message_id} had closed it"


def _accepted(simulator: Simulator) -> dict[str, int]:
    """Message id -> when it was first in its log."""
    found: dict[str, int] = {}
    for (log, offset), at in simulator.accepted.items():
        for message in opened(simulator.logs[log].at(offset)):
            if isinstance(message, Event):
                found[message.message_id] = min(at, found.get(message.message_id, at))
    return found


def _one_person(world: World, snapshots: list[Snapshot], simulator: Simulator, a: Event, b: Event) -> bool:
    """Whether both were known to be of one person before either came, and ever since."""
    one, other = a.identifiers[0], b.identifiers[0]
    if one == other:
        return True
    before = [each for each in snapshots if each.facts <= min(map(simulator.outputs.facts.index, (a, b)))]
    return not world.splits and bool(before) and before[-1].roots.get(one, one) == before[-1].roots.get(other, other)


def _closers(facts: list[Event], armed: Event, name: str, within: int) -> list[Event]:
    return [
        each
        for each in facts
        if each.name == name and armed.occurred_at <= each.occurred_at <= armed.occurred_at + within
    ]


def _in_pause(snapshot: Snapshot, simulator: Simulator, on_time: dict[str, Event]) -> Iterator[str]:
    """Timers that came due in a pause: everything was settled, so the outcome is known exactly."""
    facts = simulator.outputs.facts[: snapshot.facts]
    arms, closes, within = STARTS["long"]
    before = {each.run_key for each in simulator.outputs.decisions[: snapshot.decisions] if each.rule == "long"}
    ended = {each.run_key: each for each in simulator.outputs.decisions[snapshot.decisions :] if each.rule == "long"}
    for fact in facts:
        if (
            fact.name != arms
            or fact.message_id not in on_time
            or not snapshot.now < fact.occurred_at + within <= snapshot.until
        ):
            continue
        run_key, root = str(fact.body["properties"]["n"]), snapshot.roots[fact.identifiers[0]]
        closed = [each for each in _closers(facts, fact, closes, within) if snapshot.roots[each.identifiers[0]] == root]
        found = ended.get(run_key)
        if run_key in before:
            yield f"long {run_key} ended early"
        elif closed and found is not None and found.verdict == "fired":
            yield f"long {run_key} of {root} fired, but {closed[0].message_id} had closed it"
        elif not closed and (found is None or found.verdict != "fired" or found.profile_id != profile_id(root)):
            yield f"long {run_key} of {root} ended as {found}"
        elif not closed and found is not None and found.decided_at > fact.occurred_at + within + PUNCTUAL:
            yield f"long {run_key} of {root} was looked at late, at {found.decided_at}"


def _closing(world: World, simulator: Simulator, _: list[Snapshot]) -> Iterator[str]:
    """Every pair was seen once more after more than a day: none that may be one person is two."""
    naive, _decided = replayed(world, simulator)
    for item in world.phases[-1]:
        for other in item.identifiers[1:] if isinstance(item, Event) else ():
            first = item.identifiers[0]
            if naive.of(first) != naive.of(other) and naive.mergeable(first, other):
                yield f"{first} and {other} stay apart"
