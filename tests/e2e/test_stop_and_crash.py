"""Stopping, being killed, and starting again: nothing is lost, doubled or left held (credits.md, invariant 3)."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.bills import all_settled, charged, cost_of, query, settled, wallet
from tests.support.catalogue_file import COST_OF_OK, model_row, render, upstream_row
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.http_client import Answer, RawConnection, chat_body
from tests.support.openai_format import TEXT
from tests.support.server import Server, start_server, wait_for

LANES = ("ok", "paced")


@pytest.fixture
def own_server(tmp_path: Path, database_url: str, upstream: FaultyUpstream) -> Iterator[Server]:
    """A server of the test's own, to be stopped and killed at will; stopped at the end if it still runs."""
    rows = [upstream_row(lane, upstream.url(lane)) for lane in LANES]
    models = [model_row(lane, [f"{lane}:served-{lane}"]) for lane in LANES]
    server = start_server(tmp_path, database_url, catalogue=render(rows, models))
    yield server
    server.client.close()
    if server.process.poll() is None:
        server.stop()


@contextmanager
def stream_under_way(server: Server, model: str = "paced") -> Iterator[tuple[httpx2.Response, Iterator[bytes]]]:
    """A stream whose first word has arrived."""
    with server.client.open("POST", "/v1/chat/completions", body=chat_body(model, stream=True)) as response:
        parts = response.iter_raw()
        seen = b""
        while b'"The"' not in seen:
            seen += next(parts)
        yield response, parts


def nothing_is_held(server: Server) -> bool:
    held: int = wallet(server)["held"]
    open_leases = query(server.database_url, "SELECT id FROM leases") + query(
        server.database_url, "SELECT * FROM holds"
    )
    return held == 0 and not open_leases


def test_a_stream_in_flight_finishes_on_sigterm_and_is_billed(own_server: Server) -> None:
    stopping = threading.Thread(target=own_server.process.send_signal, args=(signal.SIGTERM,))
    with stream_under_way(own_server) as (response, parts):
        stopping.start()
        rest = b"".join(parts)
        request_id = response.headers["x-request-id"]
    assert rest.rstrip().endswith(b"data: [DONE]")
    assert own_server.process.wait(30) == 0, own_server.log[-2000:]
    assert settled(own_server, request_id)["credits"] == COST_OF_OK
    assert nothing_is_held(own_server)


def test_a_stopping_server_takes_no_new_requests(own_server: Server) -> None:
    with RawConnection(own_server.port) as idle, stream_under_way(own_server) as (_response, parts):
        own_server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: is_refused(own_server), "refusal of new connections")
        idle.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert idle.is_closed()
        assert b"[DONE]" in b"".join(parts)
    assert own_server.process.wait(30) == 0


def is_refused(server: Server) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{server.port}/readyz", timeout=2).status_code == 503
    except httpx2.TimeoutException:
        return False
    except httpx2.TransportError:
        return True


def test_every_answered_request_is_in_the_ledger_after_a_stop(own_server: Server) -> None:
    ids = [own_server.client.chat("ok", stream=bool(n % 2)).request_id for n in range(20)]
    own_server.stop()
    assert [charged(own_server, request_id) for request_id in ids] == [COST_OF_OK] * 20
    assert nothing_is_held(own_server)


def test_a_worker_killed_mid_stream_leaves_the_right_bill(own_server: Server) -> None:
    done = own_server.client.chat("ok").request_id
    (worker,) = own_server.workers()
    with stream_under_way(own_server) as (response, parts):
        request_id = response.headers["x-request-id"]
        worker.kill()
        with pytest.raises(httpx2.TransportError):
            list(parts)
    wait_for(lambda: own_server.is_ready and own_server.workers() != [worker], "a new worker", timeout_s=30)
    row = settled(own_server, request_id)
    assert row["basis"] == "estimated"
    assert 0 < row["credits"] == cost_of(row) <= COST_OF_OK
    assert charged(own_server, done) == COST_OF_OK
    assert own_server.client.chat("ok").text == TEXT


def test_everything_killed_at_once_loses_and_doubles_nothing(own_server: Server) -> None:
    ids = [own_server.client.chat("ok").request_id for _ in range(20)]
    own_server.kill()
    own_server.start_again()
    assert [row["credits"] for row in all_settled(own_server, ids)] == [COST_OF_OK] * 20
    own_server.stop()
    assert nothing_is_held(own_server)
    (total,) = query(own_server.database_url, "SELECT SUM(amount)::bigint AS sum FROM ledger_entries")
    assert total["sum"] == wallet(own_server)["balance"]


def test_a_killed_writer_is_started_again_and_applies_everything(own_server: Server) -> None:
    writer = next(child for child in own_server.processes() if "writer" in child.cmdline())
    writer.kill()
    request_id = own_server.client.chat("ok").request_id

    def applied() -> bool:
        return charged(own_server, request_id) == COST_OF_OK

    wait_for(applied, "the writer's return", timeout_s=20)


def test_a_server_outlives_its_database_connections(own_server: Server) -> None:
    query(
        own_server.database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    answer: Answer = own_server.client.chat("ok")
    assert answer.text == TEXT

    def applied() -> bool:
        return charged(own_server, answer.request_id) == COST_OF_OK

    wait_for(applied, "the settlement", timeout_s=20)
