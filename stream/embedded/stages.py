"""Where the time of a run goes: the engine offers the function of each stage to whoever watches. Never asks a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar

Stage = Literal["encode rows", "columns", "write", "parquet"]
"""What a run does besides its steps; none is called within another."""

Function = TypeVar("Function", bound=Callable[..., Any])


class Watch(Protocol):
    """Gets a stage and its function when the engine opens its rows; returns what the engine calls in its place."""

    def __call__(self, stage: Stage, function: Function, /) -> Function: ...


def unwatched(_: Stage, function: Function, /) -> Function:
    """Nobody watches: the engine calls the function itself, and nothing is paid for it."""
    return function
