"""Ctrl-C and SIGTERM as a question that work asks between two batches, never as an exception inside one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

WAITING = "waiting for input"
"""Name of a thread that reads a pipe. Where it still waits when a command ends, the process ends without it: nothing
can end such a read, and the interpreter aborts when it finds standard input locked by one."""


@contextmanager
def interruptible() -> Iterator[None]:
    """In here Ctrl-C raises KeyboardInterrupt, for what must be put away: a bar that hides the cursor."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def stop_signals() -> list[signal.Signals]:
    """The signals that ask a process to stop, without those that its parent told it to ignore.

    A shell does that to what it starts with `&`: Ctrl-C is then meant for others.
    """
    return [asked for asked in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(asked) is not signal.SIG_IGN]


class Stop:
    """While it is entered, the first signal only sets `signum`; another Ctrl-C ends the process the usual way.

    Another SIGTERM changes nothing: whoever stops a service may say so twice, and it is leaving already.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stop:
        self._before = {asked: signal.signal(asked, self._ask) for asked in stop_signals()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for asked, before in self._before.items():
            signal.signal(asked, before)

    def _ask(self, signum: int, _frame: FrameType | None) -> None:
        if self.signum and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = self.signum or signum

    def __bool__(self) -> bool:
        return self.signum != 0

    @property
    def exit_code(self) -> int:
        """128 + signal, as a shell reports it; 0 where nobody asked."""
        return 128 + self.signum if self.signum else 0
