"""Server-sent events over bytes: splitting a payload into whole events, and reading the data of one.

The relay passes most streams through without looking inside; what is here serves the ends of a stream and the formats
whose events must be edited.
"""

from __future__ import annotations

from collections.abc import Iterator

COMMENT = b": ping\n\n"
"""A comment event: legal in every event stream, ignored by every client, enough to keep a proxy from hanging up."""


def split_events(payload: bytes) -> tuple[list[bytes], bytes]:
    """Whole events (each with its closing blank line) and the unfinished rest. Accepts LF and CRLF line ends."""
    if b"\r" in payload:
        payload = payload.replace(b"\r\n", b"\n")
    pieces = payload.split(b"\n\n")
    rest = pieces.pop()
    return [piece + b"\n\n" for piece in pieces if piece and piece != b"\n"], rest


def each_event(payload: bytes) -> Iterator[bytes]:
    """The whole events of `payload` one by one, for who needs only the first; line ends and framing as they came."""
    start = 0
    while (end := payload.find(b"\n\n", start)) >= 0 or b"\r\n\r\n" in payload[start:]:
        crlf = payload.find(b"\r\n\r\n", start, end if end >= 0 else len(payload))
        end = end + 2 if crlf < 0 else crlf + 4
        yield payload[start:end]
        start = end


def event_data(event: bytes) -> bytes | None:
    """The `data` of one event, its lines joined; None for a comment or an event without data."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2:
        return event[6:-2]
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def read_data(payload: bytes) -> Iterator[bytes]:
    """The data of every whole event in `payload`, and of an unfinished last one."""
    events, rest = split_events(payload)
    for event in events:
        data = event_data(event)
        if data is not None:
            yield data
    if rest.strip():
        data = event_data(rest.rstrip() + b"\n\n")
        if data is not None:
            yield data


def data_event(data: bytes) -> bytes:
    """One event carrying `data`, which must not contain line ends (JSON never does)."""
    return b"data: " + data + b"\n\n"
