"""The hidden commands that `serve` runs as child processes: one answers HTTP, one keeps the books, one is the sandbox.

Each reads its settings from the environment that its parent made, and stops when its parent is gone.
"""

from __future__ import annotations

import math
import socket
import sys
from typing import Annotated

import typer

from hypereal.cli.lineage import follow_parent
from hypereal.cli.listening import BACKLOG
from hypereal.kit.telemetry import configure
from hypereal.kit.turns import take_short_turns
from hypereal.settings import Settings, SettingsError, load_settings

APPLICATION = "hypereal.app:create"
PROTOCOL = "hypereal.api.hotlane:HotLaneProtocol"
"""Serves the hot lane when the application has one, and is uvicorn's own otherwise."""

program = typer.Typer(name="hypereal", pretty_exceptions_enable=False, add_completion=False)


def main() -> None:
    """Run one of these commands; faults of the settings are told in a sentence each."""
    try:
        program()
    except SettingsError as problem:
        sys.exit("\n".join(problem.faults))


@program.command()
def worker(descriptor: Annotated[int, typer.Option("--fd", help="The listening socket.")]) -> None:
    """Answer HTTP on a socket that the parent opened."""
    import uvicorn  # noqa: PLC0415 (each child loads its own part)

    settings = _child_settings()
    config = uvicorn.Config(
        APPLICATION,
        factory=True,
        http=PROTOCOL,
        loop="uvloop",
        ws="websockets-sansio",
        ws_max_size=settings.body_limit_bytes,
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=math.ceil(settings.keep_alive_s),
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_s),
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


@program.command()
def writer() -> None:
    """Apply the journals of this host to the database until asked to stop."""
    from hypereal.gateway.writer import run  # noqa: PLC0415 (each child loads its own part)

    settings = _child_settings()
    if settings.database_url is None:
        raise ValueError("DATABASE_URL is not set: this command is run by `hypereal serve`")
    take_short_turns()
    url = settings.database_url.get_secret_value()
    run(url, settings.home / "journal", retention_days=settings.usage_retention_days)


@program.command()
def sandbox(port: Annotated[int, typer.Option(help="Where to listen, on 127.0.0.1.")]) -> None:
    """Run the built-in upstream that invents answers."""
    from hypereal.sandbox.app import SandboxConfig  # noqa: PLC0415 (each child loads its own part)
    from hypereal.sandbox.server import run  # noqa: PLC0415

    _child_settings()
    run(SandboxConfig(), host="127.0.0.1", port=port)


def _child_settings() -> Settings:
    follow_parent()
    settings = load_settings()
    configure(level=settings.log_level, log_format=settings.log_format)
    return settings
