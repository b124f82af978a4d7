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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test once for every front, or for those alone that its module names in `ONLY_FRONTS`.

    A module must not define a `front` of its own: the server, which is shared, would not notice when it changes.
    """
    if "front" in metafunc.fixturenames:
        fronts = getattr(metafunc.module, "ONLY_FRONTS", tuple(FRONTS))
        metafunc.parametrize("front", fronts, indirect=True, scope="session")


@pytest.fixture(scope="session")
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


@pytest.fixture(autouse=True)
def _the_server_has_the_front_of_the_test(request: pytest.FixtureRequest) -> None:
    if "front" in request.fixturenames and "server" in request.fixturenames:
        front, server = request.getfixturevalue("front"), request.getfixturevalue("server")
        assert ("--no-hot-lane" in server.arguments) == (front == "asgi")
