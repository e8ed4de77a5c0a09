"""Where the command starts: from here on Ctrl-C ends it without a traceback, also while the rest is being loaded."""

from __future__ import annotations

import signal
import sys

INTERRUPTED = 130


def main() -> int:
    """`rapport`, and `python -m rapport`.

    Ctrl-C ends the process at once unless a command asks for more (`rapport.process.signals`): an exception in the
    middle of loading a library may be swallowed there, or end in a crash.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from rapport import cli

    try:
        return cli.main()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
