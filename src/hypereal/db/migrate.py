"""Schema migrations: an Alembic history inside the package, so that an installed wheel can bring a database up to date.

A new revision: `alembic` is configured in code here; see docs/operations.md, "Changing the schema".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from hypereal.db.engine import open_sync_engine

_ADVISORY_LOCK = 0x6D69_6772  # any number that nothing else in this database locks: "migr"


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database to the newest revision, or up to one. Any number of processes may call it at once: one does
    the work."""
    with _connected(url) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def current(url: str) -> str | None:
    """The revision the database is at, None when it was never migrated."""
    with _connected(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def pending(url: str) -> list[str]:
    """The revisions that `migrate` would apply, oldest first. ValueError when the database is newer than this code."""
    at = current(url)
    script = ScriptDirectory.from_config(_config())
    history = [revision.revision for revision in script.walk_revisions()]
    if at is not None and at not in history:
        raise ValueError(f"the database is at revision {at}, which this version of Hypereal does not know: upgrade it")
    newer = history if at is None else history[: history.index(at)]
    return newer[::-1]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = open_sync_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
