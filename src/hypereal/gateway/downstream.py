"""The seam to whoever asked: what the pipeline needs of a client's connection, whatever carries it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Fields = bytes
"""Header lines ready for the socket: `name: value\\r\\n`, names in lower case, any number of them."""


LAST_CHUNK = b"0\r\n\r\n"
"""How a chunked body ends."""


class Flow(Protocol):
    """What is asked to wait while the client reads more slowly than the upstream writes."""

    paused: bool

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Downstream(Protocol):
    """One client's request, being answered.

    An answer is either `respond`, or `open_stream`, then `send`s, then `close_stream`. After the client has left, all
    of them do nothing. `takes_chunks` says that `send_chunks` may be used: bytes with HTTP chunk framing, as an
    upstream sent them. `takes_pings` says that a stream which is slow to begin should be opened and pinged: something
    on the way to the client might take its silence for an end.
    """

    takes_chunks: bool
    takes_pings: bool
    is_gone: bool
    flow: Flow | None
    on_gone: Callable[[], None] | None

    def respond(self, status: int, fields: Fields, body: bytes) -> None:
        """A whole JSON answer; `fields` do not name its length or type."""
        ...

    def open_stream(self, fields: Fields, content_type: bytes) -> None:
        """Commit to a stream, status 200."""
        ...

    def send(self, payload: bytes) -> None:
        """Some whole events, or other whole pieces of a stream."""
        ...

    def send_chunks(self, data: bytes) -> None:
        """Some whole events, already framed in whole chunks."""
        ...

    def close_stream(self, chunks: bytes = LAST_CHUNK) -> None:
        """The stream is whole, after `chunks`: what `send_chunks` takes, with the chunk that ends a body."""
        ...
