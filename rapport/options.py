"""Options that several commands share, so that they read and mean the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path,
    typer.Option("--data", envvar="RAPPORT_DATA", metavar="DIR", help="The data folder.", file_okay=False),
]
Plan = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        envvar="RAPPORT_PLAN",
        metavar="DIR",
        help="The plan folder: identity.yaml and rules/.",
        file_okay=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, everything else on stderr.")]

DATA = Path("data")


def key(text: str) -> str:
    """An identifier as written on the command line, `TYPE:VALUE`. Raises UsageError where it is not one."""
    from schemas.errors import UsageError
    from schemas.keys import key_of

    type_, colon, value = text.partition(":")
    if not (colon and type_.strip() and value.strip()):
        raise UsageError(f"{text!r} is no identifier; write TYPE:VALUE, for example email:ann@example.com")
    return key_of(type_.strip(), value.strip())
