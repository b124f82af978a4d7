"""Writes of one turn of the event loop, made together at its end.

A write to a socket whose reader sleeps has to wake it, which costs more than the write itself. Made back to back, the
first write wakes the reader and the others find it awake; spread over a turn, each would wake it anew.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Outbox:
    """Gathers writes for any number of transports; each transport gets its own in the order in which they came."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[Any, bytes]] = []

    def write(self, transport: Any, data: bytes) -> None:
        """Have `data` written before the event loop waits again."""
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append((transport, data))

    def flush(self) -> None:
        """Write what waits, now."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)
