"""One upstream and one server for each front, shared by the whole suite: a start costs seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.behaviours import BEHAVIOURS
from tests.support.databases import fresh_database
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.gateway_under_test import running_gateway
from tests.support.server import Server

FRONTS = {"hot": (), "asgi": ("--no-hot-lane",)}


@pytest.fixture(scope="session")
def upstream() -> Iterator[FaultyUpstream]:
    with FaultyUpstream(BEHAVIOURS) as running:
        yield running


@pytest.fixture(scope="session", params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    """The way requests enter: the hot lane, or plain ASGI, where everything must hold just the same."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def server(
    front: str,
    upstream: FaultyUpstream,
    tmp_path_factory: pytest.TempPathFactory,
    database_server: str,
    migrated_template: str,
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp(front)
    with (
        fresh_database(database_server, migrated_template) as database_url,
        running_gateway(directory, database_url, upstream, *FRONTS[front]) as running,
    ):
        yield running
