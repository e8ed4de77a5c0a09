"""The `rapport` command: one line a command, and how each kind of ending looks to the shell.

Every command imports what it needs when it runs, so that a look at one customer does not wait for all the rest.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from io import BufferedReader, BytesIO, TextIOWrapper
from typing import Annotated

import typer

from rapport.commands import (
    cluster,
    customers,
    identity,
    imports,
    maintenance,
    plan,
    rejected,
    replay,
    sink,
    start,
    worker,
)
from rapport.process.signals import WAITING

STDOUT = 1

app = typer.Typer(
    name="rapport",
    help="Customer events in, unified customers, triggers and analytics out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"rapport {version('rapport-cdp')}")
        raise typer.Exit


@app.callback()
def _rapport(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


app.command()(start.demo)
app.command()(start.init)
app.command()(replay.replay)
app.command("import")(imports.import_)
app.command()(customers.profile)
app.command()(customers.find)
app.command()(customers.query)
app.add_typer(identity.app, name="identity")
app.add_typer(plan.app, name="rules")
app.add_typer(rejected.app, name="rejected")
app.command()(worker.worker)
app.command()(sink.sink)
app.add_typer(cluster.topics, name="topics")
app.add_typer(cluster.config, name="config")
app.command()(maintenance.publish)
app.command()(maintenance.compact)
app.command()(maintenance.doctor)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(maintenance.bench)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 done, 1 refused or failed, 2 wrong usage, 128 + signal."""
    _prepare_streams()
    code = _run(arguments)
    if any(thread.name == WAITING for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    from rapport.terminal.output import complain
    from schemas.errors import RapportError

    try:
        app(arguments)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 1
    except RapportError as error:
        complain(str(error))
        return error.exit_code
    except OSError as error:
        complain(f"{error.filename or 'standard output'} cannot be written: {error.strerror or error}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # the interpreter would try to write the rest when it ends
        return 1
    return 0


def _prepare_streams() -> None:
    """A process may be started without standard streams, and a terminal may lack a letter of a customer's name."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nothing = BufferedReader(BytesIO()) if name == "stdin" else BytesIO()
            setattr(sys, name, TextIOWrapper(nothing, encoding="utf-8"))
        elif name != "stdin" and isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
