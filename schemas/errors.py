"""Every error a person can meet, in one tree.

RapportError
|- UsageError            the command was called wrongly            exit 2
|  `- SettingsError      settings are missing or wrong
|- PlanError             the plan folder cannot be loaded          exit 1
|- InputError            a file or stream cannot be read           exit 1
|- DataFolderError       the data folder cannot be used            exit 1
|  |- FolderBusy         another process has it open
|  |- FolderTooNew       a newer version wrote it
|  `- FolderUnwritable   read-only, or the disk is full
|- ClusterError          the Kafka cluster cannot be used          exit 1
|- QueryError            the SQL or its result                     exit 1
|  `- NotPublished       the published file is missing, damaged or made elsewhere
|- UnknownCustomer       nobody has this identifier                exit 1
|- UnknownRefusal        no refused input has this id              exit 1
`- RowError              a stored value cannot be read             exit 1

A message is one sentence or two: what is wrong, and what to do next.
Refused *events* are not exceptions: they are `messages.Rejected` values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class RapportError(Exception):
    """The root: its text is shown to the user as it stands."""

    exit_code = 1


class UsageError(RapportError):
    """The command line makes no sense."""

    exit_code = 2


class SettingsError(UsageError):
    """Settings are missing or wrong; the text has one line for each, naming its variable, never its value's secret."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a plan file. `line` and `column` count from 1; 0 means the whole file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class PlanError(RapportError):
    """The plan folder cannot be loaded; `problems` lists everything wrong with it, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InputError(RapportError):
    """A source cannot be read at all or not to its end."""


class DataFolderError(RapportError):
    """The data folder cannot be used."""


class FolderBusy(DataFolderError):
    """Another process works in this data folder."""


class FolderTooNew(DataFolderError):
    """A newer version of Rapport wrote this data folder."""


class FolderUnwritable(DataFolderError):
    """The data folder cannot be written: read-only or out of space."""


class ClusterError(RapportError):
    """The Kafka cluster cannot be reached, refuses what is asked, or has other topics than Rapport needs."""


class QueryError(RapportError):
    """The query, or writing its result, failed."""


class NotPublished(QueryError):
    """The published file is missing, damaged, or was made for another place."""


class UnknownCustomer(RapportError):
    """Nobody has this identifier."""


class UnknownRefusal(RapportError):
    """No refused input has this id, or more than one has."""


class RowError(RapportError):
    """A stored value is damaged or newer than this version reads."""
