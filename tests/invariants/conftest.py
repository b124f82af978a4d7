"""A small world for the invariants: a database, a journal directory, processes that may be killed, and the books."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.billing import ledger, wallet
from hypereal.billing.journal import list_instances
from hypereal.billing.verify import verify
from hypereal.db.engine import open_engine, open_sync_engine
from hypereal.gateway.writer import Writer
from hypereal.kit.money import Micro
from tests.invariants.process import Task

WALLET = "acct_1"


@dataclass
class Told:
    """What the clients of a process received."""

    delivered: dict[str, int] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    def read(self, output: bytes) -> Told:
        for line in output.decode().splitlines():
            match line.split():
                case ["delivered", name, charge]:
                    assert name not in self.delivered
                    self.delivered[name] = int(charge)
                case ["opened", name]:
                    self.opened.add(name)
                case ["short", name, reason]:
                    self.refused[name] = reason
        return self


class World:
    def __init__(self, url: str, home: Path, engine: AsyncEngine, bulk_engine: Engine) -> None:
        self.url = url
        self.home = home
        self.engine = engine
        self.bulk_engine = bulk_engine
        self.told = Told()

    async def start(self, role: str, **fields: Any) -> asyncio.subprocess.Process:
        task = Task(role=role, url=self.url, home=str(self.home), **fields)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.invariants.process",
            msgspec.json.encode(task).decode(),
            stdout=asyncio.subprocess.PIPE,
        )

    async def end(self, process: asyncio.subprocess.Process, *, killed: bool = False) -> None:
        """Wait for a process, take down what its clients received, and see that it ended as expected."""
        output, _ = await process.communicate()
        self.told.read(output)
        assert process.returncode == (-signal.SIGKILL if killed else 0)

    def writer(self) -> Writer:
        return Writer(self.engine, self.bulk_engine, self.home)

    async def write_all(self) -> None:
        """Be the writer until every journal is in the database and gone."""
        writer = self.writer()
        async with asyncio.timeout(30):
            while list_instances(self.home):
                if not await writer.step():
                    await asyncio.sleep(0.01)

    async def charges(self) -> dict[str, int]:
        """What the ledger charged, by request."""
        async with self.engine.connect() as connection:
            rows = await connection.execute(text("SELECT reference, -amount FROM ledger_entries WHERE kind = 'charge'"))
            return {reference.removeprefix("charge:"): int(amount) for reference, amount in rows}

    async def balance(self) -> wallet.Balance:
        async with self.engine.connect() as connection:
            found = await wallet.find_balance(connection, WALLET)
        assert found is not None
        return found

    async def check_books(self, *, granted: int) -> None:
        """Nothing is held, the sums agree, and every delivery was charged once and as the client was told."""
        assert [str(difference) for difference in await verify(self.engine)] == []
        balance = await self.balance()
        charges = await self.charges()
        assert balance.held == 0
        assert balance.balance == granted - sum(charges.values())
        for name, charge in self.told.delivered.items():
            assert charges.get(name, 0) == charge
        for name in self.told.refused:
            assert name not in charges


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    engine, bulk_engine = open_engine(database_url), open_sync_engine(database_url)
    yield World(database_url, tmp_path / "journal", engine, bulk_engine)
    await engine.dispose()
    bulk_engine.dispose()


async def grant(world: World, amount: int) -> None:
    """Give the wallet its first credits."""
    await ledger.grant(world.engine, WALLET, amount=Micro(amount), reference="grant:first")
