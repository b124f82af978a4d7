"""Keeping responses and finding them again.

Nothing is written on a request's path: a response is kept in memory and written about a quarter of a second later,
together with others. A process that is killed loses what it had not written yet; another process sees a response once
it is written, which `find` waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.history.tables import StoredResponse
from hypereal.kit.ids import is_plausible_id

FLUSH_S = 0.25
BATCH = 50
WAITING_BYTES = 64 * 1024 * 1024
"""More than this is not kept in memory: while the database is away, the oldest responses are given up."""
PATIENCE_S = 1.0
"""How long a response is looked for that another process may be about to write."""
LOOK_AGAIN_S = 0.1
SWEEP_S = 3600.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A response to keep: `input` is a JSON array of items, `answer` the response object."""

    account_id: str
    id: str
    input: bytes
    answer: bytes

    @property
    def size(self) -> int:
        return len(self.input) + len(self.answer)


class History:
    """The stored responses, as one process sees them."""

    def __init__(
        self, engine: AsyncEngine, *, retention_days: int, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._engine = engine
        self._retention = timedelta(days=retention_days)
        self._clock = clock
        self._waiting: dict[tuple[str, str], Kept] = {}
        self._waiting_bytes = 0
        self._writing = asyncio.Lock()

    def keep(self, kept: Kept) -> None:
        """Keep a response; never waits. One under an id that could not be looked for is not kept."""
        if not is_plausible_id(kept.id):
            log.warning("history.unkept", account_id=kept.account_id)
            return
        self._forget((kept.account_id, kept.id))
        self._waiting[kept.account_id, kept.id] = kept
        self._waiting_bytes += kept.size
        given_up = 0
        while self._waiting_bytes > WAITING_BYTES and len(self._waiting) > 1:
            self._forget(next(iter(self._waiting)))
            given_up += 1
        if given_up:
            log.warning("history.given_up", responses=given_up)

    async def find(self, account_id: str, response_id: str) -> Kept | None:
        """The response of this account with this id, if it is kept."""
        if not is_plausible_id(response_id):
            return None
        for _ in range(int(PATIENCE_S / LOOK_AGAIN_S)):
            found = self._waiting.get((account_id, response_id)) or await self._read(account_id, response_id)
            if found is not None:
                return found
            await asyncio.sleep(LOOK_AGAIN_S)
        return None

    async def delete(self, account_id: str, response_id: str) -> bool:
        """Forget a response; whether there was one."""
        if await self.find(account_id, response_id) is None:
            return False
        gone = delete(StoredResponse).where(StoredResponse.account_id == account_id, StoredResponse.id == response_id)
        async with self._writing:  # one that is being written just now must not come back
            was_waiting = self._forget((account_id, response_id))
            async with self._engine.begin() as connection:
                result = await connection.execute(gone)
        return was_waiting or bool(result.rowcount)

    async def run(self) -> None:
        """Write what is kept, and sweep what has expired, until cancelled."""
        swept = 0.0
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
                if loop.time() - swept > SWEEP_S:
                    swept = loop.time()
                    await self._sweep()
            except (SQLAlchemyError, OSError) as problem:
                log.warning("history.unwritten", error=type(problem).__name__, waiting=len(self._waiting))
                await asyncio.sleep(1.0)

    async def close(self) -> None:
        """Write what still waits, if the database lets us."""
        with suppress(SQLAlchemyError, OSError):
            await self.flush()

    async def flush(self) -> None:
        """Write everything that waits."""
        async with self._writing:
            while self._waiting:
                batch = list(self._waiting.items())[:BATCH]
                await self._write([kept for _, kept in batch])
                for key, kept in batch:
                    if self._waiting.get(key) is kept:
                        self._forget(key)

    async def _write(self, batch: list[Kept]) -> None:
        """Write a batch. Some upstreams give an id twice: it means the newest answer."""
        expires_at = self._clock() + self._retention
        rows = insert(StoredResponse).values(
            [
                {
                    "account_id": kept.account_id,
                    "id": kept.id,
                    "expires_at": expires_at,
                    "input": kept.input,
                    "answer": kept.answer,
                }
                for kept in batch
            ]
        )
        new = {name: rows.excluded[name] for name in ("created_at", "expires_at", "input", "answer")}
        key = [StoredResponse.account_id, StoredResponse.id]
        async with self._engine.begin() as connection:
            await connection.execute(rows.on_conflict_do_update(index_elements=key, set_=new))

    def _forget(self, key: tuple[str, str]) -> bool:
        kept = self._waiting.pop(key, None)
        if kept is not None:
            self._waiting_bytes -= kept.size
        return kept is not None

    async def _read(self, account_id: str, response_id: str) -> Kept | None:
        wanted = select(StoredResponse.input, StoredResponse.answer).where(
            StoredResponse.account_id == account_id,
            StoredResponse.id == response_id,
            StoredResponse.expires_at > func.now(),
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).one_or_none()
        if row is None:
            return None
        return Kept(account_id=account_id, id=response_id, input=row.input, answer=row.answer)

    async def _sweep(self) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(delete(StoredResponse).where(StoredResponse.expires_at <= func.now()))
