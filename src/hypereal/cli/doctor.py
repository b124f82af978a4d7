"""`hypereal doctor`: what is configured, what can be reached and what is missing, in a page."""

from __future__ import annotations

import os
import platform
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import typer
from sqlalchemy.exc import OperationalError

from hypereal import __version__
from hypereal.catalog.load import CatalogueError
from hypereal.catalog.types import Upstream
from hypereal.cli.catalogue import catalogue, surroundings, wants_sandbox
from hypereal.cli.database import database
from hypereal.cli.key import Json
from hypereal.cli.output import print_json
from hypereal.db.migrate import pending
from hypereal.db.placement import EmbeddedPostgresError
from hypereal.kit.telemetry import redact
from hypereal.providers.google_tokens import CredentialsError, read_credentials
from hypereal.settings import Settings, SettingsError, load_settings

OLDEST_POSTGRESQL = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the page; `is_well` is None for what is only information."""

    subject: str
    is_well: bool | None
    words: str


def doctor(as_json: Json = False) -> None:
    """Look at everything a server depends on; exit 1 if something is wrong."""
    findings = [Finding(subject=f.subject, is_well=f.is_well, words=redact(f.words)) for f in _examine()]
    if as_json:
        print_json([{"subject": f.subject, "ok": f.is_well, "detail": f.words} for f in findings])
    else:
        marks: dict[bool | None, str] = {True: "ok", False: "FAULT", None: ""}
        for found in findings:
            typer.echo(f"{marks[found.is_well]:<6}{found.subject:<12}{found.words}")
    if any(found.is_well is False for found in findings):
        raise typer.Exit(1)


def _examine() -> Iterator[Finding]:
    versions = f"hypereal {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Finding(subject="versions", is_well=None, words=versions)
    try:
        settings = load_settings()
    except SettingsError as problem:
        for fault in problem.faults:
            yield Finding(subject="settings", is_well=False, words=fault)
        return
    file = settings.config or "no hypereal.toml"
    yield Finding(subject="settings", is_well=True, words=f"home {settings.home}, file: {file}")
    yield _looked_at("home", _home, settings)
    yield _looked_at("database", _database, settings)
    yield _looked_at("port", _port, settings)
    yield from _upstreams(settings)


def _looked_at(subject: str, look: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(subject=subject, is_well=True, words=look(settings))
    except (OSError, ValueError, EmbeddedPostgresError, psycopg.Error, OperationalError) as problem:
        words = str(getattr(problem, "orig", None) or problem).strip()
        return Finding(subject=subject, is_well=False, words=words.replace("\n", "; "))


def _home(settings: Settings) -> str:
    """The journal is written here on every request."""
    journal = settings.home / "journal"
    place = next(path for path in (journal, *journal.parents) if path.exists())
    with tempfile.TemporaryFile(dir=place) as probe:
        probe.write(b"\0")
    free = os.statvfs(place)
    free_gib = free.f_bavail * free.f_frsize / 1024**3
    return f"{place} can be written, {free_gib:.1f} GiB free"


def _database(settings: Settings) -> str:
    kind = "given by DATABASE_URL" if settings.database_url else "embedded"
    with database(settings) as url:
        waiting = pending(url)
        with psycopg.connect(url.replace("+psycopg", "").replace("postgres://", "postgresql://")) as connection:
            version: Any = connection.info.server_version // 10_000
    if version < OLDEST_POSTGRESQL:
        raise ValueError(f"PostgreSQL {version} is too old: {OLDEST_POSTGRESQL} is the oldest that works")
    schema = f"{len(waiting)} migrations to apply (serve does it)" if waiting else "up to date"
    return f"PostgreSQL {version}, {kind}; {schema}"


def _port(settings: Settings) -> str:
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as problem:
            if settings.port_given:
                raise OSError(f"{settings.host} port {settings.port}: {problem.strerror}") from problem
            return f"{settings.port} is in use; the next free one would be taken"
    return f"{settings.host}:{settings.port} is free"


def _credentials_fault(upstream: Upstream) -> str | None:
    """Why the credentials file of an upstream cannot be used, if it has one."""
    file = upstream.credential("file")
    if file is None:
        return None
    try:
        read_credentials(file)
    except CredentialsError as problem:
        return str(problem)
    return None


def _upstreams(settings: Settings) -> Iterator[Finding]:
    around = surroundings(settings)
    has_sandbox = wants_sandbox(settings, around)
    assumed = "http://127.0.0.1" if has_sandbox else None
    try:
        found = catalogue(settings, around, sandbox_url=assumed)
    except CatalogueError as problem:
        for fault in problem.faults:
            yield Finding(subject="catalogue", is_well=False, words=fault)
        return
    yield Finding(subject="catalogue", is_well=True, words=f"{len(found.models)} models")
    for upstream in found.upstreams:
        words = f"{upstream.id}: {upstream.key_env or 'no key needed'}, {upstream.base_url}"
        unusable = _credentials_fault(upstream)
        yield Finding(subject="upstream", is_well=unusable is None, words=f"{words}: {unusable}" if unusable else words)
    for dormant, reason in found.dormant.items():
        yield Finding(subject="upstream", is_well=None, words=f"{dormant}: not used: {reason}")
