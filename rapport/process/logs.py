"""How a process that stays up speaks: a line of text for each thing, on standard error.

Libraries say the same thing at most once a minute and never show a traceback.
"""

from __future__ import annotations

import logging

REPEAT_INTERVAL = 60.0
"""Seconds after which a library may say the same thing again."""


class Seldom(logging.Filter):
    """Lets a library say the same thing once a minute, without its traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("rapport"):
            return True
        record.exc_info = record.exc_text = record.stack_info = None
        place = (record.name, record.lineno)  # a text holds addresses and times: it is never the same twice
        last = self._said.get(place)
        if last is not None and record.created - last < REPEAT_INTERVAL:
            return False
        self._said[place] = record.created
        return True


def speak_plainly() -> None:
    """Sets logging up for the whole process."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(Seldom())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("rapport").setLevel(logging.INFO)
