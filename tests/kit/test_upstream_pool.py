"""Pools over real sockets: reuse, idleness, ceilings, failures to connect, TLS, backpressure."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hypereal.kit.connection import Connection, ConnectionBroken, UpstreamError
from hypereal.kit.upstream import ConnectFailed, ConnectTimeout, Origin, Pool, UpstreamClient

CERTIFICATE = Path(__file__).with_name("loopback.pem")
REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
IDLE_S = 55.0

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Awaited:
    """A receiver that can be waited for."""

    wants_chunks = False

    def __init__(self) -> None:
        self.body = b""
        self.done = asyncio.Event()
        self.error: UpstreamError | None = None

    def answered(self, status: int, head: bytes, body: bytes) -> None:
        self.body = body
        self.done.set()

    def opened(self, head: bytes) -> None: ...

    def chunks(self, data: bytes, is_last: bool) -> None: ...

    def payload(self, data: bytes) -> None:
        self.body += data

    def ended(self) -> None:
        self.done.set()

    def lost(self, error: UpstreamError) -> None:
        self.error = error
        self.done.set()


class Provider:
    """A server on the loopback that does the same for every request."""

    def __init__(self, answer: bytes, *, closes: bool = False) -> None:
        self.port = 0
        self.accepted = 0
        self.writers: list[asyncio.StreamWriter] = []
        self._answer = answer
        self._closes = closes

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(self._answer)
                if self._closes:
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def origin(self, scheme: str = "http", **fields: float) -> Origin:
        return Origin(scheme=scheme, host="127.0.0.1", port=self.port, **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def provider(
    answer: bytes = OK, *, closes: bool = False, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Provider]:
    one = Provider(answer, closes=closes)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        for writer in one.writers:
            writer.close()


@asynccontextmanager
async def pool_of(origin: Origin, tls: ssl.SSLContext | None = None) -> AsyncIterator[Pool]:
    pool = Pool(origin, tls, IDLE_S)
    try:
        yield pool
    finally:
        pool.close()
        await until(lambda: pool.size == 0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def ask(pool: Pool, *, streams: bool = False) -> tuple[Connection, Awaited]:
    connection = pool.take() or await pool.connect()
    receiver = Awaited()
    connection.send([REQUEST], receiver, streams=streams)
    async with asyncio.timeout(10):
        await receiver.done.wait()
    return connection, receiver


async def test_a_connection_is_used_again() -> None:
    async with provider() as one, pool_of(one.origin()) as pool:
        first, _ = await ask(pool)
        second, receiver = await ask(pool)
        assert first is second
        assert receiver.body == b"{}"
        assert (one.accepted, pool.size, second.uses) == (1, 1, 2)


async def test_the_connection_used_last_is_taken_first() -> None:
    async with provider() as one, pool_of(one.origin()) as pool:
        early, late = await pool.connect(), await pool.connect()
        pool.put(early)
        pool.put(late)
        assert pool.take() is late
        assert pool.take() is early
        assert pool.take() is None


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    async with provider() as one, pool_of(one.origin()) as pool:
        answers = await asyncio.gather(*(ask(pool) for _ in range(5)))
        assert len({connection for connection, _ in answers}) == 5
        assert one.accepted == pool.size == 5


async def test_an_upstream_that_closes_is_asked_on_a_new_connection() -> None:
    answer = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    async with provider(answer, closes=True) as one, pool_of(one.origin()) as pool:
        for number in (1, 2):
            _, receiver = await ask(pool)
            assert receiver.body == b"{}"
            assert one.accepted == number
            assert pool.take() is None
        await until(lambda: pool.size == 0)


async def test_an_idle_connection_that_the_upstream_closed_is_not_taken() -> None:
    async with provider() as one, pool_of(one.origin()) as pool:
        await ask(pool)
        one.writers[0].close()
        await until(lambda: pool.size == 0)
        assert pool.take() is None
        _, receiver = await ask(pool)
        assert receiver.body == b"{}"


async def test_bytes_on_an_idle_connection_end_it() -> None:
    async with provider() as one, pool_of(one.origin()) as pool:
        await ask(pool)
        one.writers[0].write(b"HTTP/1.1 408 Timeout\r\n\r\n")
        await until(lambda: pool.size == 0)
        assert pool.take() is None


async def test_only_connections_that_stay_idle_are_swept() -> None:
    async with provider() as one, pool_of(one.origin()) as pool:
        used, unused = await pool.connect(), await pool.connect()
        pool.put(unused)
        pool.put(used)
        pool.sweep(0.0)
        assert (await ask(pool))[0] is used
        pool.sweep(IDLE_S - 1)
        assert pool.size == 2
        pool.sweep(IDLE_S)
        await until(lambda: pool.size == 1)
        assert pool.take() is used
        pool.put(used)
        pool.sweep(2 * IDLE_S - 1)
        await until(lambda: pool.size == 0)


async def test_a_busy_connection_is_not_swept() -> None:
    async with provider(b"") as one, pool_of(one.origin()) as pool:
        connection = await pool.connect()
        connection.send([REQUEST], Awaited(), streams=False)
        for now in (0.0, IDLE_S, 10 * IDLE_S):
            pool.sweep(now)
        assert not connection.transport.is_closing()
        assert pool.size == 1


async def test_there_is_a_ceiling_on_connections() -> None:
    async with provider() as one, pool_of(one.origin(max_connections=2)) as pool:
        first = await pool.connect()
        await pool.connect()
        with pytest.raises(ConnectFailed, match="2 connections are open already"):
            await pool.connect()
        first.abort()
        await until(lambda: pool.size == 1)
        await pool.connect()
        assert pool.size == 2


async def test_connections_under_way_count_towards_the_ceiling() -> None:
    async with provider() as one, pool_of(one.origin(max_connections=2)) as pool:
        made = await asyncio.gather(*(pool.connect() for _ in range(5)), return_exceptions=True)
        assert sum(isinstance(one, Connection) for one in made) == 2
        assert sum(isinstance(one, ConnectFailed) for one in made) == 3


async def test_a_port_where_nobody_listens_fails_at_once() -> None:
    async with provider() as one:
        origin = one.origin()
    async with pool_of(origin) as pool:
        with pytest.raises(ConnectFailed) as failure:
            await pool.connect()
        assert not isinstance(failure.value, ConnectTimeout)
        assert pool.size == 0


async def test_a_handshake_that_never_ends_is_a_timeout() -> None:
    async with provider(b"") as one, pool_of(one.origin("https", connect_timeout_s=0.05), trusting()) as pool:
        with pytest.raises(ConnectTimeout, match=r"within 0\.05 s"):
            await pool.connect()
        assert pool.size == 0


async def test_a_connection_that_breaks_loses_its_answer() -> None:
    for answer in (b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"):
        async with provider(answer, closes=True) as one, pool_of(one.origin()) as pool:
            _, receiver = await ask(pool)
            assert isinstance(receiver.error, ConnectionBroken)


async def test_an_answer_that_ends_with_its_connection_is_whole() -> None:
    async with provider(b"HTTP/1.1 200 OK\r\n\r\nto the end", closes=True) as one, pool_of(one.origin()) as pool:
        _, receiver = await ask(pool)
        assert (receiver.body, receiver.error) == (b"to the end", None)


def serving() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


async def test_tls_is_spoken_to_an_upstream_that_is_trusted() -> None:
    async with provider(tls=serving()) as one, pool_of(one.origin("https"), trusting()) as pool:
        for _ in range(2):
            connection, receiver = await ask(pool)
            assert receiver.body == b"{}"
        assert connection.transport.get_extra_info("ssl_object").version().startswith("TLSv1.")
        assert one.accepted == 1


async def test_an_upstream_that_is_not_trusted_is_not_spoken_to() -> None:
    async with provider(tls=serving()) as one, pool_of(one.origin("https"), ssl.create_default_context()) as pool:
        with pytest.raises(ConnectFailed):
            await pool.connect()
        assert pool.size == 0


async def test_an_upstream_waits_for_a_client_that_does_not_read() -> None:
    body = b"x" * 20_000_000
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with provider(head + body) as one, pool_of(one.origin()) as pool:
        connection = await pool.connect()
        receiver = Awaited()
        connection.send([REQUEST], receiver, streams=True)
        await until(lambda: bool(receiver.body))
        connection.pause_reading()
        seen = len(receiver.body)
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert len(receiver.body) == seen < len(body)
        connection.resume_reading()
        async with asyncio.timeout(10):
            await receiver.done.wait()
        assert receiver.body == body
        assert pool.take() is connection


async def test_a_client_has_one_pool_for_each_origin() -> None:
    client = UpstreamClient(idle_s=IDLE_S)
    async with provider() as one:
        pool = client.pool(one.origin())
        assert client.pool(one.origin()) is pool
        assert client.pool(one.origin(max_connections=3)) is not pool
        secure = [client.pool(one.origin("https", max_connections=number)) for number in (1, 2)]
        assert len(set(secure)) == 2
        await ask(pool)
        assert one.accepted == 1
        client.sweep(0.0)
        assert pool.size == 1
        client.sweep(IDLE_S)
        await until(lambda: pool.size == 0)
        await ask(pool)
        client.close()
        await until(lambda: pool.size == 0)


async def test_open_connections_are_counted_by_address() -> None:
    client = UpstreamClient()
    async with provider() as one:
        pools = [client.pool(one.origin(max_connections=number)) for number in (5, 6)]
        for pool in pools:
            await ask(pool)
        assert client.sizes() == {f"127.0.0.1:{one.port}": 2}
        client.close()
        await until(lambda: all(pool.size == 0 for pool in pools))
