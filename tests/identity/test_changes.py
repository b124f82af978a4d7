from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.identity.changes import Change, Changes, notify
from tests.identity.polling import eventually


@pytest.fixture
async def changes(database_url: str) -> AsyncIterator[Changes]:
    changes = Changes(database_url)
    yield changes
    await changes.stop()


async def say(engine: AsyncEngine, *several: Change) -> None:
    async with engine.begin() as connection:
        for change in several:
            await notify(connection, change)


async def test_callbacks_hear_the_changes_of_their_kind_in_order(engine: AsyncEngine, changes: Changes) -> None:
    keys: list[Change] = []
    wallets: list[Change] = []
    changes.on("key", keys.append)
    changes.on("wallet", wallets.append)
    changes.start()
    await eventually(lambda: changes.healthy)
    sent = [Change(kind="key", id=f"key_{number}", digest="ab" * 32) for number in range(50)]
    await say(engine, *sent, Change(kind="config", id="x"), Change(kind="wallet", id="acct_1"))
    await eventually(lambda: bool(wallets))
    assert keys == sent
    assert wallets == [Change(kind="wallet", id="acct_1")]


async def test_a_change_that_is_rolled_back_is_not_heard(engine: AsyncEngine, changes: Changes) -> None:
    heard: list[Change] = []
    changes.on("key", heard.append)
    changes.start()
    await eventually(lambda: changes.healthy)
    async with engine.connect() as connection:
        await notify(connection, Change(kind="key", id="never"))
        await connection.rollback()
    await say(engine, Change(kind="key", id="done"))
    await eventually(lambda: bool(heard))
    assert [change.id for change in heard] == ["done"]


async def test_messages_that_make_no_sense_are_passed_over(engine: AsyncEngine, changes: Changes) -> None:
    heard: list[Change] = []
    changes.on("key", heard.append)
    changes.start()
    await eventually(lambda: changes.healthy)
    async with engine.begin() as connection:
        for payload in ("", "null", "{", '{"kind": "key"}', '{"kind": "key", "id": "a", "digest": "zz"}'):
            await connection.execute(text("SELECT pg_notify('hypereal', :payload)"), {"payload": payload})
        await connection.execute(
            text("SELECT pg_notify('hypereal', :payload)"), {"payload": '{"kind": "key", "id": "a", "later": 1}'}
        )
    await eventually(lambda: bool(heard))
    assert heard == [Change(kind="key", id="a")]
    assert changes.healthy


async def test_a_line_that_breaks_is_told_and_opened_again(
    database_server: str, database_url: str, engine: AsyncEngine, changes: Changes
) -> None:
    states: list[bool] = []
    heard: list[Change] = []
    changes.on_gap(lambda: states.append(changes.healthy))
    changes.on("key", heard.append)
    changes.start()
    await eventually(lambda: changes.healthy)
    with psycopg.connect(database_server, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            " AND application_name = 'hypereal listener'",
            [make_url(database_url).database],
        )
    await eventually(lambda: states == [True, False, True])
    await say(engine, Change(kind="key", id="after"))
    await eventually(lambda: bool(heard))
    await changes.stop()
    assert states == [True, False, True, False]


async def test_a_database_that_is_not_there_yet_is_waited_for(
    database_server: str, database_url: str, changes: Changes
) -> None:
    name = sql.Identifier(make_url(database_url).database or "")
    with psycopg.connect(database_server, autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        changes.start()
        await asyncio.sleep(0.05)
        assert not changes.healthy
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
    await eventually(lambda: changes.healthy)


class Relay:
    """A TCP line to the database's socket that can go silent without closing."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        host = parsed.query.get("host")
        self._directory = host if isinstance(host, str) and host.startswith("/") else None
        self._host = parsed.host or "127.0.0.1"
        self._port = int(str(parsed.query.get("port") or parsed.port or 5432))
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def go_silent(self) -> None:
        self._open.clear()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._directory:
            upstream = await asyncio.open_unix_connection(f"{self._directory}/.s.PGSQL.{self._port}")
        else:
            upstream = await asyncio.open_connection(self._host, self._port)
        for source, sink in ((reader, upstream[1]), (upstream[0], writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self._tasks.add(task)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.closing(sink), contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                await self._open.wait()
                sink.write(data)
                await sink.drain()


async def test_a_peer_that_vanished_silently_is_noticed(database_url: str) -> None:
    relay = Relay(database_url)
    port = await relay.start()
    parsed = make_url(database_url)
    query = {key: value for key, value in parsed.query.items() if key not in ("host", "port")}
    relayed = parsed.set(host="127.0.0.1", port=port, query=query).render_as_string(hide_password=False)
    changes = Changes(relayed)
    changes.start()
    await eventually(lambda: changes.healthy)
    relay.go_silent()
    await eventually(lambda: not changes.healthy)
    await changes.stop()
    await relay.stop()


async def test_addresses_as_hosting_providers_write_them_are_understood(database_url: str) -> None:
    changes = Changes(make_url(database_url).set(drivername="postgres").render_as_string(hide_password=False))
    changes.start()
    await eventually(lambda: changes.healthy)
    await changes.stop()
