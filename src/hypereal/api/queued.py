"""What both ways of answering through ASGI share: messages wait in line until the server takes them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hypereal.gateway.downstream import Flow

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HIGH_WATER_BYTES = 65_536


class QueuedDownstream:
    """The half of a `Downstream` that knows nothing of the messages: a line of them, and a client that may leave."""

    takes_chunks = False

    def __init__(self) -> None:
        self._waiting: deque[tuple[Message, int]] = deque()
        self._waiting_bytes = 0
        self._changed = asyncio.Event()
        self.is_complete = False
        self.is_gone = False
        self.flow: Flow | None = None
        self.on_gone: Callable[[], None] | None = None

    def send_chunks(self, data: bytes) -> None:
        raise TypeError("ASGI frames its own chunks")

    def put(self, message: Message, size: int) -> None:
        """Add a message of so many bytes; the upstream waits while too many wait for the client."""
        if self.is_gone or self.is_complete:
            return
        self._waiting.append((message, size))
        self._waiting_bytes += size
        if self._waiting_bytes > HIGH_WATER_BYTES and self.flow is not None:
            self.flow.pause_reading()
        self._changed.set()

    def complete(self) -> None:
        """Nothing more comes."""
        self.is_complete = True
        self._changed.set()

    def leave(self) -> None:
        """The client is gone."""
        if self.is_complete or self.is_gone:
            return
        self.is_gone = True
        self._changed.set()
        if self.on_gone is not None:
            self.on_gone()

    async def deliver(self, send: Send) -> None:
        """Pass on what is put until the answer is whole or nobody wants it any more."""
        while not self.is_gone:
            await self._changed.wait()
            self._changed.clear()
            while self._waiting:
                message, size = self._waiting.popleft()
                self._waiting_bytes -= size
                await send(message)
            if self.is_complete and not self._waiting:
                return
            if self.flow is not None and self.flow.paused:
                self.flow.resume_reading()
