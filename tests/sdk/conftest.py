"""A server as it is after a first start: no provider's key, so that the sandbox answers for every model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.databases import fresh_database
from tests.support.server import Server, start_server


@pytest.fixture(scope="session")
def sandboxed(
    tmp_path_factory: pytest.TempPathFactory, database_server: str, migrated_template: str
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("sandboxed")
    with fresh_database(database_server, migrated_template) as database_url:
        server = start_server(directory, database_url, variables={"HYPEREAL_BOOTSTRAP_CREDITS": "100000"})
        yield server
        server.stop()
