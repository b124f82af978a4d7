"""A server for each file of clients, with the sandbox behind every model, and an account of its own for each test.

What one file makes a provider fail with leaves its circuit breaker open: no other file may meet that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.programs import CREDITS, Bench
from tests.clients.tap import Tap
from tests.support import node
from tests.support.accounts import open_account
from tests.support.databases import fresh_database
from tests.support.server import Server, start_server

HERE = Path(__file__).parent
TIMEOUT_S = node.INSTALL_TIMEOUT_S + 100  # the first test of a checkout installs the programs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database_server: str, migrated_template: str) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("clients")
    with fresh_database(database_server, migrated_template) as database_url:
        running = start_server(directory, database_url, variables={"HYPEREAL_CROSS_FORMAT": "1"})
        yield running
        running.stop()


@pytest.fixture
def bench(server: Server, tmp_path: Path) -> Iterator[Bench]:
    """A fresh account on the server, and an empty home to run programs in."""
    with Tap(server.port) as tap:
        yield Bench(server=server, holder=open_account(server, str(CREDITS)), tap=tap, directory=tmp_path)


@pytest.fixture(scope="session")
def programs() -> None:
    """The programs and SDKs that npm has."""
    node.CLIENTS.install()
