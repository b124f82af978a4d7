"""A client that leaves: what the upstream notices, and what is charged (docs/failure-contract.md, its last section)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.bills import Row, cost_of, query, settled
from tests.support.catalogue_file import COST_OF_OK
from tests.support.faulty_upstream import FaultyUpstream, Recorded
from tests.support.http_client import RawConnection, raw_chat
from tests.support.openai_format import WORDS
from tests.support.server import BOOTSTRAP_KEY, Server, wait_for

EVENTS = len(WORDS) + 4
"""Role, words, finish, usage, terminal."""
Leave = Callable[[RawConnection], str]
"""Reads as much of a stream as it wants and returns the request id, if it got that far."""


def after_headers(connection: RawConnection) -> str:
    _status, headers = connection.read_head()
    return headers["x-request-id"]


def after_first_word(connection: RawConnection) -> str:
    request_id = after_headers(connection)
    seen = b""
    for chunk in connection.chunks():
        seen += chunk
        if b'"The"' in seen:
            return request_id
    raise AssertionError(seen)


def after_half(connection: RawConnection) -> str:
    request_id = after_headers(connection)
    seen = b""
    for chunk in connection.chunks():
        seen += chunk
        if b"jumps" in seen:
            return request_id
    raise AssertionError(seen)


def after_terminal(connection: RawConnection) -> str:
    request_id = after_headers(connection)
    seen = b""
    for chunk in connection.chunks():
        seen += chunk
        if b"[DONE]" in seen:
            return request_id
    raise AssertionError(seen)


def start(connection: RawConnection, model: str, content: str, *, stream: bool = True) -> None:
    connection.send(raw_chat(model, BOOTSTRAP_KEY, content=content, stream=stream))


def leave(server: Server, upstream: FaultyUpstream, model: str, reads: Leave, marker: str) -> tuple[Recorded, str]:
    """Begin a stream, read as far as `reads` does, hang up; returns what the upstream saw, once it is over."""
    with RawConnection(server.port) as connection:
        start(connection, model, marker)
        request_id = reads(connection)
    (recorded,) = upstream.seen(marker)[-1:]
    assert recorded.over.wait(10)
    return recorded, request_id


@pytest.mark.parametrize("reads", [after_headers, after_first_word, after_half])
def test_cancel_stops_the_upstream_and_charges_what_came(
    server: Server, upstream: FaultyUpstream, front: str, reads: Leave
) -> None:
    recorded, request_id = leave(server, upstream, "paced", reads, f"cancel {reads.__name__} {front}")
    assert recorded.hung_up
    assert recorded.events_sent < EVENTS
    row = settled(server, request_id)
    assert (row["basis"], row["status"], row["streamed"]) == ("estimated", 499, True)
    had_output = row["output_tokens"] > 0
    assert had_output or reads is after_headers
    assert row["credits"] == (cost_of(row) if had_output else 0)
    assert row["credits"] < COST_OF_OK


def test_cancel_before_any_answer_stops_the_upstream_and_charges_nothing(
    server: Server, upstream: FaultyUpstream, front: str
) -> None:
    marker = f"cancel before the answer {front}"
    with RawConnection(server.port) as connection:
        start(connection, "paced", marker, stream=False)
        upstream.seen(marker)
    (recorded,) = upstream.seen(marker)
    assert recorded.over.wait(10)
    assert recorded.hung_up
    row = newest(server, "paced")
    assert (row["status"], row["credits"]) == (499, 0)


def newest(server: Server, model: str) -> Row:
    """The last row logged for a client that left `model` before it was told its request id."""

    def look() -> Row | None:
        rows = query(
            server.database_url,
            "SELECT * FROM usage_records WHERE model = %(m)s AND status = 499 AND NOT streamed",
            m=model,
        )
        return rows[0] if rows else None

    return wait_for(look, f"a row for {model}", timeout_s=10)


@pytest.mark.parametrize("reads", [after_headers, after_first_word, after_half])
def test_drain_reads_the_stream_to_its_end_and_charges_its_usage(
    server: Server, upstream: FaultyUpstream, front: str, reads: Leave
) -> None:
    recorded, request_id = leave(server, upstream, "drain", reads, f"drain {reads.__name__} {front}")
    assert not recorded.hung_up
    assert recorded.events_sent == EVENTS
    row = settled(server, request_id)
    assert (row["credits"], row["basis"]) == (COST_OF_OK, "provider")


def test_drain_goes_on_no_longer_than_allowed(server: Server, upstream: FaultyUpstream, front: str) -> None:
    recorded, request_id = leave(server, upstream, "drain-briefly", after_first_word, f"drain briefly {front}")
    assert recorded.hung_up
    assert recorded.events_sent < EVENTS
    row = settled(server, request_id)
    assert row["basis"] == "estimated"
    assert 0 < row["credits"] == cost_of(row)


@pytest.mark.parametrize("model", ["ok", "lingering"])
def test_leaving_after_the_terminal_event_changes_nothing(
    server: Server, upstream: FaultyUpstream, front: str, model: str
) -> None:
    _recorded, request_id = leave(server, upstream, model, after_terminal, f"after the end {model} {front}")
    row = settled(server, request_id)
    assert (row["credits"], row["basis"], row["status"]) == (COST_OF_OK, "provider", 200)


def test_a_client_that_leaves_while_the_next_request_waits_cancels_both(
    server: Server, upstream: FaultyUpstream, front: str
) -> None:
    marker = f"pipelined and gone {front}"
    with RawConnection(server.port) as connection:
        start(connection, "paced", marker)
        start(connection, "ok", f"{marker} too")
        request_id = after_first_word(connection)
    assert settled(server, request_id)["status"] == 499
    assert server.client.chat("ok").status == 200
