"""What a file is that is plainly no JSON lines, told by how it begins.

Must never take a file for another because of some broken lines: where in doubt it is JSON lines.
"""

from __future__ import annotations

from typing import Final

_MARKS: Final = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a ZIP archive or a workbook",
    b"SQLite format 3\0": "an SQLite database",
    b"Obj\x01": "Avro",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ\0": "packed by xz",
}
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS: Final = (b",", b";", b"\t", b"|")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def binary_kind(head: bytes) -> str:
    """What the input is that is no text at all, as the end of the sentence "it is ...": else empty."""
    return next((kind for mark, kind in _MARKS.items() if head.startswith(mark)), "")


def other_kind(head: bytes, piped: bool) -> str:
    """What the input is, as the end of the sentence "it is ...": empty where it may well be JSON lines.

    `head` is how it begins. Of a pipe that may be a line or two, so text is given the benefit of the doubt.
    """
    if kind := binary_kind(head):
        return kind
    if head.startswith(_UTF_16):
        return "UTF-16"
    lines = [line.strip() for line in head.removeprefix(_BYTE_ORDER_MARK).splitlines() if line.strip()]
    if not lines:
        return ""
    if len(lines) > 2 and not head.endswith(b"\n"):
        lines.pop()  # it may be cut
    match lines[0][:1]:
        case b"[":
            return "" if _are_arrays(lines) else "one JSON array"
        case b"{":
            return "JSON over several lines" if _is_spread(lines) else ""
    return "" if piped or not _are_delimited(lines) else "delimited text"


def _are_arrays(lines: list[bytes]) -> bool:
    """An array a line is refused line by line."""
    return len(lines) > 1 and lines[0].endswith(b"]") and lines[1][:1] in (b"[", b"{")


def _is_spread(lines: list[bytes]) -> bool:
    return len(lines) > 1 and lines[0][-1:] in b"{[," and lines[1][:1] in b'"}]'


def _are_delimited(lines: list[bytes]) -> bool:
    """No line is an object, and each has the delimiters of the first."""
    if len(lines) == 1 or any(line.startswith(b"{") for line in lines):
        return False
    counts = [(lines[0].count(each), each) for each in _DELIMITERS]
    return any(count and all(line.count(each) >= count for line in lines[1:10]) for count, each in counts)
