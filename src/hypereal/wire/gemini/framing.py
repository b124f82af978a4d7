"""The two forms of a Gemini stream: server-sent events, and one JSON array whose elements come one by one."""

from __future__ import annotations

from typing import Protocol

from hypereal.kit.sse import data_event


class Frames(Protocol):
    """Puts the chunks of one stream into its form."""

    content_type: bytes
    ping: bytes

    def frame(self, chunk: bytes) -> bytes:
        """One chunk, a JSON object, as the client shall see it."""
        ...

    def end(self) -> bytes:
        """What closes the form."""
        ...


class EventFrames:
    """`?alt=sse`: each chunk is the data of an event.

    A ping is an empty line, which ends an event that never began: Google's Python SDK takes a comment for JSON, and
    fails on it.
    """

    content_type = b"text/event-stream; charset=utf-8"
    ping = b"\n"

    def frame(self, chunk: bytes) -> bytes:
        return data_event(chunk)

    def end(self) -> bytes:
        return b""


class ArrayFrames:
    """Without `?alt=sse`: each chunk is an element of one array; between them white space means nothing."""

    content_type = b"application/json"
    ping = b"\n"

    def __init__(self) -> None:
        self._opens = b"["

    def frame(self, chunk: bytes) -> bytes:
        framed = self._opens + chunk
        self._opens = b",\r\n"
        return framed

    def end(self) -> bytes:
        return b"]" if self._opens != b"[" else b"[]"


def frames(*, as_array: bool) -> Frames:
    """The form for one stream."""
    return ArrayFrames() if as_array else EventFrames()
