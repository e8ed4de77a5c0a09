"""What the terminal sees: results on stdout, everything said beside them on stderr.

With `--json` stdout holds JSON and nothing else. Values of customers are data: they reach the terminal without markup
and with their control characters spelled out, because a trait may hold an escape sequence.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import orjson
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from rapport.process.signals import interruptible
from rapport.terminal.layout import Column, fits, lines

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_DIRECTION = {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029)}
_SPELLED_OUT = {**_CONTROL, **_DIRECTION}

PIPED_WIDTH = 120
"""Columns where nobody's terminal says how many there are."""


def _console(stderr: bool) -> Console:
    """No colours in a pipe, whatever FORCE_COLOR says: programs read what comes out of it."""
    stream = sys.stderr if stderr else sys.stdout
    piped = stream is None or not stream.isatty()
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False, force_terminal=False if piped else None)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPED_WIDTH
    return made


out = _console(stderr=False)
err = _console(stderr=True)


def plain(value: object, style: str = "") -> Text:
    """Text of a value as it is: no markup, no control characters, lists and objects as JSON."""
    if value is None:
        shown = ""
    elif isinstance(value, str):
        shown = value
    elif isinstance(value, bool | dict | list):
        shown = orjson.dumps(value).decode()
    else:
        shown = str(value)
    return Text(shown.translate(_SPELLED_OUT), style=style)


def table(title: str, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table whose cells are plain values; numbers stand right. A column name that starts with `>` does, too."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    made.min_width = len(title)
    for name in columns:
        made.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else plain(_grouped(cell)) for cell in row))
    return made


def _grouped(cell: object) -> object:
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else cell


def show(*renderables: RenderableType) -> None:
    """Results for a person, on stdout. A text stays one line, so that a command in it can be copied."""
    for each in renderables:
        shown = plain(each) if isinstance(each, str) else each
        out.print(shown, soft_wrap=isinstance(shown, Text))


def show_rows(columns: Sequence[Column], rows: Iterable[Sequence[object]], upright: bool = True) -> None:
    """Rows for a person. In a pipe no value is broken; without COLUMNS, or where the rows may not be shown `upright`, a
    table is as wide as it needs to be there."""
    cells = [[plain(cell).plain for cell in row] for row in rows]
    width = _width() if upright or out.is_terminal else None
    for line in lines(columns, cells, width, wraps=out.is_terminal):
        out.print(Text(line.text, style="dim" if line.heading else ""), soft_wrap=True)


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[object]], choices: Sequence[int]) -> int:
    """How many of the columns to show: the first of these numbers with which the rows are a table, else the last."""
    cells = [[plain(cell).plain for cell in row] for row in rows]
    for number in choices:
        if fits(columns[:number], [row[:number] for row in cells], _width(), wraps=out.is_terminal):
            return number
    return choices[-1]


def _width() -> int | None:
    asked = os.environ.get("COLUMNS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    return out.width if out.is_terminal else None


def emit(value: object) -> None:
    """One line of JSON on stdout."""
    sys.stdout.buffer.write(
        orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS, default=str)
    )
    sys.stdout.buffer.flush()


def say(message: str) -> None:
    """A remark beside the result, on stderr."""
    err.print(plain(message), soft_wrap=True)


def complain(message: str) -> None:
    """An error, one line for each line it has, on stderr."""
    for line in message.splitlines() or [""]:
        err.print(Text.assemble(("rapport: ", "bold red"), plain(line)), soft_wrap=True)


class Progress(Protocol):
    """What a long piece of work tells the person who waits."""

    def __call__(self, done: float, total: float | None, note: str = "") -> None: ...


def _unseen(done: float, total: float | None, note: str = "") -> None:
    pass


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """A bar on stderr, only where a person watches it."""
    if not err.is_terminal:
        yield _unseen
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(bar_width=30),
        bars.TaskProgressColumn(),
        bars.TextColumn("{task.fields[note]}"),
        bars.TimeElapsedColumn(),
    )
    with interruptible(), bars.Progress(*columns, console=err, transient=True) as shown:
        task = shown.add_task(label, total=None, note="")

        def move(done: float, total: float | None, note: str = "") -> None:
            shown.update(task, completed=done, total=total, note=note)

        yield move


def stacked(values: Iterable[object]) -> Text:
    """Values below one another in one cell."""
    return Text("\n").join(map(plain, values))


def minute(instant: str | None) -> str:
    """ISO 8601 to the minute, in UTC: a person reads that."""
    return "" if instant is None else instant[:16].replace("T", " ")


def counted(number: int, noun: str) -> str:
    """`1 rule`, `2 rules`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def fields(values: Mapping[str, Any]) -> Table:
    """Names and values, one pair a line."""
    made = Table.grid(padding=(0, 2))
    for name, value in values.items():
        made.add_row(plain(name, "dim"), value if isinstance(value, Text) else plain(value))
    return made
