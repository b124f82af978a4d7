"""Writes of one turn of the event loop, made together.

A write to a socket whose reader sleeps has to wake it, which costs more than the write itself. Made back to back, the
first write wakes the reader and the others find it awake; spread over a turn, each would wake it anew. The first write
of a turn is made at once, so that a request that is alone waits for nothing; those after it are made at the turn's end.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Outbox:
    """Gathers writes for any number of transports; each transport gets its own in the order in which they came."""

    __slots__ = ("_has_begun", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[Any, bytes]] = []
        self._has_begun = False

    def write(self, transport: Any, data: bytes) -> None:
        """Have `data` written before the event loop waits again."""
        if self._has_begun:
            self._waiting.append((transport, data))
            return
        self._has_begun = True
        self._loop.call_soon(self._end_turn)
        transport.write(data)

    def _end_turn(self) -> None:
        self._has_begun = False
        self.flush()

    def flush(self) -> None:
        """Write what waits, now."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)
