"""A relay between a connection without a socket and a client that is only written down, in a time that tests set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypereal.catalog.types import Upstream
from hypereal.gateway.downstream import Flow
from hypereal.gateway.relay import Outcome, Relay, StreamRelay
from hypereal.kit.connection import Connection
from hypereal.kit.framing import unframe
from hypereal.kit.upstream import Pool
from hypereal.kit.watch import Watch, Watched
from hypereal.providers.base import Unframer
from hypereal.wire.base import StreamDialect
from hypereal.wire.openai_chat.stream import ChatStream
from tests.kit.transports import FakeTransport, new_connection, new_pool

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
UNTIL_CLOSED = HEAD + b"\r\n"
LAST = b"0\r\n\r\n"
UPSTREAM = Upstream(id="up", name="Up", base_url="http://up.test", first_byte_timeout_s=30.0, silence_timeout_s=60.0)


def framed(*parts: bytes) -> bytes:
    """Each part as one HTTP chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)


class ManualWatch(Watch):
    """A watch whose time passes when it is told to."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.now = 1000.0
        self.time = lambda: self.now

    def add(self, thing: Watched) -> None:
        self._watched.add(thing)

    def watches(self, thing: Watched) -> bool:
        return thing in self._watched

    def pass_time(self, seconds: float) -> None:
        """Let time pass in steps of a second, as ticks would see it."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 1.0, end)
            for thing in [thing for thing in self._watched if thing.deadline <= self.now]:
                thing.expired()


class Client:
    """A `Downstream` that writes down what it is sent."""

    def __init__(self, *, takes_chunks: bool = True) -> None:
        self.takes_chunks = takes_chunks
        self.takes_pings = True
        self.is_gone = False
        self.flow: Flow | None = None
        self.on_gone: Callable[[], None] | None = None
        self.wire = b""
        self.writes: list[bytes] = []

    def respond(self, status: int, fields: bytes, body: bytes) -> None:
        raise AssertionError("a relay answers nothing itself")

    def open_stream(self, fields: bytes, content_type: bytes) -> None:
        raise AssertionError("a relay opens nothing itself")

    def send(self, payload: bytes) -> None:
        self.writes.append(payload)
        self.wire += framed(payload)

    def send_chunks(self, data: bytes) -> None:
        assert self.takes_chunks
        self.writes.append(data)
        self.wire += data

    def close_stream(self, chunks: bytes = b"") -> None:
        raise AssertionError("a relay closes nothing itself")

    @property
    def payload(self) -> bytes:
        """What the client has read, framing undone."""
        return unframe(self.wire)


class Scene:
    """One stream relay and its surroundings."""

    def __init__(
        self,
        *,
        takes_chunks: bool = True,
        dialect: StreamDialect | None = None,
        drain_s: float | None = None,
        head: bytes | None = CHUNKED,
        watch: ManualWatch | None = None,
        unframer: Unframer | None = None,
        quiet_s: float = 0.0,
    ) -> None:
        self.watch = watch or ManualWatch()
        self.client = Client(takes_chunks=takes_chunks)
        self.pool: Pool = new_pool()
        self.connection: Connection
        self.transport: FakeTransport
        self.connection, self.transport = new_connection(self.pool)
        self.commits = 0
        self.pings = 0
        self.relay = StreamRelay(
            UPSTREAM,
            self.watch,
            self.connection,
            downstream=self.client,
            dialect=dialect or ChatStream(),
            commit=self._commit,
            reassure=self._reassure,
            quiet_since=self.watch.now - quiet_s,
            drain_s=drain_s,
            unframer=unframer,
        )
        self.connection.send([b"POST"], self.relay, streams=True)
        if head is not None:
            self.read(head)

    def _commit(self) -> None:
        assert not self.client.wire, "nothing may be sent before the stream is opened"
        self.commits += 1

    def _reassure(self) -> None:
        self.pings += 1

    def read(self, *reads: bytes) -> None:
        for data in reads:
            if self.connection.receiver is not None:
                self.connection.data_received(data)

    @property
    def outcome(self) -> Outcome | None:
        return self.relay.outcome.result() if self.relay.outcome.done() else None

    @property
    def all_seen(self) -> bytes:
        """What the client has and what is kept back for the end, line ends as LF, without our own comments."""
        return (self.client.payload + self.relay.edited_tail()).replace(b"\r\n", b"\n")


def whole_relay(**fields: Any) -> tuple[Relay, FakeTransport, ManualWatch]:
    """A relay of an answer that comes whole."""
    watch = ManualWatch()
    connection, transport = new_connection()
    relay = Relay(UPSTREAM, watch, connection, **fields)
    connection.send([b"POST"], relay, streams=False)
    return relay, transport, watch
