"""`hypereal serve`: everything in one command, as a small tree of processes.

    serve (this one: prepares, watches, stops)
    ├── PostgreSQL    only without DATABASE_URL; shared with other commands of the same HYPEREAL_HOME
    ├── sandbox       only when wanted
    ├── writer        journals → database
    └── workers       HTTP

Started from top to bottom and stopped from bottom to top: answers in progress finish first, then what they cost is
written down, then the database may go.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import structlog
import typer

from hypereal.cli.catalogue import catalogue, surroundings, wants_sandbox
from hypereal.cli.database import bring_up_to_date, with_engine
from hypereal.cli.first_start import prepare
from hypereal.cli.listening import local_url, open_listener
from hypereal.cli.processes import Program, Supervisor
from hypereal.cli.welcome import welcome
from hypereal.db.embedded import EmbeddedPostgres
from hypereal.db.placement import EmbeddedPostgresError
from hypereal.kit.ports import free_port
from hypereal.kit.telemetry import configure
from hypereal.settings import Settings, load_settings

START_TIMEOUT_S = 60.0
WRITER_STOP_S = 60.0
SANDBOX_STOP_S = 5.0
DATABASE_LOOK_EVERY_S = 2.0

log = structlog.get_logger(__name__)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer HTTP.")] = None,
    no_hot_lane: Annotated[bool, typer.Option("--no-hot-lane", help="Serve everything through plain ASGI.")] = False,
) -> None:
    """Start the server, and with it whatever it needs and does not find configured."""
    settings = load_settings(host=host, port=port, workers=workers, hot_lane=False if no_hot_lane else None)
    configure(level=settings.log_level, log_format=settings.log_format)
    with ExitStack() as stack:
        listener = stack.enter_context(open_listener(settings.host, settings.port, may_move=not settings.port_given))
        settings.home.mkdir(mode=0o711, parents=True, exist_ok=True)
        _run(stack, settings, listener)


def _run(stack: ExitStack, settings: Settings, listener: socket.socket) -> None:
    around = surroundings(settings)
    sandbox_port = free_port() if wants_sandbox(settings, around) else None
    sandbox_url = f"http://127.0.0.1:{sandbox_port}" if sandbox_port else None
    found = catalogue(settings, around, sandbox_url=sandbox_url)
    environment = {**os.environ, **settings.environment()}
    environment["HYPEREAL_PORT"] = str(listener.getsockname()[1])
    environment.pop("HYPEREAL_BOOTSTRAP_KEY", None)
    environment.pop("HYPEREAL_SANDBOX_URL", None)
    if sandbox_url:
        environment["HYPEREAL_SANDBOX_URL"] = sandbox_url
    supervisor = Supervisor(environment)
    embedded = None if settings.database_url else EmbeddedPostgres(settings.home)
    if embedded is not None:
        environment["DATABASE_URL"] = embedded.start()
        stack.callback(embedded.stop)
    url = environment["DATABASE_URL"]
    bring_up_to_date(url)
    key = with_engine(url, functools.partial(prepare, settings=settings))
    environment["PROMETHEUS_MULTIPROC_DIR"] = stack.enter_context(_metrics_directory(settings))
    stack.callback(supervisor.stop)
    address = local_url(listener)
    programs = [_writer(), *[_worker(settings, listener)] * settings.workers]
    addresses = [f"{address}/readyz"]
    if sandbox_port is not None:
        programs.insert(0, _sandbox(sandbox_port))
        addresses.append(f"{sandbox_url}/healthz")
    supervisor.start(programs, lambda: all(map(_answers, addresses)), timeout_s=START_TIMEOUT_S)
    if not supervisor.is_stopping:
        typer.echo(welcome(settings.public_url or address, key, found, has_sandbox=sandbox_port is not None))
        supervisor.run(DatabaseWatch(embedded).look)
    # Before the workers stop: what is not accepted by now is refused instead of waiting for nobody.
    listener.close()


class DatabaseWatch:
    """Starts the embedded database again when it has gone, whoever ended it."""

    def __init__(self, embedded: EmbeddedPostgres | None) -> None:
        self._embedded = embedded
        self._next = 0.0

    def look(self) -> None:
        """Cheap when called often: looks every two seconds."""
        now = time.monotonic()
        if self._embedded is None or now < self._next:
            return
        self._next = now + DATABASE_LOOK_EVERY_S
        if self._embedded.is_running():
            return
        log.error("database.gone", action="starting it again")
        try:
            self._embedded.start()
        except EmbeddedPostgresError as problem:
            log.error("database.not_started", error=str(problem))


def _writer() -> Program:
    return Program(name="writer", arguments=("writer",), stop_within_s=WRITER_STOP_S)


def _sandbox(port: int) -> Program:
    return Program(name="sandbox", arguments=("sandbox", "--port", str(port)), stop_within_s=SANDBOX_STOP_S)


def _worker(settings: Settings, listener: socket.socket) -> Program:
    descriptor = listener.fileno()
    return Program(
        name="worker",
        arguments=("worker", "--fd", str(descriptor)),
        descriptors=(descriptor,),
        stop_within_s=settings.shutdown_grace_s + 15,  # the books are closed after the last answer
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 (our own address)
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@contextmanager
def _metrics_directory(settings: Settings) -> Iterator[str]:
    """Where processes put their counts; emptied by the first server of this home, kept while any other runs."""
    directory = settings.home / "metrics"
    with (settings.home / "metrics.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
        except BlockingIOError:
            log.info("metrics.shared", directory=str(directory))
        directory.mkdir(exist_ok=True)
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield str(directory)
