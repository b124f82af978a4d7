"""The end of a stream, looked at for the usage that it reports.

What is at hand are its last bytes, perhaps with HTTP chunk framing in them, and of a long stream not its beginning.
"""

from __future__ import annotations

from collections.abc import Callable

from hypereal.wire.base import Usage

UsageIn = Callable[[bytes], Usage | None]
"""Reads the usage in a whole line of a stream; None where it has none or cannot be read."""


def line_around(data: bytes, position: int) -> tuple[int, int]:
    """Where the line begins and ends that `position` is in."""
    end = data.find(b"\n", position)
    return data.rfind(b"\n", 0, position) + 1, end if end >= 0 else len(data)


def find_usage(data: bytes, key: bytes, usage_in: UsageIn) -> Usage | None:
    """The usage in the last event of `data`, which may be framed; None as well when the framing may cut through it."""
    position = data.rfind(key)
    if position < 0:
        return None
    start, end = line_around(data, position)
    if data.find(b"{", end) >= 0:
        return None  # a later event: it may have a usage of its own, with framing through its very name
    return usage_in(data[start:end])


def last_usage(payload: bytes, key: bytes, usage_in: UsageIn) -> Usage | None:
    """The usage in the last event that has one. The key may also be in a text, or be null in every event."""
    position = payload.rfind(key)
    while position >= 0:
        start, end = line_around(payload, position)
        usage = usage_in(payload[start:end])
        if usage is not None:
            return usage
        position = payload.rfind(key, 0, start)
    return None


def in_proportion(size: int, kept: bytes, total_bytes: int) -> int:
    """How much a whole stream of `total_bytes` says when what is kept of it says `size` bytes."""
    return size * total_bytes // len(kept) if total_bytes > len(kept) > 0 else size
