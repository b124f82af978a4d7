"""An engine, a connection and an account of a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hypereal.db import open_engine
from hypereal.identity import accounts
from hypereal.identity.accounts import AccountRecord


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def account(engine: AsyncEngine) -> AccountRecord:
    async with engine.begin() as connection:
        return await accounts.create(connection, "Ada")


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that is rolled back."""
    async with engine.connect() as connection:
        yield connection
