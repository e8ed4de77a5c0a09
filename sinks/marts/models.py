"""The SQL of the published database: a folder per domain, a file per model, in the order that the files ask for.

A model is one table or view. Its file has its name, says on its first lines what it is for and which other models its
SQL reads, and carries its comments:

    -- Purpose: mart.fct_order: one row an order id.
    -- Needs: folded_order

    CREATE TABLE mart.fct_order AS ...;

    COMMENT ON TABLE mart.fct_order IS '...';

A model without a schema is a step between others: a temporary table, gone when the publication is built. The folder
`lake` describes what the publisher makes by itself. The folder `shared` holds functions, for every model to use. This
module must never run SQL: whoever publishes does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib import resources
from importlib.resources.abc import Traversable

SHARED = "shared"

_NAMED = re.compile(r"^(?:CREATE (?:TEMP )?|COMMENT ON )(?:TABLE|VIEW) ([\w.]+)", re.MULTILINE)
_NEEDS = re.compile(r"^-- Needs: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    """As SQL names it: `mart.fct_order`, or `folded_order` for a temporary one."""
    needs: tuple[str, ...]
    """The models that its SQL reads, by name."""
    sql: str


def scripts() -> list[str]:
    """What builds the published database, in order: functions first, then the models."""
    return [*functions(), *(model.sql for model in in_order(models()))]


def functions() -> list[str]:
    """The files of functions. They read no table and can run in any order."""
    return [file.read_text(encoding="utf-8") for file in _files(_root() / SHARED)]


def models() -> list[Model]:
    """Every model, by folder and file. Raises ValueError where a file is not what its name says."""
    folders = sorted((each for each in _root().iterdir() if each.is_dir()), key=lambda each: each.name)
    return [
        model(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for folder in folders
        if folder.name != SHARED
        for file in _files(folder)
    ]


def model(stem: str, sql: str) -> Model:
    """The model of one file. Raises ValueError where it does not make or describe one table, named as the file is."""
    names = sorted(set(_NAMED.findall(sql)))
    if len(names) != 1 or names[0].rpartition(".")[2] != stem:
        raise ValueError(f"{stem}.sql makes {' and '.join(names) or 'nothing'}: it must make one table or view, {stem}")
    needs = ", ".join(_NEEDS.findall(sql))
    return Model(names[0], tuple(sorted(needs.split(", "))) if needs else (), sql)


def in_order(found: Iterable[Model]) -> Sequence[Model]:
    """Each model behind all it needs; always the same order, whatever order they come in.

    Raises ValueError for a need that is no model, for two models of one name and for a cycle.
    """
    by_name: dict[str, Model] = {}
    for each in sorted(found, key=lambda each: each.name):
        if each.name in by_name:
            raise ValueError(f"two files make {each.name}: a model has one file")
        by_name[each.name] = each
    for each in by_name.values():
        for need in each.needs:
            if need not in by_name:
                raise ValueError(f"{each.name} needs {need}, which no file makes")
    try:
        ordered = [*TopologicalSorter({name: each.needs for name, each in by_name.items()}).static_order()]
    except CycleError as error:
        raise ValueError(f"models need each other in a circle: {' -> '.join(error.args[1])}") from error
    return [by_name[name] for name in ordered]


def _root() -> Traversable:
    return resources.files("sinks") / "sql"


def _files(folder: Traversable) -> list[Traversable]:
    return sorted((each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda each: each.name)
