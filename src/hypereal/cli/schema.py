"""`hypereal migrate`: the database's schema."""

from __future__ import annotations

from typing import Annotated

import typer

from hypereal.cli.database import bring_up_to_date, database
from hypereal.db.migrate import current, pending
from hypereal.settings import load_settings


def migrate(
    look: Annotated[bool, typer.Option("--check", help="Only say what would be applied; exit 1 if anything.")] = False,
) -> None:
    """Bring the database up to date (`serve` does so as well)."""
    with database(load_settings()) as url:
        waiting = pending(url)
        if look:
            typer.echo("\n".join(waiting) if waiting else "up to date")
            raise typer.Exit(1 if waiting else 0)
        bring_up_to_date(url)
        typer.echo(f"at revision {current(url)}, {len(waiting)} applied")
