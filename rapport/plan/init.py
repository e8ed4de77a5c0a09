"""A first plan folder: one commented rule, its test, identity.yaml and the schema that editors check rules with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import orjson

from rules.language.editor_schema import schema
from schemas.errors import FolderUnwritable, UsageError

TEMPLATES = {
    "identity.yaml": "identity.yaml",
    "rule.yaml": "rules/cart-reminder.yaml",
    "scenario.yaml": "tests/cart-reminder.yaml",
}
"""Template in `rapport/plan/templates` -> its place in the plan folder."""
SCHEMA = "rule.schema.json"


def write_plan(folder: Path) -> list[Path]:
    """Writes the files and returns their paths. Raises UsageError rather than replace a file, before writing any."""
    contents = {
        folder / place: (files("rapport.plan") / "templates" / name).read_bytes() for name, place in TEMPLATES.items()
    }
    contents[folder / SCHEMA] = orjson.dumps(schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if present := [path for path in contents if path.exists()]:
        raise UsageError(f"{present[0]} exists and is kept as it is; name a new folder: rapport init DIR")
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except OSError as error:
        raise FolderUnwritable(
            f"{folder} cannot be written ({error.strerror}); name another folder: rapport init DIR"
        ) from error
    return list(contents)
