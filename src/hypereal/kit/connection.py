"""One connection to an upstream: requests that are already bytes go out, answers come in by callback.

An answer is given either whole or, for a stream, as the very reads of the socket with their chunk framing, so that they
can be forwarded untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import httptools

from hypereal.kit.framing import CHUNKED_HEAD, header_value, skip_interim

MAX_HEAD_BYTES = 65_536
MAX_ANSWER_BYTES = 256 * 1024 * 1024
STREAM_TYPES = (b"text/event-stream", b"application/vnd.amazon.eventstream")
"""Content types of bodies that are handed on as they come."""


class UpstreamError(Exception):
    """The connection failed, or what came over it is not HTTP."""


class ConnectionBroken(UpstreamError):
    """The upstream closed or reset the connection before the answer was whole."""


class MalformedAnswer(UpstreamError):
    """The upstream's bytes are not an HTTP answer."""


class Home(Protocol):
    """Where a connection belongs: who writes for it, takes it back when it is free, and hears of its end."""

    def write(self, transport: Any, data: bytes) -> None: ...

    def put(self, connection: Connection) -> None: ...

    def forget(self, connection: Connection) -> None: ...


class Receiver(Protocol):
    """Who gets an answer. `wants_chunks` asks for a successful stream as framed reads rather than as payload."""

    wants_chunks: bool

    def answered(self, status: int, head: bytes, body: bytes) -> None:
        """A whole answer; the connection is already free for the next request."""
        ...

    def opened(self, head: bytes) -> None:
        """A 200 whose body comes piece by piece, by `chunks` or `payload`, and ends with `ended`."""
        ...

    def chunks(self, data: bytes, is_last: bool) -> None:
        """A read as it came: chunk framing included, cut anywhere. `is_last` when the body ends in it."""
        ...

    def payload(self, data: bytes) -> None:
        """A piece of the body without framing."""
        ...

    def ended(self) -> None:
        """The body is whole."""
        ...

    def lost(self, error: UpstreamError) -> None:
        """The answer will not be whole."""
        ...


class _Frames:
    """A parser's callbacks when only the end of a message matters; the absence of `on_body` is what makes it cheap.
    They are the connection's own methods: the parser calls them without another call in between."""

    __slots__ = ("on_message_begin", "on_message_complete")

    def __init__(self, connection: Connection) -> None:
        self.on_message_begin = connection.message_begun
        self.on_message_complete = connection.message_complete


class _Bodies(_Frames):
    """A parser's callbacks when the body is wanted without framing."""

    __slots__ = ("on_body",)

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.on_body = connection.parts.append


