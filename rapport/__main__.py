"""Where the command starts: from here on Ctrl-C ends it without a traceback, also while the rest is being loaded."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> int:
    """`rapport`, and `python -m rapport`."""
    try:
        from rapport import cli

        return cli.main()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
