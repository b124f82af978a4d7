"""`hypereal check` and `hypereal models`: the settings and the catalogue, without starting anything."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hypereal.catalog.files import Rows, builtin_rows, read_rows
from hypereal.catalog.live import Surroundings
from hypereal.catalog.load import CatalogueError, assemble, live_upstreams
from hypereal.catalog.resolve import Catalogue
from hypereal.cli.key import Json
from hypereal.cli.output import print_json, print_table
from hypereal.kit.money import CREDITS_PER_DOLLAR, credits_text
from hypereal.providers.probe import look_around
from hypereal.settings import PREFIX, Settings, SettingsError, load_settings


def surroundings(settings: Settings) -> Surroundings:
    """What the catalogue depends on, here and now, without a sandbox."""
    return asyncio.run(look_around(builtin_rows(), _operator_rows(settings), os.environ))


def wants_sandbox(settings: Settings, around: Surroundings) -> bool:
    """Whether the sandbox is to be started: asked for, or nothing else could answer."""
    if settings.sandbox == "auto":
        return not live_upstreams(builtin_rows(), _operator_rows(settings), around)
    return settings.sandbox == "on"


def catalogue(settings: Settings, around: Surroundings, *, sandbox_url: str | None = None) -> Catalogue:
    """The catalogue that a server with these settings would use; raises `CatalogueError`."""
    placed = replace(around, sandbox_url=sandbox_url, sandbox="on" if settings.sandbox == "on" else "auto")
    return assemble(builtin_rows(), _operator_rows(settings), placed)


def check(
    file: Annotated[Path | None, typer.Argument(help="A hypereal.toml; the configured one if not given.")] = None,
) -> None:
    """Validate the settings and the catalogue; print every fault, and exit 1 if there is one."""
    environment = {**os.environ, PREFIX + "CONFIG": str(file)} if file else None
    faults: list[str] = []
    settings: Settings | None = None
    try:
        settings = load_settings(environment)
    except SettingsError as problem:
        faults += problem.faults
    path = settings.config if settings else file
    rows = read_rows([path] if path and path.is_file() else [])
    count = 0
    try:
        around = asyncio.run(look_around(builtin_rows(), rows, os.environ))
        count = len(assemble(builtin_rows(), rows, around).models)
    except CatalogueError as problem:
        faults += problem.faults
    for fault in faults:
        typer.echo(f"fault: {fault}", err=True)
    if faults:
        raise typer.Exit(1)
    typer.echo(f"no faults; {count} models, file: {path or 'none'}")


def models(as_json: Json = False) -> None:
    """List the models, what they cost and who answers."""
    settings = load_settings()
    around = surroundings(settings)
    assumed = "http://127.0.0.1" if wants_sandbox(settings, around) else None
    found = catalogue(settings, around, sandbox_url=assumed)
    rows = [
        {
            "id": model.id,
            "owner": model.owner,
            "inputUsdPer1M": credits_text(model.price.input // CREDITS_PER_DOLLAR),
            "outputUsdPer1M": credits_text(model.price.output // CREDITS_PER_DOLLAR),
            "providers": [target.upstream.id for target in model.targets],
        }
        for model in found.models
    ]
    if as_json:
        print_json(rows)
        return
    table = [
        [row["id"], row["owner"], row["inputUsdPer1M"], row["outputUsdPer1M"], ", ".join(row["providers"])]
        for row in rows
    ]
    print_table(["model", "owner", "$/1M in", "$/1M out", "answered by"], table)


def _operator_rows(settings: Settings) -> Rows:
    return read_rows([settings.config] if settings.config else [])
