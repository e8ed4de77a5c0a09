"""What crosses a topic, as values. They carry no behaviour and are never changed.

Named tuples, because a run makes one or more of them per event. Times are instants (`schemas.instant`), identifiers
are keys (`schemas.keys`). `codec` turns each into one JSON line and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Json = dict[str, Any]


class Dropped(NamedTuple):
    """An identifier that an event named and that was not used."""

    type: str
    value: str
    reason: str
    """`blocked`, `malformed` or `too_long`."""


class Event(NamedTuple):
    """An accepted event. On `events` it asks to be applied; on `facts` it has been, once."""

    identifiers: tuple[str, ...]
    """Keys, the strongest first; never empty. The first one's home owns the event."""
    message_id: str
    type: str
    name: str
    """What rules and counts call it: a track's `event`, otherwise its type."""
    channel: str | None
    occurred_at: int
    received_at: int
    """Wall time at which it was accepted."""
    now: int
    """What the run's clock showed when it was accepted; `received_at` under the wall clock."""
    source: str
    previous: str | None
    """An alias's previousId."""
    dropped: tuple[Dropped, ...]
    body: Mapping[str, Any]
    """The event as it was sent, missing fields filled in: Segment spec."""
    sequence: int = 0
    """Its ordinal in the file or batch it came in: what was first among events of one instant."""
    line: bytes | None = None
    """This event as it came over a topic, encoded; None where it was accepted here."""


class Forward(NamedTuple):
    """An event on its way from its home to the row that holds its profile."""

    to: str
    event: Event
    hops: int


class Piece(NamedTuple):
    """Part of a component: stored rows of one member, named by what follows the member in their keys."""

    member: str
    rows: tuple[tuple[str, str], ...]


class Transfer(NamedTuple):
    """Components on their way to the row that holds their profile."""

    to: str
    pieces: tuple[Piece, ...]
    hops: int
    missed_before: int
    """How far the watermark had come for the root that gave them up: what was due by then has fired there."""
    more: bool
    """Further parts of the same profile follow; rules wait for the last, lest they judge by half a history."""
    history_by: int = 0
    """As in `Wake`, of the root that gave them up."""


class Admit(NamedTuple):
    """Linker order: `members` now belong to this root."""

    row: str
    members: tuple[str, ...]
    decision: int


class Absorb(NamedTuple):
    """Linker order: this root moves to another row with all it holds. What is due by then fires here, first."""

    row: str
    to: str
    decision: int


class Redirect(NamedTuple):
    """Linker order: this moved row points elsewhere from now on."""

    row: str
    to: str
    decision: int


class MakeRoot(NamedTuple):
    """Linker order: this moved row is the root of `members` from now on."""

    row: str
    members: tuple[str, ...]
    decision: int


class Release(NamedTuple):
    """Linker order: `members` leave this root and go to another row. What is due by then fires here, first."""

    row: str
    members: tuple[str, ...]
    to: str
    decision: int


class AliasLookup(NamedTuple):
    """An alias asks the home of a possible anonymous id whether it knows it."""

    row: str
    """The anonymous id in question."""
    user: str
    """The otherwise meant user id."""
    strongest: str
    message_id: str
    at: int


class Wake(NamedTuple):
    """Time has passed for this row: all input up to `by` has been taken by whoever takes this after all before it."""

    row: str
    by: int = 0
    """A run that is due by then fires."""
    history_by: int = 0
    """A run that was due already when it was armed fires only if it was armed by then: no source was open any more."""
    without: tuple[int, ...] = ()
    """Partitions of `events` that stood still and were not waited for."""


class SourceMark(NamedTuple):
    """A source of history tells every lane that it is still sending, or that it is done."""

    source: str
    open: bool
    at: int
    """When it said so, by its own clock."""


class Link(NamedTuple):
    """A request to the linker: an event named both."""

    a: str
    """The stronger one, which asks."""
    b: str
    message_id: str
    at: int
    alias: bool = False
    """An alias said that both are one: its userId and its previousId."""


class Split(NamedTuple):
    """A request to the linker: these two sides are different people."""

    a: tuple[str, ...]
    b: tuple[str, ...]
    at: int


class Merge(NamedTuple):
    """A request to the linker, by hand: these two are one person."""

    a: str
    b: str
    at: int


class Unsplit(NamedTuple):
    """A request to the linker, by hand: the people of these two need not stay apart. It takes splits back."""

    a: str
    b: str
    at: int


class Quarantine(NamedTuple):
    """A request to the linker, by hand: this identifier says nothing about who is one person."""

    key: str
    groups: tuple[tuple[str, ...], ...]
    """Who of its customer still belongs together without it; a member that is in none stays with the root."""
    at: int


class EndQuarantine(NamedTuple):
    """A request to the linker, by hand: the quarantine of this identifier was a mistake."""

    key: str
    at: int


class Trigger(NamedTuple):
    """What must be done for a customer. Receivers guard by `trigger_id`."""

    trigger_id: str
    rule: str
    version: str
    profile_id: str
    run_key: str
    action: str
    """`send`, `alert` or `webhook`."""
    payload: Mapping[str, Any]
    fired_at: int
    event_at: int


class RuleDecision(NamedTuple):
    """Why a rule did or did not act, once per run."""

    rule: str
    version: str
    profile_id: str
    run_key: str
    message_id: str
    verdict: str
    """`fired`, `shadow` (would have), `repeated` (this run key has fired before), `missed` (found or reopened late),
    `before_active` (began before the rule was in the plan), `full` (as many windows open as there may be) or `unusable`
    (a value that tells runs apart is not there); `detail` says it in words."""
    detail: str
    decided_at: int


class IdentityDecision(NamedTuple):
    """One numbered decision of the linker."""

    decision: int
    kind: str
    """`merge`, `refuse`, `split`, `unsplit`, `quarantine`, `regroup` (what a quarantine leaves apart) or `release`."""
    a: str
    b: str
    """The pair that was asked about; of a quarantine and its end `b` is empty."""
    winner: str
    loser: str
    """Root keys. After a merge the winner holds all; after a split or a quarantine the winner stays, the loser left;
    where nobody moved, the people it was about."""
    moved: tuple[str, ...]
    """Keys whose profile changed by this decision."""
    root: str
    """The root they belong to now; empty after a refusal."""
    reason: str
    message_id: str
    decided_at: int


class Rejected(NamedTuple):
    """Refused input: the original bytes and why."""

    rejected_at: int
    stage: str
    """`read` (a row of an imported table), `accept`, `identify` or `record` (a line on a topic that is no message).

    `discarded` is no refusal: it takes an earlier one out of sight."""
    code: str
    field: str
    value: str
    expectation: str
    source: str
    payload: bytes
    """The original; above `PAYLOAD_KEPT` bytes only its beginning."""
    length: int
    sha256: str
    """Of the whole original; empty where `payload` is whole."""
    rejection_id: str = ""
    """From the content and its ordinal among equal inputs of its source: the same refusal twice is recorded once."""


PAYLOAD_KEPT = 64 * 1024

Order = Admit | Absorb | Redirect | MakeRoot | Release
Internal = Forward | Transfer | AliasLookup | Wake | Event | Order
Request = Link | Split | Merge | Unsplit | Quarantine | EndQuarantine
ByHand = Split | Merge | Unsplit | Quarantine | EndQuarantine
Output = Event | Trigger | RuleDecision | IdentityDecision | Rejected
Message = Internal | Request | SourceMark | Output
