"""Python's garbage collector during a run: seldom, because a run makes millions of values and no cycles to speak of.

With the default thresholds it re-examines every cached row again and again, which costs a fifth of the rate.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (500_000, 50, 100)


@contextmanager
def tuned_collector() -> Iterator[None]:
    """Collects seldom inside the block."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
