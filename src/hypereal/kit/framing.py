"""HTTP/1.1 answers as bytes: their heads read, the framing of their chunks undone."""

from __future__ import annotations

import httptools

CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
"""Primes a parser that is to undo the framing of chunks whose real head was read long ago."""


class _Unframed:
    """A parser's callbacks for undoing the framing of bytes at hand."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def on_body(self, data: bytes) -> None:
        self.parts.append(data)


def unframe(data: bytes) -> bytes:
    """The payload in `data`, which starts at a chunk's start and may be cut anywhere."""
    collector = _Unframed()
    parser = httptools.HttpResponseParser(collector)
    try:
        parser.feed_data(CHUNKED_HEAD)
        parser.feed_data(data)
    except httptools.HttpParserError:
        pass  # what came before the fault is still payload
    return b"".join(collector.parts)


def header_value(head: bytes, name: bytes) -> bytes | None:
    """The value of a header in a raw head, by its lower-case name."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return None


def header_map(head: bytes) -> dict[str, str]:
    """The headers of a raw head, names in lower case."""
    pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)
    return {key.decode("latin-1").lower(): value.decode("latin-1").strip() for key, _, value in pairs}


def skip_interim(raw: bytes) -> tuple[bytes, int]:
    """`raw` without whole interim answers (1xx), and where its first head ends, or less than 4 when it does not."""
    end = raw.find(b"\r\n\r\n") + 4
    while end >= 4 and raw[9:10] == b"1" and raw[9:12] != b"101":
        raw = raw[end:]
        end = raw.find(b"\r\n\r\n") + 4
    return raw, end
