"""Lines and texts of a file or of standard input: plain, gzip or Zstandard, told apart by their first bytes.

Must never look into a line, and never hold more than one in memory.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol, cast

import zstandard

from ingest.kinds import binary_kind
from schemas.errors import InputError
from schemas.messages import PAYLOAD_KEPT
from schemas.rejection import Oversized

LINE_BYTES: Final = 1024 * 1024
"""Longer lines are not held in memory: they come as `Oversized`."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_BLOCK: Final = 256 * 1024
_ZSTD_STEP: Final = 1024
"""Fed in small steps, because a kilobyte can unpack to 30 megabytes."""

_BYTE_ORDER_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins like UTF-16, so it comes first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_DAMAGE: Final = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError, OSError)

Progress = Callable[[int, int], None]
"""Called with (bytes of the file consumed, its size, 0 where unknown): compressed bytes, as stored."""


class _Stream(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def read_lines(
    path: Path | str, progress: Progress | None = None, look: Callable[[bytes], None] | None = None
) -> Generator[bytes | Oversized]:
    """The lines of a file, or of standard input for `-`, without line ends and blank lines.

    `look` is shown how it begins, unpacked, before any line comes; what it raises ends the reading.

    Raises InputError when the file cannot be opened, or not read to its end; every whole line before has been yielded.
    """
    name = "standard input" if str(path) == "-" else str(path)
    with ExitStack() as stack:
        try:
            opened = sys.stdin.buffer if str(path) == "-" else stack.enter_context(Path(path).open("rb"))
            size = 0 if str(path) == "-" else Path(path).stat().st_size
        except OSError as error:
            raise InputError(f"Cannot open {name} ({error.strerror}). Check the path and its permissions.") from error
        count = 0
        try:
            counted = _Counted(cast(io.BufferedReader, opened), size, progress)
            for line in _lines(_decompressed(counted), look):
                count += 1
                yield line
        except _DAMAGE as error:
            raise InputError(
                f"{name} is damaged or cut off after {count} lines ({error}). The lines before it were read; "
                "get a whole copy and read it again: events that are known already count once."
            ) from error


@contextmanager
def opened_text(path: Path, encoding: str | None = None, newline: str = "\n") -> Iterator[io.TextIOWrapper]:
    """A file as text; `newline` as `open` takes it. A byte order mark tells the encoding, else it is `encoding`.

    Without either it is UTF-8, or UTF-16 where it begins so. Bytes that are none of it become surrogate escapes.
    Raises InputError where the file cannot be opened, or not read to its end.
    """
    try:
        with path.open("rb") as raw:
            plain = cast(io.RawIOBase, _decompressed(_Counted(raw, 0, None)))
            buffered = io.BufferedReader(plain, _BLOCK)
            head = buffered.peek(_BLOCK)
            if kind := binary_kind(head):
                raise InputError(f"{path} is {kind} and no text. Write it as CSV, or name it for what it is.")
            chosen = _marked(head) or encoding or _guessed(head)
            yield io.TextIOWrapper(buffered, chosen, "surrogateescape", newline)
    except UnicodeError as error:
        raise InputError(f"{path} is not all {chosen} ({error}). Name its encoding with --encoding.") from error
    except _DAMAGE as error:
        raise InputError(
            f"{path} is damaged or cut off ({error}). Get a whole copy; nothing of it was taken."
        ) from error


def _marked(head: bytes) -> str | None:
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)


def _guessed(head: bytes) -> str:
    """UTF-16 has a zero byte in each second place, where a letter is Latin."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) > len(head) // 8 and min(even, odd) == 0:
        return "utf-16-le" if odd else "utf-16-be"
    return "utf-8"


class _Counted(io.RawIOBase):
    """Passes reads on and reports how far they got. `head` is how the file begins; it will be read again."""

    def __init__(self, raw: io.BufferedReader, size: int, progress: Progress | None) -> None:
        self.head = raw.peek(len(_ZSTD))
        self._unread = b""
        if len(self.head) < len(_ZSTD):  # a pipe may bring it byte by byte
            self.head = self._unread = raw.read(len(_ZSTD))
        self._raw = raw
        self._size = size
        self._progress = progress
        self._done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        block = self._unread or self._raw.read1(len(buffer))
        self._unread = b""
        buffer[: len(block)] = block
        self._done += len(block)
        if self._progress is not None:
            self._progress(self._done, self._size)
        return len(block)


class _Zstandard(io.RawIOBase):
    """A Zstandard stream of any number of frames. Unlike the library's reader it notices when one is cut off."""

    def __init__(self, source: _Stream) -> None:
        self._source = source
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._plain = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        plain = self._plain or self.read1(0)
        block, self._plain = plain[: len(buffer)], plain[len(buffer) :]
        buffer[: len(block)] = block
        return len(block)

    def read1(self, _size: int) -> bytes:
        while True:
            block = b""
            if self._frame.eof:
                block = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._begun = False
            block = block or self._source.read1(_ZSTD_STEP)
            if not block:
                if self._begun:
                    raise EOFError("the compressed stream has no end")
                return b""
            self._begun = True
            if plain := self._frame.decompress(block):
                return plain


def _decompressed(counted: _Counted) -> _Stream:
    buffered = io.BufferedReader(counted, _BLOCK)
    if counted.head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=buffered)
    if counted.head.startswith(_ZSTD):
        return _Zstandard(buffered)
    return buffered


class Giant:
    """A line that has outgrown memory: all that is kept of it."""

    def __init__(self) -> None:
        self._prefix = b""
        self._length = 0
        self._digest = hashlib.sha256()

    def add(self, part: bytes) -> None:
        self._prefix = (self._prefix + part)[:PAYLOAD_KEPT] if len(self._prefix) < PAYLOAD_KEPT else self._prefix
        self._length += len(part)
        self._digest.update(part)

    def whole(self) -> Oversized:
        return Oversized(self._prefix, self._length, self._digest.hexdigest())


def _lines(stream: _Stream, look: Callable[[bytes], None] | None) -> Iterator[bytes | Oversized]:
    pending = b""
    giant: Giant | None = None
    first = True
    while block := stream.read1(_BLOCK):
        if look is not None:
            look(block)
            look = None
        *ends, tail = block.split(b"\n")
        for end in ends:
            if giant is None and len(pending) + len(end) > LINE_BYTES:
                giant = Giant()
                giant.add(pending)
            if giant is not None:
                giant.add(end)
                yield giant.whole()
                giant = None
            elif line := _trimmed(pending + end, first):
                yield line
            pending, first = b"", False
        pending += tail
        if giant is None and len(pending) > LINE_BYTES:
            giant = Giant()
        if giant is not None:
            giant.add(pending)
            pending = b""
    if giant is not None:
        yield giant.whole()
    elif line := _trimmed(pending, first):
        yield line


def _trimmed(line: bytes, first: bool) -> bytes:
    """The line without a carriage return, the first one without a byte order mark; empty if it is blank."""
    line = line.removesuffix(b"\r")
    if first:
        line = line.removeprefix(_BYTE_ORDER_MARK)
    return b"" if line.isspace() else line
