"""In the steady state a request makes no database statement: what is counted must not grow with the requests."""

from __future__ import annotations

import re

from tests.support.server import Server

STATEMENTS = re.compile(r'^hypereal_db_statements_total\{[^}]*process="worker"[^}]*\} ([0-9.e+]+)$', re.MULTILINE)
BACKGROUND = 60
"""Statements that refills, window synchronisation and the like may make while the requests run."""


def statements(server: Server) -> float:
    """Statements made by the HTTP workers so far."""
    page = server.client.get("/metrics").body.decode()
    found = STATEMENTS.findall(page)
    assert found, "the metric is missing"
    return sum(map(float, found))


def requests(server: Server, count: int) -> None:
    for number in range(count):
        assert server.client.chat("ok", stream=bool(number % 2)).status == 200


def test_statements_do_not_grow_with_requests(server: Server) -> None:
    requests(server, 50)
    start = statements(server)
    requests(server, 100)
    after_some = statements(server)
    requests(server, 600)
    after_many = statements(server)
    assert after_some - start <= BACKGROUND
    assert after_many - after_some <= BACKGROUND
