"""What a file plainly is, by its beginning, and what is left to be refused line by line."""

from __future__ import annotations

import pytest

from ingest.kinds import other_kind

EVENT = b'{"type": "track", "event": "A, B", "userId": "u"}\n'


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b'[\n  {\n    "type": "track"\n  }\n]\n', "one JSON array"),
        (b'\xef\xbb\xbf [{"type": "track"}]', "one JSON array"),
        (b'{\n  "type": "track"\n}\n{\n', "JSON over several lines"),
        (b'{"data": [\n{"type": "track"},\n', ""),
        (b'{"data": {\n  "type": "track"}\n', "JSON over several lines"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"PK\x03\x04\x14", "a ZIP archive or a workbook"),
        (b"\xff\xfe{\0", "UTF-16"),
        (b'id,name\n1,"Ann, Bob"\n2,x\n', "delimited text"),
        (b"id\tname\n1\tx, y\n", "delimited text"),
        (b"id,name,city\n1,Ann,Bonn\n2,Bo", "delimited text"),
    ],
)
def test_another_kind(head: bytes, kind: str):
    assert other_kind(head, piped=False) == kind


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\n\n",
        EVENT,
        b"{nonsense",
        b'{"type": "track",\n' + EVENT,
        b"a,b\n1,2\n" + EVENT,
        b"[1, 2]\n" + EVENT,
        b"nonsense",
        b"several\nlines, some with a comma\n",
    ],
)
def test_broken_lines_are_lines(head: bytes):
    assert other_kind(head, piped=False) == ""


def test_a_pipe_may_begin_with_anything_but_a_document():
    assert other_kind(b"id,name\n1,x\n", piped=True) == ""
    assert other_kind(b"[\n", piped=True) == "one JSON array"
