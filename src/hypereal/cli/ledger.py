"""`hypereal ledger`: whether the books are right."""

from __future__ import annotations

import typer

from hypereal.billing.verify import verify as find_differences
from hypereal.cli.database import in_database
from hypereal.settings import load_settings

commands = typer.Typer(help="The ledger.", no_args_is_help=True)


@commands.callback()
def _group() -> None:
    """The ledger."""


@commands.command()
def verify() -> None:
    """Recompute every balance from the ledger's entries; print what differs, and exit 1 if anything does."""
    differences = in_database(load_settings(), find_differences)
    for difference in differences:
        typer.echo(str(difference))
    if differences:
        raise typer.Exit(1)
    typer.echo("every balance, hold and charge agrees")
