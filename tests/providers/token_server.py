"""Google's token endpoint over a real socket: takes forms, gives tokens, or whatever a test wants of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

Answer = Callable[[dict[str, str]], tuple[int, str]]


@asynccontextmanager
async def token_server(answer: Answer) -> AsyncIterator[str]:
    """The address of a server that answers each form that is posted to it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("post /token ")
        assert "content-type: application/x-www-form-urlencoded" in head
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        form = dict(parse_qsl((await reader.readexactly(length)).decode(), strict_parsing=True))
        status, body = answer(form)
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/token"
