"""Lines of files: compression, ends, damage, memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from ingest.files import LINE_BYTES, read_lines
from schemas.errors import InputError
from schemas.messages import PAYLOAD_KEPT
from schemas.rejection import Oversized

PACK = {"": lambda data: data, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor(write_checksum=True).compress}
packed = pytest.mark.parametrize("ending", PACK)


@packed
def test_lines_come_without_ends_and_blank_ones(tmp_path: Path, ending: str):
    file = tmp_path / "named-otherwise"
    file.write_bytes(PACK[ending](b"\xef\xbb\xbf{1}\r\n\n  \t\r\n\xff\x00\n" + "é\u2028".encode() + b"\x0b"))
    assert list(read_lines(file)) == [b"{1}", b"\xff\x00", "é\u2028".encode() + b"\x0b"]


@packed
def test_an_empty_file_has_no_lines(tmp_path: Path, ending: str):
    (tmp_path / "f").write_bytes(PACK[ending](b""))
    assert list(read_lines(tmp_path / "f")) == []


@packed
def test_long_files_and_progress(tmp_path: Path, ending: str):
    lines = [b"%d-%s" % (number, os.urandom(20).hex().encode()) for number in range(100_000)]
    file = tmp_path / "f"
    file.write_bytes(PACK[ending](b"\n".join(lines)))
    seen: list[tuple[int, int]] = []
    assert list(read_lines(file, lambda done, size: seen.append((done, size)))) == lines
    assert seen[-1] == (file.stat().st_size, file.stat().st_size)
    assert sorted(seen) == seen
    assert len(seen) > 3


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_several_packed_parts_are_one_file(tmp_path: Path, ending: str):
    (tmp_path / "f").write_bytes(PACK[ending](b"a\nb") + PACK[ending](b"c\nd\n"))
    assert list(read_lines(tmp_path / "f")) == [b"a", b"bc", b"d"]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_damage_in_the_middle_yields_what_came_before(tmp_path: Path, ending: str, harm: str):
    lines = [os.urandom(500).hex().encode() for _ in range(2_000)]
    data = bytearray(PACK[ending](b"\n".join(lines)))
    middle = len(data) // 2
    if harm == "cut":
        del data[middle:]
    else:
        data[middle : middle + 50] = b"\xff" * 50
    file = tmp_path / "f"
    file.write_bytes(data)
    got: list[bytes | Oversized] = []
    with pytest.raises(InputError, match=r"damaged or cut off after \d+ lines .*get a whole copy"):
        got.extend(read_lines(file))
    assert len(got) > 700
    assert got[:700] == lines[:700]


def test_what_cannot_be_opened(tmp_path: Path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="Cannot open"):
            list(read_lines(path))


def test_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(b"a\nb")))))
    seen: list[tuple[int, int]] = []
    assert list(read_lines("-", lambda done, size: seen.append((done, size)))) == [b"a", b"b"]
    assert seen[-1][1] == 0


@packed
def test_a_giant_line_is_marked_and_the_next_one_read(tmp_path: Path, ending: str):
    giant = b"g" * (3 * LINE_BYTES)
    (tmp_path / "f").write_bytes(PACK[ending](b"a\n" + giant + b"\nb\n" + giant))
    marked = Oversized(giant[:PAYLOAD_KEPT], len(giant), hashlib.sha256(giant).hexdigest())
    assert list(read_lines(tmp_path / "f")) == [b"a", marked, b"b", marked]


def test_a_line_of_the_limit_is_whole(tmp_path: Path):
    (tmp_path / "f").write_bytes(b"x" * LINE_BYTES)
    assert list(read_lines(tmp_path / "f")) == [b"x" * LINE_BYTES]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_bomb_does_not_fill_memory(tmp_path: Path, ending: str):
    (tmp_path / "f").write_bytes(PACK[ending](b"\0" * 100_000_000))
    tracemalloc.start()
    (line,) = read_lines(tmp_path / "f")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(line, Oversized)
    assert line.length == 100_000_000
    assert peak < 80_000_000
