"""Input that was taken longer ago than homes remember: a file read once more changes nothing, however old it is.

What states a recent time cannot have been taken long ago. What states an old time, or none, is looked up in the lake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from rapport.replay.sources import Outcome
from schemas.errors import InputError
from schemas.events import states_time
from schemas.messages import Event


def may_be_known(each: Outcome, memory: int) -> bool:
    """Whether this may have been taken longer ago than `memory`, in microseconds."""
    if not isinstance(each, Event):
        return True
    return each.received_at - each.occurred_at > memory or not states_time(each.body)


def looked_at(
    outcomes: Iterable[Outcome], memory: int, look: Callable[[Sequence[Outcome]], Iterable[Outcome]]
) -> Iterator[Outcome]:
    """A batch, once those of it that may be known have been looked at together, less those that `look` gives.

    Where reading ends in an InputError, what came before is looked at and given first.
    """
    few: list[Outcome] = []
    broken = None
    try:
        few.extend(outcomes)
    except InputError as error:
        broken = error
    doubtful = [each for each in few if may_be_known(each, memory)]
    gone = set(map(id, look(doubtful))) if doubtful else ()
    yield from (each for each in few if id(each) not in gone)
    if broken is not None:
        raise broken
