"""What the billing tests share: an engine on a fresh database, a clock that they turn, and a lease book."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.billing import ledger
from hypereal.billing.lease import LeaseBook
from hypereal.db.engine import open_engine, open_sync_engine
from hypereal.kit.money import ZERO, Micro
from tests.billing.holding import WEALTH


@dataclass
class Clock:
    """Seconds since the epoch, moved by the test."""

    now: float = 1_795_000_000.0  # 2026-11-18

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def sync_engine(database_url: str) -> Iterator[Engine]:
    engine = open_sync_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
async def book(engine: AsyncEngine, clock: Clock) -> AsyncIterator[LeaseBook]:
    await ledger.grant(engine, "w", amount=Micro(WEALTH), reference="grant:1")
    book = LeaseBook(engine, "one", minimum=ZERO, clock=clock, ttl_s=100.0)
    yield book
    await book.close()
