"""The command, killed by itself at a chosen write, as by a kill from outside at just that moment.

    python tests/killed.py WHAT NTH before|after ARGUMENTS...

WHAT is `commit`, a commit of the store, or the pattern of a file that takes its place (`*.parquet`, `rapport.duckdb`):
all that changes a data folder is one of these. No handler runs and nothing is flushed. Commits and Parquet files come
more often than usual, so that not every moment lies behind half of the input.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any


def main(what: str, nth: str, when: str, *arguments: str) -> int:
    from rapport import cli
    from rapport.replay import local, sources
    from stream.embedded import engine
    from stream.embedded.store import LocalStore

    engine.FLUSH_ROWS = 3_000
    local.BATCH = sources.BATCH = 1_000

    left = int(nth)

    def fatal(write: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        def call(*values: Any) -> Any:
            nonlocal left
            left -= fnmatch(name(*values), what)
            if left == 0 and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            done = write(*values)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return call

    LocalStore.commit = fatal(LocalStore.commit, lambda *_: "commit")  # type: ignore[method-assign]
    Path.replace = fatal(Path.replace, lambda _, target: Path(target).name)  # type: ignore[method-assign]
    return cli.main(list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
