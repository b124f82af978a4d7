"""A connection without a socket: bytes are handed to it as reads, and what it does to its transport is noted."""

from __future__ import annotations

import itertools
from typing import Any

from hypereal.kit.connection import Connection, UpstreamError
from hypereal.kit.upstream import Origin, Pool

ORIGIN = Origin(scheme="http", host="127.0.0.1", port=1)


class FakeTransport:
    """Notes what a connection asks of its socket."""

    def __init__(self) -> None:
        self.written = b""
        self.is_aborted = False
        self.is_reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, parts: Any) -> None:
        self.written += b"".join(parts)

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_aborted

    def pause_reading(self) -> None:
        assert not self.is_aborted, "uvloop raises for a transport that is closing"
        self.is_reading = False

    def resume_reading(self) -> None:
        assert not self.is_aborted
        self.is_reading = True


class Recorder:
    """A receiver that keeps what it is told, in order."""

    def __init__(self, *, wants_chunks: bool = False) -> None:
        self.wants_chunks = wants_chunks
        self.status: int | None = None
        self.head = b""
        self.body = b""
        self.error: UpstreamError | None = None
        self.ends = 0
        self.last_chunks = 0

    def answered(self, status: int, head: bytes, body: bytes) -> None:
        self.status, self.head, self.body = status, head, body
        self.ends += 1

    def opened(self, head: bytes) -> None:
        self.status, self.head = 200, head

    def chunks(self, data: bytes, is_last: bool) -> None:
        self.body += data
        self.last_chunks += is_last

    def payload(self, data: bytes) -> None:
        self.body += data

    def ended(self) -> None:
        self.ends += 1

    def lost(self, error: UpstreamError) -> None:
        self.error = error
        self.ends += 1


def new_pool() -> Pool:
    return Pool(ORIGIN, None, 55.0)


def new_connection(pool: Pool | None = None) -> tuple[Connection, FakeTransport]:
    """A connection that is open as far as it can tell."""
    connection, transport = Connection(pool or new_pool()), FakeTransport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    return connection, transport


def feed(connection: Connection, data: bytes, cuts: list[int]) -> None:
    """Hand over `data` as reads cut at these places, for as long as somebody listens."""
    places = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(places):
        if connection.receiver is None:
            return
        if start < end:
            connection.data_received(data[start:end])
