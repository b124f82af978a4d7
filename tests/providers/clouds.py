"""A cloud over a real socket: notes the request as it arrived and answers with what a test gives it, in pieces."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from hypereal.catalog.types import Target
from hypereal.providers.base import Adapter, Prepared
from hypereal.wire.base import Kind


@dataclass
class Arrived:
    """A request as the cloud got it; headers by lower-case name."""

    line: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]

    def aws_signature(self, secret: str) -> str:
        """The signature that AWS would expect, from what arrived alone."""
        scope = self.headers["authorization"].partition("Credential=")[2].partition(",")[0].partition("/")[2]
        names = self.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
        signed = "".join(f"{name}:{self.headers[name].strip()}\n" for name in names.split(";"))
        path = "/".join(quote(part, safe="~") for part in self.path.split("/"))
        request = f"POST\n{path}\n\n{signed}\n{names}\n{hashlib.sha256(self.body).hexdigest()}"
        text = (
            f"AWS4-HMAC-SHA256\n{self.headers['x-amz-date']}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        )
        key = b"AWS4" + secret.encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@asynccontextmanager
async def cloud(pieces: Sequence[bytes]) -> AsyncIterator[tuple[str, Arrived]]:
    """The address of a cloud that takes one request, and that request."""
    arrived = Arrived()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        arrived.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in fields)}
        arrived.body = await reader.readexactly(int(arrived.headers["content-length"]))
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", arrived


async def ask(adapter: Adapter, target: Target, body: bytes, *, dialect: str) -> bytes:
    """What comes of a streamed chat request that is sent as the adapter says, without HTTP's head."""
    address = adapter.address(target, Kind.CHAT, dialect=dialect, stream=True)
    prepared = adapter.prepare(target, path=address.path, headers=address.headers, body=body)
    assert isinstance(prepared, Prepared)
    lines = [
        f"POST {address.path} HTTP/1.1",
        f"host: {address.host}:{address.port}",
        "content-type: application/json",
        *(f"{name}: {value}" for name, value in prepared.headers),
        f"content-length: {len(prepared.body)}",
    ]
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + prepared.body)
    await reader.readuntil(b"\r\n\r\n")
    unframer = adapter.unframer()
    answer = bytearray()
    while data := await reader.read(7):
        answer += unframer.feed(data) if unframer is not None else data
    writer.close()
    await writer.wait_closed()
    return bytes(answer)
