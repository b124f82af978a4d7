"""Engines: the only place that makes one."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

DRIVER = "postgresql+psycopg"
CONNECT_ARGS = {"application_name": "hypereal"}


def _with_driver(url: str, driver: str) -> str:
    """Accept the addresses that hosting providers hand out (`postgres://…`) as well as SQLAlchemy's own."""
    parsed = make_url(url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url)
    if not parsed.drivername.startswith("postgresql"):
        raise ValueError(f"only PostgreSQL is supported, not {parsed.drivername!r}")
    return parsed.set(drivername=driver).render_as_string(hide_password=False)


def connection_string(url: str) -> str:
    """`url` as libpq takes it, for the connection that listens (it is no engine's)."""
    return _with_driver(url, "postgresql")


def open_engine(url: str, *, pool_size: int = 5) -> AsyncEngine:
    """An asynchronous engine with a bounded pool; connections are checked before use (a server may restart)."""
    return create_async_engine(
        _with_driver(url, DRIVER),
        pool_size=pool_size,
        max_overflow=5,
        pool_pre_ping=True,
        connect_args=dict(CONNECT_ARGS),
    )


def open_sync_engine(url: str) -> Engine:
    """A plain engine for what runs before or beside the event loop: migrations, commands."""
    return create_engine(_with_driver(url, DRIVER), pool_size=2, pool_pre_ping=True, connect_args=dict(CONNECT_ARGS))
