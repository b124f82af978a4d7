"""The database as commands see it: the configured one, or the embedded one, joined if it runs and started if not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.db import open_engine, open_sync_engine
from hypereal.db.embedded import EmbeddedPostgres
from hypereal.db.migrate import migrate
from hypereal.settings import Settings
from hypereal.usage.partitions import ensure_partitions

PARTITION_DAYS_AHEAD = 7
T = TypeVar("T")


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The address of the database, up while the block runs. Raises `EmbeddedPostgresError`."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    server = EmbeddedPostgres(settings.home)
    try:
        yield server.start()
    finally:
        server.stop()


def bring_up_to_date(url: str) -> None:
    """Apply the migrations and make the log's partitions of the coming days."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its own set-up each time
    migrate(url)
    engine = open_sync_engine(url)
    try:
        with engine.begin() as connection:
            ensure_partitions(connection, PARTITION_DAYS_AHEAD)
    finally:
        engine.dispose()


def with_engine(url: str, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    """Run `work` with an engine for `url` in an event loop of its own."""

    async def run() -> T:
        engine = open_engine(url, pool_size=2)
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def in_database(settings: Settings, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    """Run `work` on the up-to-date database of `settings`."""
    with database(settings) as url:
        bring_up_to_date(url)
        return with_engine(url, work)
