"""`rapport import`: a table in as events, by SQL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rapport.commands.replay import Options, run, with_options

if TYPE_CHECKING:
    from ingest.tables import Reading
    from rapport.replay.sources import Source


@with_options
def import_(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="CSV, Parquet or JSON.")],
    sql: Annotated[
        Path, typer.Option("--sql", metavar="FILE", help="A SELECT from `source` whose columns are event fields.")
    ],
    options: Options,
    others: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME=FILE", help="A further file that the SELECT has as the table NAME."),
    ] = None,
    dry_run: Annotated[
        int | None, typer.Option("--dry-run", metavar="N", min=1, help="Show the first N events and take nothing.")
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option("--encoding", metavar="NAME", help="Of CSV and JSON, where neither UTF-8 nor UTF-16."),
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option("--delimiter", metavar="CHARACTER", help="Of CSV, where the first lines mislead.")
    ] = None,
    quote: Annotated[
        str | None, typer.Option("--quote", metavar="CHARACTER", help="Of CSV; '' where quotes are only characters.")
    ] = None,
    header: Annotated[
        bool, typer.Option("--header/--no-header", help="Of CSV: whether the first line names the columns.")
    ] = True,
) -> None:
    """Take a table in as events, by SQL; the same one again changes nothing."""
    from ingest.sql_errors import Sql
    from rapport.replay.sources import table
    from schemas.errors import UsageError

    try:
        select = sql.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{sql} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    tables = table(source, Sql(select, str(sql)), _reading(encoding, delimiter, quote, header), _tables(others or ()))
    if dry_run is None:
        run([tables], "import", options)
    else:
        _show_dry(tables, dry_run, options)


def _tables(given: Sequence[str]) -> dict[str, Path]:
    from schemas.errors import UsageError

    tables: dict[str, Path] = {}
    for each in given:
        name, _, file = each.partition("=")
        if not (name.isidentifier() and file):
            raise UsageError(f"--with {each}: write NAME=FILE, for example customers=customers.csv")
        if name.lower() in ("source", *map(str.lower, tables)):
            raise UsageError(f"--with {each}: there is another table `{name}`")
        tables[name] = Path(file)
    return tables


def _show_dry(source: Source, count: int, options: Options) -> None:
    from rapport.plan import folder as plan_folder
    from rapport.replay import dry
    from rapport.terminal import output

    found = dry.run(plan_folder.load(options.plan, options.data), source, count)
    if options.json:
        output.emit([dry.as_json(each) for each in found.outcomes])
    for each in found.outcomes if not options.json else ():
        for line in dry.as_lines(each).split("\n"):
            output.show(line)
    unreadable = f" {output.counted(found.unreadable, 'row')} cannot be read." if found.unreadable else ""
    output.say(f"Nothing was taken.{unreadable}")


def _reading(encoding: str | None, delimiter: str | None, quote: str | None, header: bool) -> Reading:
    from ingest.tables import Reading
    from schemas.errors import UsageError

    if encoding is not None:
        try:
            "a".encode(encoding)
        except (LookupError, UnicodeError):
            raise UsageError(f"--encoding {encoding}: no such encoding; write windows-1252, for example") from None
    if delimiter is not None:
        delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter)
        if len(delimiter) != 1 or delimiter in '\r\n"':
            raise UsageError(f"--delimiter {delimiter}: write one character between fields, or tab")
    if quote is not None and (len(quote) > 1 or quote in ("\r", "\n", " ", delimiter)):
        raise UsageError(f"--quote {quote}: write one character around fields, or '' for none")
    return Reading(encoding, delimiter, quote, header)
