"""One request and its answer over ASGI, with what ASGI has no words for: resetting and breaking the connection.

Those need the transport, which `server.SandboxProtocol` puts into the scope. Under another server they become a plain
exception, which that server turns into a closed connection.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from hypereal.sandbox.request import BadRequest

TRANSPORT_EXTENSION = "hypereal.sandbox.transport"
MAX_BODY_BYTES = 64 * 1024 * 1024

_SHORT_PAUSE_S = 0.5
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: closing sends RST rather than FIN

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ClientGone(Exception):
    """The client has left, or the connection was broken on purpose: there is nobody to answer."""


class Exchange:
    """One request. Everything that waits or writes raises `ClientGone` once there is nobody left."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        self.started = False
        self._receive = receive
        self._send = send
        self._transport: asyncio.Transport | None = scope.get("extensions", {}).get(TRANSPORT_EXTENSION)

    async def read_body(self) -> bytes:
        """The whole body. Raises `BadRequest` (413) for one that is too long."""
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
            if size > MAX_BODY_BYTES:
                raise BadRequest("The request body is too large.", status=413)
        return b"".join(parts)

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send the head."""
        self._check()
        self.started = True
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in [*headers, ("x-sandbox", "1")]]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body, at once."""
        self._check()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self) -> None:
        self._check()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def pause(self, seconds: float) -> None:
        """Wait; a client that leaves during a long wait ends it."""
        if seconds <= _SHORT_PAUSE_S:
            await asyncio.sleep(seconds)
            self._check()
            return
        try:
            async with asyncio.timeout(seconds):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return
        raise ClientGone

    async def write_raw(self, data: bytes) -> None:
        """Put bytes on the connection as they are, past the framing of the body."""
        self._check()
        if self._transport is not None:
            # An empty piece has the server send the head first, which it may have kept back until now.
            await self.write(b"")
            self._transport.write(data)

    async def hang_up(self) -> None:
        """Close the connection after what was written; never returns."""
        if self._transport is not None:
            self._transport.close()
        await self._leave()

    async def reset(self) -> None:
        """Reset the connection; never returns."""
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
        await self._leave()

    async def _leave(self) -> None:
        if self._transport is None:
            raise ConnectionResetError("the sandbox was asked to break this connection")
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise ClientGone

    def _check(self) -> None:
        if self._transport is not None and self._transport.is_closing():
            raise ClientGone
