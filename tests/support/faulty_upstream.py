"""An upstream on a raw TCP socket that behaves, or misbehaves, exactly as told, and remembers what it was sent.

No HTTP library stands between a behaviour and the bytes, so that every fault of a real network can be made. The first
segment of the path names the *lane*: `/reset~7/v1/chat/completions` runs the behaviour `reset`; the part after `~`
only tells lanes apart (a lane counts its requests, and a gateway's breaker sees one upstream for each). What the
behaviours do is in `behaviours`; nothing here knows about the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import struct
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tests.support.formats import FORMATS, counts_tokens, format_of, model_in
from tests.support.openai_format import compact

Behaviour = Callable[["Exchange"], Awaitable[None]]


class ClientGone(Exception):
    """The gateway closed the connection while its answer was still being written."""


@dataclass(kw_only=True)
class Recorded:
    """One request as it arrived. `number` counts a lane's requests from one; `connection` tells sockets apart.

    `over` is set when the behaviour has ended; `hung_up` then says whether the gateway had left before that, and
    `events_sent` how many stream events had been written.
    """

    lane: str
    number: int
    connection: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    hung_up: bool = False
    events_sent: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def json(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.body)
        return read


class Connection(asyncio.Protocol):
    """One socket from the gateway: requests are read and answered one after the other."""

    def __init__(self, serve: Callable[[Connection], Awaitable[None]]) -> None:
        self._serve = serve
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        with contextlib.suppress(ClientGone):
            await self._serve(self)
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._news.set()

    def eof_received(self) -> bool:
        self.connection_lost(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self._news.set()

    async def take_until(self, mark: bytes) -> bytes:
        """Bytes up to and with `mark`."""
        while (end := self._buffer.find(mark)) < 0:
            await self._more()
        return self._take(end + len(mark))

    async def take(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        while len(self._buffer) < size:
            await self._more()
        return self._take(size)

    async def _more(self) -> None:
        self._news.clear()
        if self.gone.is_set():
            raise ClientGone
        await self._news.wait()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


class Exchange:
    """One request and the means to answer it, well or badly."""

    def __init__(self, connection: Connection, recorded: Recorded) -> None:
        self._connection = connection
        self.request = recorded
        self.path = recorded.path
        self.is_openai = format_of(recorded.path) == "openai_chat"
        self.format = FORMATS[format_of(recorded.path)]
        self.model = str(recorded.json.get("model", model_in(recorded.path)))
        self.wants_stream = recorded.json.get("stream") is True or "streamGenerateContent" in recorded.path

    async def write(self, data: bytes) -> None:
        """Send bytes as they are; raises `ClientGone` when nobody listens any more."""
        if self._connection.gone.is_set():
            raise ClientGone
        self._connection.transport.write(data)
        await asyncio.sleep(0)

    async def pause(self, seconds: float) -> None:
        """Stay silent, unless the gateway hangs up."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connection.gone.wait(), seconds)
            raise ClientGone

    async def head(self, status: int, content_type: str, *, framing: str = "", **headers: str) -> None:
        """A response head. `framing` is the header line that says where the body ends, if any."""
        lines = [f"HTTP/1.1 {status} Scripted", f"content-type: {content_type}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += [framing] if framing else []
        await self.write("\r\n".join([*lines, "", ""]).encode())

    async def whole(self, status: int, body: bytes, *, content_type: str = "application/json", **headers: str) -> None:
        """A whole answer with its length."""
        await self.head(status, content_type, framing=f"content-length: {len(body)}", **headers)
        await self.write(body)

    async def json(self, status: int, value: Any, **headers: str) -> None:
        await self.whole(status, compact(value), **headers)

    async def error(self, status: int, message: str, **headers: str) -> None:
        """An error in the shape of the format that was asked in."""
        await self.json(status, self.format.error(status, message), **headers)

    def error_event(self, message: str) -> bytes:
        """An error in the midst of a stream."""
        return self.format.error_event(message)

    async def open_stream(self, **headers: str) -> None:
        await self.head(200, "text/event-stream; charset=utf-8", framing="transfer-encoding: chunked", **headers)

    async def piece(self, data: bytes) -> None:
        """One chunk of a chunked body."""
        await self.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def event(self, data: bytes) -> None:
        """One stream event, in a chunk of its own."""
        await self.piece(data)
        self.request.events_sent += 1

    async def end(self) -> None:
        await self.write(b"0\r\n\r\n")

    def close(self) -> None:
        """Say goodbye in the ordinary way: what was written still arrives."""
        self._connection.transport.close()
        raise ClientGone

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        sock = self._connection.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.transport.abort()
        raise ClientGone

    def answer(self, **more: Any) -> dict[str, Any]:
        if counts_tokens(self.path):
            return dict(self.format.count)
        return self.format.answer(self.path, self.model, **more, **self._named)

    def events(self, **more: Any) -> list[bytes]:
        return self.format.events(self.path, self.model, **more, **self._named)

    @property
    def _named(self) -> dict[str, str]:
        """Responses are kept by their names, so each has one of its own, also among servers that share a database."""
        is_kept = format_of(self.path) == "openai_responses"
        return {"name": uuid.uuid4().hex} if is_kept else {}


class FaultyUpstream:
    """The server, on a thread and an event loop of its own. Use as a context manager."""

    def __init__(self, behaviours: Mapping[str, Behaviour]) -> None:
        self._behaviours = behaviours
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-upstream", daemon=True)
        self._connections = itertools.count(1)
        self._counts: dict[str, int] = {}
        self._open: set[Connection] = set()
        self._news = threading.Condition()
        self.requests: list[Recorded] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(lambda: Connection(self._serve), "127.0.0.1", 0)

    async def _close(self) -> None:
        self._server.close()
        for connection in list(self._open):
            connection.transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def url(self, lane: str) -> str:
        """The base URL under which requests run the behaviour that `lane` begins with."""
        return f"http://127.0.0.1:{self.port}/{lane}/v1"

    def seen(self, marker: str, *, count: int = 1, timeout_s: float = 5.0) -> list[Recorded]:
        """The requests whose body or lane contains `marker`, once at least `count` have arrived."""
        found: list[Recorded] = []

        def arrived() -> bool:
            found[:] = [r for r in self.requests if marker in r.lane or marker.encode() in r.body]
            return len(found) >= count

        with self._news:
            if not self._news.wait_for(arrived, timeout_s):
                raise AssertionError(f"{len(found)} of {count} requests with {marker!r} arrived")
        return found

    async def _serve(self, connection: Connection) -> None:
        self._open.add(connection)
        number = next(self._connections)
        try:
            while True:
                recorded = await self._receive(connection, number)
                await self._answer(Exchange(connection, recorded))
        finally:
            self._open.discard(connection)

    async def _answer(self, exchange: Exchange) -> None:
        recorded = exchange.request
        try:
            await self._behaviours[recorded.lane.partition("~")[0]](exchange)
        except ClientGone:
            recorded.hung_up = True
            raise
        finally:
            recorded.over.set()

    async def _receive(self, connection: Connection, number: int) -> Recorded:
        head = (await connection.take_until(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.rstrip().split("\r\n")
        method, target, _version = request_line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self._body(connection, headers)
        lane, _, rest = target.removeprefix("/").partition("/")
        self._counts[lane] = self._counts.get(lane, 0) + 1
        recorded = Recorded(
            lane=lane,
            number=self._counts[lane],
            connection=number,
            method=method,
            path="/" + rest,
            headers=headers,
            body=body,
        )
        with self._news:
            self.requests.append(recorded)
            self._news.notify_all()
        return recorded

    @staticmethod
    async def _body(connection: Connection, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await connection.take(int(headers.get("content-length", "0")))
        parts = []
        while size := int(await connection.take_until(b"\r\n"), 16):
            parts.append((await connection.take(size + 2))[:-2])
        await connection.take_until(b"\r\n")
        return b"".join(parts)


class DeadPort:
    """An address that refuses every connection: bound, so that nobody else gets it, and not listening."""

    def __enter__(self) -> Self:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()

    def url(self, lane: str) -> str:
        return f"http://127.0.0.1:{self.port}/{lane}/v1"


class SilentPort(DeadPort):
    """An address whose connections never come about: it listens, its queue is full, and nobody accepts."""

    QUEUE_FILLERS = 4

    def __enter__(self) -> Self:
        super().__enter__()
        self._socket.listen(0)
        self._fillers = [socket.socket() for _ in range(self.QUEUE_FILLERS)]
        for filler in self._fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
        return self

    def __exit__(self, *_exc: object) -> None:
        for filler in self._fillers:
            filler.close()
        super().__exit__()
