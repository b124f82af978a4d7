"""A PostgreSQL server for the whole run and a fresh, migrated database for each test that asks for one.

The server is the embedded one, in a temporary directory; HYPEREAL_TEST_DATABASE_URL names another to use instead.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from hypereal.db.embedded import EmbeddedPostgres
from hypereal.db.migrate import migrate

TEMPLATE = f"hypereal_test_{os.getpid()}"
COUNTER = itertools.count(1)


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """The address of a server on which databases may be created."""
    given = os.environ.get("HYPEREAL_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="hypereal-test-") as directory:
        home = Path(directory)
        home.chmod(0o755)  # our own: lets the account that runs PostgreSQL for root enter
        server = EmbeddedPostgres(home)
        url = server.start()
        with psycopg.connect(url, autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes"):  # what a test wrote need not survive a power failure
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
            connection.execute("SELECT pg_reload_conf()")
        yield url
        server.stop()


@pytest.fixture(scope="session")
def migrated_template(database_server: str) -> Iterator[str]:
    """The name of a migrated database that nobody is connected to; the other databases are copies of it."""
    _create(database_server, TEMPLATE)
    migrate(_address(database_server, TEMPLATE))
    yield TEMPLATE
    _drop(database_server, TEMPLATE)


@pytest.fixture
def database_url(database_server: str, migrated_template: str) -> Iterator[str]:
    """A fresh migrated database, dropped afterwards even if connections to it are left."""
    name = f"{TEMPLATE}_{next(COUNTER)}"
    _create(database_server, name, template=migrated_template)
    yield _address(database_server, name)
    _drop(database_server, name)


@pytest.fixture
def empty_database_url(database_server: str) -> Iterator[str]:
    """A database with nothing in it: for tests of migrations."""
    name = f"{TEMPLATE}_{next(COUNTER)}"
    _create(database_server, name)
    yield _address(database_server, name)
    _drop(database_server, name)


@pytest.fixture(scope="module")
def module_database_url(database_server: str, migrated_template: str) -> Iterator[str]:
    """As `database_url`, shared by the tests of a module (for servers that are costly to start)."""
    name = f"{TEMPLATE}_{next(COUNTER)}"
    _create(database_server, name, template=migrated_template)
    yield _address(database_server, name)
    _drop(database_server, name)


def _address(server: str, database: str) -> str:
    return make_url(server).set(database=database).render_as_string(hide_password=False)


def _create(server: str, name: str, *, template: str = "template1") -> None:
    command = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(command.format(sql.Identifier(name), sql.Identifier(template)))


def _drop(server: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
