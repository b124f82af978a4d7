"""What goes back from leases to their wallets, and what becomes of a transfer whose outcome nobody learned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.billing import ledger, wallet
from hypereal.billing.lease import Hold, LeaseBook, WalletUnavailable
from hypereal.kit.money import ZERO, Micro
from tests.billing.conftest import Clock
from tests.billing.holding import WEALTH, held, take


async def test_idle_leases_are_given_back_and_large_ones_shrink(book: LeaseBook, engine: AsyncEngine) -> None:
    hold = await take(book, 1000)
    book.release(hold)
    for _ in range(10):
        await book.tick()
    assert await held(engine) == 2000
    book.release(await take(book, 1000))
    for _ in range(20):
        await book.tick()
    assert await held(engine) == 0
    assert book.snapshot().wallets == 0


async def test_a_recall_gives_back_all_that_is_free(book: LeaseBook, engine: AsyncEngine) -> None:
    await book.recall("unknown")
    hold = await take(book, 100)
    await book.recall("w")
    assert await held(engine) == 100
    assert book.settle(hold, 100) == 100


async def test_before_a_refusal_other_processes_are_asked_to_give_back(
    book: LeaseBook, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()
    notify = wallet.notify

    async def overheard(*arguments: Any) -> None:
        await notify(*arguments)
        asked.set()

    monkeypatch.setattr(wallet, "notify", overheard)
    other = LeaseBook(engine, "two", minimum=ZERO)
    lent = await other.hold("w", "k", None, "other", Micro(15_000))
    assert isinstance(lent, Hold)
    assert await held(engine) == 240_000
    waiting = asyncio.create_task(take(book, 900_000))
    await asked.wait()
    await other.recall("w")
    hold = await waiting
    assert hold.amount == 900_000
    other.release(lent)
    await other.close()


async def test_leases_are_renewed_while_the_process_lives(book: LeaseBook, engine: AsyncEngine, clock: Clock) -> None:
    await take(book, 100)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE leases SET expires_at = now() - interval '1 hour'"))
    clock.now += 30
    await book.tick()
    async with engine.begin() as connection:
        assert await wallet.release_expired(connection) == 0


async def test_a_process_that_was_cut_off_too_long_counts_on_none_of_its_leases(
    book: LeaseBook, engine: AsyncEngine, clock: Clock
) -> None:
    hold = await take(book, 100)
    clock.now += 95
    await book.tick()
    assert book.try_hold("w", "k", None, "r", Micro(1)) is None
    assert book.settle(hold, 100) == 100
    fresh = await take(book, 100)
    assert fresh.lease_id != hold.lease_id


async def test_a_lease_that_expired_in_the_database_is_given_up(book: LeaseBook, engine: AsyncEngine) -> None:
    hold = await take(book, 100)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE leases SET expires_at = now() - interval '1 hour'"))
        assert await wallet.release_expired(connection) == 1
    await book.recall("w")
    assert book.snapshot().free == 0
    fresh = await take(book, 100)
    assert fresh.lease_id != hold.lease_id


@dataclass
class Outage:
    """Makes transactions fail at their end: the commit's outcome is unknown to the book, and was done or not."""

    names: set[str] = field(default_factory=set)

    def __call__(self, name: str) -> None:
        if name in self.names:
            raise OperationalError("COMMIT", {}, Exception("the connection is lost"))


@pytest.fixture
async def shaky(engine: AsyncEngine) -> AsyncIterator[tuple[LeaseBook, Outage]]:
    await ledger.grant(engine, "w", amount=Micro(WEALTH), reference="grant:1")
    outage = Outage()
    book = LeaseBook(engine, "one", minimum=ZERO, point=outage)
    yield book, outage
    outage.names.clear()
    await book.close()


async def test_an_unknown_outcome_is_counted_as_the_worse_one(
    shaky: tuple[LeaseBook, Outage], engine: AsyncEngine
) -> None:
    book, outage = shaky
    outage.names.add("lease.before_commit")
    with pytest.raises(WalletUnavailable):
        await book.hold("w", "k", None, "r", Micro(100))
    outage.names.clear()
    first = await take(book, 100)
    outage.names.add("lease.before_commit")
    with pytest.raises(WalletUnavailable):
        await book.extend(first, Micro(100_000))
    outage.names.clear()
    await book._refilled(book._by_wallet["w"], 1)
    second = await book.hold("w", "other", None, "r2", Micro(100_000))
    assert isinstance(second, Hold)
    assert second.lease_id != first.lease_id
    assert book.snapshot().allocated <= await held(engine)


async def test_what_was_being_given_back_is_not_counted_on_when_the_database_is_away(
    engine: AsyncEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.grant(engine, "w", amount=Micro(WEALTH), reference="grant:1")
    book = LeaseBook(engine, "one", minimum=ZERO, clock=clock)
    await take(book, 100)

    async def lose(*_: object) -> set[str]:
        raise OperationalError("UPDATE", {}, Exception("the connection is lost"))

    monkeypatch.setattr(wallet, "shrink_leases", lose)
    with pytest.raises(WalletUnavailable):
        await book.recall("w")
    assert book.snapshot().free == 0
    monkeypatch.undo()
    await take(book, 100)
    await book.close()


async def test_upkeep_runs_until_it_is_cancelled_and_waits_for_the_database(
    book: LeaseBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = 0

    async def fail() -> None:
        nonlocal rounds
        rounds += 1
        raise WalletUnavailable("away")

    monkeypatch.setattr("hypereal.billing.lease.TICK_S", 0.001)
    monkeypatch.setattr(book, "tick", fail)
    upkeep = asyncio.create_task(book.run())
    while rounds < 3:
        await asyncio.sleep(0.001)
    upkeep.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upkeep
