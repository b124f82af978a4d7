"""Hearing what other processes changed: one `LISTEN` connection per process, and callbacks.

Everything that is cached in memory is dropped by a message on the channel `hypereal`, sent in the transaction that made
the change (so it arrives exactly when the change is visible). Messages that were sent while the line was down are lost:
`on_gap` says when that may have happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Callable
from typing import Annotated, LiteralString

import msgspec
import psycopg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hypereal.db import connection_string

CHANNEL = "hypereal"
HEARTBEAT_S = 0.5
ANSWER_TIMEOUT_S = 1.0
CONNECT_TIMEOUT_S = 5
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 5.0

log = structlog.get_logger(__name__)


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changed: `kind` is `key`, `account`, `wallet`, `lease_recall` or `config`.

    `digest` is the hash of the key's secret in hexadecimal, of kind `key` only.
    """

    kind: str
    id: str
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] | None = None


async def notify(connection: AsyncConnection, change: Change) -> None:
    """Tell every process, when (and only if) the transaction of `connection` commits."""
    payload = msgspec.json.encode(change).decode()
    await connection.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": payload})


class Changes:
    """The listener of one process. Callbacks are synchronous, quick, and run on the event loop.

    A line that ends is noticed at once; one whose peer vanished silently, within `HEARTBEAT_S + ANSWER_TIMEOUT_S`.
    It is opened again with backoff, for ever.
    """

    def __init__(self, url: str) -> None:
        """`url` is the database's, in any form that `db.open_engine` takes."""
        self._conninfo = connection_string(url)
        self._callbacks: dict[str, list[Callable[[Change], None]]] = {}
        self._gap_callbacks: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._healthy = False
        self._backoff_s = FIRST_BACKOFF_S

    @property
    def healthy(self) -> bool:
        """Whether the line is up; while it is not, nothing that is cached may be trusted for long."""
        return self._healthy

    def on(self, kind: str, callback: Callable[[Change], None]) -> None:
        """Call `callback` for each change of this kind."""
        self._callbacks.setdefault(kind, []).append(callback)

    def on_gap(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the line goes down and again when it is back; `healthy` tells which."""
        self._gap_callbacks.append(callback)

    def start(self) -> None:
        """Begin to listen, in a task of the running loop."""
        self._task = asyncio.create_task(self._run(), name="identity.changes")

    async def stop(self) -> None:
        """End the task and close the line."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._listen()
                except (psycopg.Error, OSError) as exc:
                    log.warning("changes.line_down", error=type(exc).__name__)
                self._mark(healthy=False)
                await asyncio.sleep(self._backoff_s * random.uniform(0.5, 1.0))
                self._backoff_s = min(self._backoff_s * 2, LONGEST_BACKOFF_S)
        finally:
            self._mark(healthy=False)

    async def _listen(self) -> None:
        """One life of the line; leaves only by an error."""
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="hypereal listener"
        )
        try:
            await self._ask(connection, f"LISTEN {CHANNEL}")
            self._backoff_s = FIRST_BACKOFF_S
            self._mark(healthy=True)
            while True:
                async for message in connection.notifies(timeout=HEARTBEAT_S):
                    self._dispatch(message.payload)
                await self._ask(connection, "SELECT 1")
        finally:
            await connection.close()

    async def _ask(self, connection: psycopg.AsyncConnection, statement: LiteralString) -> None:
        alarm = asyncio.get_running_loop().call_later(ANSWER_TIMEOUT_S, self._hang_up, connection)
        try:
            await connection.execute(statement)
        finally:
            alarm.cancel()

    def _hang_up(self, connection: psycopg.AsyncConnection) -> None:
        """Make the wait for a silent peer fail now: to cancel it instead would ask that peer, and wait again."""
        self._mark(healthy=False)
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def _mark(self, *, healthy: bool) -> None:
        if healthy == self._healthy:
            return
        self._healthy = healthy
        log.info("changes.line_up" if healthy else "changes.line_lost")
        for callback in self._gap_callbacks:
            callback()

    def _dispatch(self, payload: str) -> None:
        try:
            change = msgspec.json.decode(payload.encode(), type=Change)
        except msgspec.MsgspecError:
            log.warning("changes.unreadable")
            return
        for callback in self._callbacks.get(change.kind, ()):
            callback(change)
