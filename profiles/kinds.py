"""Every kind of row that a lane stores: its key, its merge, and whether it moves with a component.

One entry a kind. Whoever lifts, merges, shows, expires or erases rows walks these tables, so a new facet is one entry
in `BESIDE` and cannot be lost on a merge. Keys, by first byte (`\\0` ends an identifier key, which never contains one):

    i KEY                    an identifier: where its profile lives and, at the root, the members and its own component
    c ROOT \\0 MEMBER         another member's component, beside the root
    h ROOT \\0 MEMBER         settled history of a component
    t ROOT \\0 MEMBER         traits of a component
    o ROOT \\0 MEMBER \\0 ID   one order
    f ROOT \\0 MEMBER \\0 SUM  one fired mark (rule and run key)
    m KEY \\0 MESSAGE         a message id this identifier has seen, and when it was first accepted
    a KEY                    the user whom an alias said an anonymous id, not seen before, to be
    w DUE KEY                a wake: the earliest open timer of a root

Pure. Letters and flags are stored: an entry may be added, never changed or given again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from profiles.facets import merge_history, merge_traits
from profiles.orders import merge_order

HEAD = b"i"
COMPONENT = b"c"
MESSAGE_ID = b"m"
ALIAS = b"a"
WAKE = b"w"
PLAIN = (HEAD, COMPONENT, MESSAGE_ID, ALIAS, WAKE)
"""Kinds that do not lie beside a component."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows that lie beside a component, and move with it."""

    letter: str
    flag: int
    """Set for a member in the head of the root where there is such a row."""
    merge: Callable[[bytes, bytes], bytes]
    """Two rows of the same key as one. Commutative and associative."""
    many: bool = False
    """A component may have several, told apart by the end of the key."""
    text_of_end: Callable[[bytes], str] = bytes.decode
    """The end of a key as a message carries it."""
    end_of_text: Callable[[str], bytes] = str.encode
    trimmed: bool = False
    """Of two merged rows not everything is kept: the component must be settled."""
    ahead: bool = False
    """Travels before the component: a run must not be seen without the mark that it has fired."""

    def key(self, root: str, member: str, end: bytes = b"") -> bytes:
        """The row of a member's component at a root; with no end, where the keys of many of them begin."""
        prefix = place(self.letter.encode(), root, member)
        return b"%b\0%b" % (prefix, end) if self.many else prefix


HISTORY = Kind("h", 1, merge_history, trimmed=True)
TRAITS = Kind("t", 2, merge_traits)
ORDERS = Kind("o", 4, merge_order, many=True)
MARKS = Kind("f", 8, min, many=True, text_of_end=bytes.hex, end_of_text=bytes.fromhex, ahead=True)
"""A fired mark met by itself stays; of two the smaller, so that order does not matter."""

BESIDE = (HISTORY, TRAITS, ORDERS, MARKS)


def place(letter: bytes, root: str, member: str) -> bytes:
    """The key of what a root holds of a member."""
    return b"%b%b\0%b" % (letter, root.encode(), member.encode())