class Connection(asyncio.Protocol):
    """One connection and, while it is busy, the receiver of its answer."""

    __slots__ = (
        "_bodies",
        "_complete",
        "_frames",
        "_head",
        "_is_closed",
        "_mode",
        "_pool",
        "_received",
        "_size",
        "_stays_open",
        "parts",
        "paused",
        "receiver",
        "transport",
        "uses",
    )

    def __init__(self, pool: Home) -> None:
        self._pool = pool
        self.parts: list[bytes] = []
        """Of a body, in the parser's hands: what it has found and nobody has taken yet."""
        self._frames = httptools.HttpResponseParser(_Frames(self))
        self._bodies = httptools.HttpResponseParser(_Bodies(self))
        self.transport: Any = None
        self.receiver: Receiver | None = None
        self.uses = 0
        self.paused = False
        self._is_closed = False
        self._reset()

    def _reset(self) -> None:
        self._head: bytes | None = None
        self._received: list[bytes] = []
        self.parts.clear()
        self._size = 0
        self._complete = False
        self._stays_open = False
        self._mode = _WHOLE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, parts: Sequence[bytes], receiver: Receiver, *, streams: bool) -> None:
        """Send a request, its head and body in `parts`; `streams` asks for a successful answer piece by piece."""
        self._reset()
        self.receiver = receiver
        self.uses += 1
        if streams:
            self._mode = _HEAD
        if len(parts) == 1:
            self._pool.write(self.transport, parts[0])
        else:
            self.transport.writelines(parts)

    def data_received(self, data: bytes) -> None:
        receiver = self.receiver
        if receiver is None:
            self.abort()  # bytes that nobody asked for: the two sides disagree about where answers end
            return
        try:
            if self._mode is _CHUNKS:
                self._frames.feed_data(data)
                receiver.chunks(data, self._complete)
                if self._complete:
                    self._finish()
            elif self._mode is _HEAD:
                self._read_head(data)
            else:
                self._read_body(data)
        except httptools.HttpParserUpgrade:
            self._fail(MalformedAnswer("the upstream switched protocols unasked"))
        except httptools.HttpParserError as exc:
            if not self._complete or self._mode is _CHUNKS:
                self._fail(MalformedAnswer(str(exc)))
                return
            self._stays_open = False  # the answer is whole; what follows it is nobody's
            self._finish()

    def _read_head(self, data: bytes) -> None:
        """Gather the head of an answer to a streaming request, then decide how its body is handed over."""
        self._received.append(data)
        raw, end = skip_interim(data if len(self._received) == 1 else b"".join(self._received))
        if end < 4:
            if len(raw) > MAX_HEAD_BYTES:
                raise httptools.HttpParserError("the head is too long")
            self._received = [raw]
            return
        self._received.clear()
        head, rest = raw[:end], raw[end:]
        if head[9:12] != b"200" or not head.startswith(b"HTTP/1.") or not self._opens_stream(head):
            self._mode = _WHOLE
            self._read_body(raw)
            return
        self._head = head
        self._open(head, rest)

    def _opens_stream(self, head: bytes) -> bool:
        kind = header_value(head, b"content-type") or b""
        return kind.lower().startswith(STREAM_TYPES) and not header_value(head, b"content-encoding")

    def _open(self, head: bytes, rest: bytes) -> None:
        receiver = self.receiver
        if receiver is None:
            return
        is_chunked = (header_value(head, b"transfer-encoding") or b"").lower() == b"chunked"
        if receiver.wants_chunks and is_chunked:
            self._mode = _CHUNKS
            self._frames.feed_data(head)
            receiver.opened(head)
            if rest and self.receiver is receiver:
                self.data_received(rest)
            return
        self._mode = _PAYLOAD
        self._bodies.feed_data(head)
        receiver.opened(head)
        if self.receiver is receiver:
            self._read_body(rest)

    def unframe(self, data: bytes) -> None:
        """From now on hand over payload: `data` is what was not yet passed on, and starts at a chunk's start.

        Called by the receiver from within `chunks` when it can't forward a read as it is.
        """
        self._mode = _PAYLOAD
        self._frames = httptools.HttpResponseParser(_Frames(self))
        self._bodies = httptools.HttpResponseParser(_Bodies(self))
        self._complete = False
        self._bodies.feed_data(self._head or CHUNKED_HEAD)
        self._feed_payload(data)

    def _read_body(self, data: bytes) -> None:
        if self._mode is _PAYLOAD:
            self._feed_payload(data)
        else:
            if self._head is None:
                data = self._gather_head(data)
            if data:
                self._size += len(data)
                if self._size > MAX_ANSWER_BYTES + len(self._head or b""):
                    raise httptools.HttpParserError("the answer is too long")
                self._bodies.feed_data(data)
        if self._complete:
            self._finish()

    def _feed_payload(self, data: bytes) -> None:
        """Hand over what one read brought in one piece, in however many chunks it came."""
        try:
            self._bodies.feed_data(data)
        finally:
            payload = self._take_parts()
            if payload and self.receiver is not None:
                self.receiver.payload(payload)

    def _take_parts(self) -> bytes:
        parts = self.parts
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return whole

    def _gather_head(self, data: bytes) -> bytes:
        """Wait for the whole head; then it and what followed it are for the parser. Interim answers are dropped."""
        raw, end = skip_interim(data if not self._received else b"".join([*self._received, data]))
        self._received.clear()
        if end >= 4:
            self._head = raw[:end]
            return raw
        if len(raw) > MAX_HEAD_BYTES:
            raise httptools.HttpParserError("the head is too long")
        self._received.append(raw)
        return b""

    def message_begun(self) -> None:
        """From the parser: one message is asked for, so a second one in the same read is a fault."""
        if self._complete:
            raise ValueError("more follows the answer")

    def message_complete(self) -> None:
        """From the parser: the message ended, in this read. Only now can it tell whether the connection stays open."""
        self._complete = True
        parser = self._frames if self._mode is _CHUNKS else self._bodies
        self._stays_open = parser.should_keep_alive()

    def _finish(self) -> None:
        receiver, head = self.receiver, self._head or b""
        if self._mode is _WHOLE:
            status = self._bodies.get_status_code()
            body = self._take_parts()
            self._release()
            if receiver is not None:
                receiver.answered(status, head, body)
            return
        self._release()
        if receiver is not None:
            receiver.ended()

    def _release(self) -> None:
        self.receiver = None
        self._received = []
        if self._stays_open and not self._is_closed:
            if self.paused:
                self.resume_reading()
            self._pool.put(self)
        else:
            self.abort()

    def _fail(self, error: UpstreamError) -> None:
        receiver, self.receiver = self.receiver, None
        self.abort()
        if receiver is not None:
            receiver.lost(error)

    def abort(self) -> None:
        """Drop the connection at once; its receiver, if any, hears nothing more."""
        self.receiver = None
        self._is_closed = True
        if self.transport is not None:
            self.transport.abort()

    def pause_reading(self) -> None:
        """Let the upstream wait: the client reads more slowly than it writes."""
        if not self.paused and not self._is_closed:
            self.paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.paused and not self._is_closed:
            self.paused = False
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closed = True
        self._pool.forget(self)
        receiver = self.receiver
        if receiver is None:
            return
        if exc is None and self._ends_with_connection():
            self._finish()
            return
        self.receiver = None
        receiver.lost(ConnectionBroken(str(exc) if exc is not None else "closed by the upstream"))

    def _ends_with_connection(self) -> bool:
        """Whether the answer has a head but no length of its own, so that the connection's end is its end."""
        head = self._head
        if head is None or self._mode is _CHUNKS:
            return False
        return header_value(head, b"content-length") is None and header_value(head, b"transfer-encoding") is None


_WHOLE, _HEAD, _CHUNKS, _PAYLOAD = "whole", "head", "chunks", "payload"
