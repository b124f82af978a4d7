"""The command line: its groups, and how faults of any command reach the person who typed it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from sqlalchemy.exc import OperationalError

from hypereal import __version__
from hypereal.catalog.load import CatalogueError
from hypereal.cli import catalogue, credit, doctor, key, ledger, schema, serve
from hypereal.cli.listening import PortBusy
from hypereal.cli.processes import ChildFailed
from hypereal.db.placement import EmbeddedPostgresError
from hypereal.errors import HyperealError
from hypereal.kit.telemetry import redact
from hypereal.settings import SettingsError

program = typer.Typer(
    name="hypereal",
    help="An open, self-hostable AI cloud behind one key.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
program.command("serve")(serve.serve)
program.command("check")(catalogue.check)
program.command("models")(catalogue.models)
program.command("doctor")(doctor.doctor)
program.command("migrate")(schema.migrate)
program.add_typer(key.commands, name="key")
program.add_typer(credit.commands, name="credits")
program.add_typer(ledger.commands, name="ledger")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hypereal {__version__}")
        raise typer.Exit


@program.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """An open, self-hostable AI cloud behind one key."""


def main() -> None:
    """Run the command line; a fault is told in a sentence each, on standard error, and the exit code is 1."""
    try:
        program()
    except (SettingsError, CatalogueError) as problem:
        _fail(*problem.faults)
    except (EmbeddedPostgresError, PortBusy, ChildFailed, HyperealError, LookupError, ValueError) as problem:
        _fail(str(problem))
    except OperationalError as problem:
        _fail(f"the database cannot be used: {problem.orig}")


def _fail(*faults: str) -> None:
    for fault in faults:
        typer.echo(f"hypereal: {redact(fault)}", err=True)
    sys.exit(1)
