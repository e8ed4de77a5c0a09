"""Moving components between roots: out as pieces that fit a message, in by the merge of each kind of row.

What moves is what `kinds.BESIDE` lists, and the component. Changes rows through `Rows` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from profiles.component import decode_component, encode_component
from profiles.facets import Wanted
from profiles.kinds import BESIDE
from profiles.row import Row
from profiles.rows import Rows
from schemas.messages import Piece

MAX_PIECE_BYTES = 256 * 1024
COMPONENT = "c"
"""How a piece names the component itself; rows beside it go by their kind's letter and the end of their keys."""
_BY_LETTER = {kind.letter: kind for kind in BESIDE}


def take_out(rows: Rows, root: Row, members: Iterable[str]) -> list[Piece]:
    """Removes members' components and all rows beside them, as pieces of bounded size."""
    return [piece for member in members for piece in _pieces(member, _lifted(rows, root, member))]


def _pieces(member: str, named: Iterable[tuple[str, bytes]]) -> Iterator[Piece]:
    piece: list[tuple[str, str]] = []
    size = 0
    for name, value in named:
        length = len(name.encode()) + len(value)
        if size and size + length > MAX_PIECE_BYTES:
            yield Piece(member, tuple(piece))
            piece, size = [], 0
        piece.append((name, value.decode()))
        size += length
    if piece:
        yield Piece(member, tuple(piece))


def _lifted(rows: Rows, root: Row, member: str) -> list[tuple[str, bytes]]:
    """What was removed, as a piece names it."""
    flags = rows.beside(root, member)
    ahead: list[tuple[str, bytes]] = []
    behind: list[tuple[str, bytes]] = []
    for kind in BESIDE:
        if flags & kind.flag:
            named = ahead if kind.ahead else behind
            for end, value in rows.rows_of(kind, root.key, member):
                rows.put(kind.key(root.key, member, end), None)
                named.append((kind.letter + kind.text_of_end(end), value))
    component = rows.drop(root, member)
    return [] if component is None else [*ahead, (COMPONENT, encode_component(component)), *behind]


def put_in(rows: Rows, root: Row, piece: Piece, horizon: int, wanted: Wanted) -> None:
    """Merges a piece into its member's component at this root."""
    component = rows.own(root, piece.member)
    full = False
    for name, text in piece.rows:
        letter, end_text, value = name[0], name[1:], text.encode()
        if letter == COMPONENT:
            component.merge(decode_component(value))
            continue
        kind = _BY_LETTER[letter]
        end = kind.end_of_text(end_text)
        mine = rows.row_of(kind, root.key, piece.member, end)
        full = full or (kind.trimmed and mine is not None)
        rows.lay(kind, root.key, piece.member, value if mine is None else kind.merge(mine, value), end)
    component.recalled = None
    if full or component.full:
        rows.settle(root, piece.member, component, horizon, wanted)


def bundled(pieces: Iterable[Piece]) -> list[tuple[Piece, ...]]:
    """Pieces in the fewest runs that each fit a message."""
    runs: list[tuple[Piece, ...]] = []
    room = 0
    for piece in pieces:
        size = sum(len(text.encode()) for row in piece.rows for text in row)
        if runs and size <= room:
            runs[-1] = (*runs[-1], piece)
        else:
            runs.append((piece,))
            room = MAX_PIECE_BYTES
        room -= size
    return runs
