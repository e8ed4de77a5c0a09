"""Mutants of the protocol: the real code, each with one rule taken away. None of them may survive the simulator.

`FOUND` says at which seed each is found first. These seeds are part of every run (`SEEDS`). After a change of the
worlds or the oracle, record them anew:

    python tests/stream_mutants.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from profiles import transfer
from profiles.linker import Linker
from profiles.rows import Rows
from stream.core.home import Home
from stream.core.timers import Timers
from stream.core.watermark import Watermark
from stream.simulation.simulator import Simulator
from stream_mutants_identity import (
    AliasForgotten,
    AliasOfEventsOnly,
    AliasOfTheKnownOnly,
    AnyLinkTrusted,
    AskedForEver,
    AsksForTheFirst,
    CapOfTheLarger,
    EveryAliasTrusted,
    LosingRowFirst,
    MergeWithinCaps,
    MovedAsksAlways,
    MovedAsksOnce,
    NaiveSplit,
    NegativeLinksOfOneSide,
    NoNegativeLinks,
    OnlyNamedPairsApart,
    QuarantineForgotten,
    QuarantineOfToday,
    RefusalByDirection,
    RefusalOncePerPair,
    RegroupedForGood,
    RegroupsOfOne,
    ReleasedAlone,
    SharedKeyLeaves,
    SplitOfOneRoot,
    SplitRowFirst,
    UnsplitJoins,
    UnsplitOfOnePair,
    UnsplitOnly,
    WeakestRoot,
)
from stream_mutants_lanes import (
    AtLeastOnce,
    ForwardedToTheMoved,
    LinkerWithoutFence,
    NoFence,
    NoMemberCheck,
    OrdersAtLeastOnce,
    OrdersMixed,
    PositionOfOneTopic,
    PositionsApart,
    RefusalForgotten,
    RefusedForEver,
    SeenADayLess,
    SeenAnew,
    SeenForgotten,
    StrangerStays,
)
from stream_mutants_moving import (
    LeavesUnfired,
    MarksAtTheRoot,
    MarksOfTheRoot,
    MarksStay,
    NoMarks,
    NothingIsMissed,
    OrderOfOne,
    PiecesOneByOne,
    ReleaseWithoutPieces,
    ReopenedByRelease,
    StrangersDropped,
    StrangersKept,
    TraitsOfTheOther,
)
from stream_mutants_watermark import (
    MissedByNow,
    NewOwnersDoNotWait,
    NoAllowance,
    NoMarksOfSources,
    NowForBy,
    OwnPartitionOnly,
    PositionsNotAwaited,
    PositionsNotCommitted,
    QuietWhenNoted,
    WakesForgotten,
    WatermarkForgotten,
)
from stream_oracle import judge
from stream_world import make

SLOTS = {
    Home: "home_type",
    Linker: "linker_type",
    Rows: "rows_type",
    Timers: "timers_type",
    Watermark: "watermark_type",
}


def mutant(part: type) -> type[Simulator]:
    """The simulator with this part in it."""
    if issubclass(part, Simulator):
        return part
    slot = SLOTS[part.__mro__[1]]
    return type(part.__name__, (Simulator,), {slot: part})


def found(part: type, seeds: Iterable[int]) -> tuple[int, str] | None:
    """The first of these seeds that goes wrong with this part, and how."""
    merges: Mapping[str, Any] = getattr(part, "merges", {})
    with ExitStack() as stack:
        for letter, merge in merges.items():
            kind = transfer._BY_LETTER[letter]
            stack.enter_context(patch.dict(transfer._BY_LETTER, {letter: replace(kind, merge=merge)}))
        for seed in seeds:
            world = make(seed)
            breaches = judge(world, mutant(part)(world.plan, world.partitions, seed, world.faults))
            if breaches:
                return seed, breaches[0]
    return None


FOUND = {
    NoFence: 2,
    LinkerWithoutFence: 3,
    PositionsApart: 0,
    PositionOfOneTopic: 1,
    AtLeastOnce: 0,
    OrdersAtLeastOnce: 0,
    OrdersMixed: 1,
    LosingRowFirst: 1,
    SplitRowFirst: 1,
    NaiveSplit: 1,
    SplitOfOneRoot: 63,
    SharedKeyLeaves: 3,
    NoNegativeLinks: 1,
    NegativeLinksOfOneSide: 3,
    OnlyNamedPairsApart: 3,
    RefusalOncePerPair: 2,
    RefusalByDirection: 2,
    WeakestRoot: 0,
    CapOfTheLarger: 17,
    AnyLinkTrusted: 49,
    EveryAliasTrusted: 119,
    MergeWithinCaps: 29,
    UnsplitOfOnePair: 189,
    UnsplitOnly: 109,
    UnsplitJoins: 99,
    QuarantineForgotten: 99,
    QuarantineOfToday: 109,
    RegroupedForGood: 159,
    RegroupsOfOne: 159,
    ReleasedAlone: 99,
    AskedForEver: 2,
    MovedAsksOnce: 2,
    MovedAsksAlways: 6,
    AsksForTheFirst: 2,
    AliasOfTheKnownOnly: 88,
    AliasOfEventsOnly: 138,
    AliasForgotten: 88,
    SeenForgotten: 0,
    SeenAnew: 531,
    SeenADayLess: 2,
    RefusedForEver: 36,
    RefusalForgotten: 3,
    NoMemberCheck: 3,
    ForwardedToTheMoved: 86,
    StrangerStays: 4,
    MarksStay: 3,
    PiecesOneByOne: 35,
    NothingIsMissed: 35,
    StrangersDropped: 3,
    StrangersKept: 3,
    ReleaseWithoutPieces: 1,
    ReopenedByRelease: 41,
    LeavesUnfired: 107,
    TraitsOfTheOther: 245,
    OrderOfOne: 427,
    NoMarks: 0,
    MarksAtTheRoot: 3,
    MarksOfTheRoot: 1,
    WakesForgotten: 12,
    NowForBy: 6,
    MissedByNow: 2,
    WatermarkForgotten: 281,
    OwnPartitionOnly: 33,
    PositionsNotAwaited: 33,
    PositionsNotCommitted: 33,
    NoAllowance: 25,
    NoMarksOfSources: 1,
    NewOwnersDoNotWait: 25,
    QuietWhenNoted: 266,
}
SEEDS = sorted({*range(150), *FOUND.values()})
"""What a usual run tries: every seed that has found a mutant, and the first ones, which find most of them."""
RECORDED = range(4_000)
"""Where a mutant is looked for that is to be recorded."""


if __name__ == "__main__":
    for part in FOUND:
        print(part.__name__, found(part, RECORDED))
