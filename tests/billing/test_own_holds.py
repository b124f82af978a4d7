"""Holds that are rows of their own: for what a lease can't serve, and in poor wallets."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.billing import ledger
from hypereal.billing.lease import LeaseBook, Short
from hypereal.kit.money import Micro
from tests.billing.holding import WEALTH, held, refusal, take


async def test_a_large_request_holds_for_itself_and_is_capped_by_what_is_available(
    book: LeaseBook, engine: AsyncEngine
) -> None:
    large = await take(book, 600_000, name="large")
    assert (large.lease_id, large.amount) == (None, 600_000)
    rest = await take(book, 600_000, name="rest")
    assert (rest.lease_id, rest.amount) == (None, 400_000)
    assert not book.covers(rest, 400_001)
    assert await book.extend(rest, Micro(5)) == 0
    short = await refusal(book, 10)
    assert (short.reason, short.required, short.available) == ("insufficient", 10, 0)
    assert book.snapshot().own_holds == 2
    assert book.settle(large, 700_000) == 600_000
    book.release(rest)
    await book.close()
    assert await held(engine) == 600_000


async def test_an_own_hold_can_be_extended(book: LeaseBook) -> None:
    large = await take(book, 600_000)
    assert await book.extend(large, Micro(100_000)) == 100_000
    assert book.settle(large, 650_000) == 650_000


async def test_what_an_own_hold_did_not_need_is_there_for_the_next_request_at_once(
    book: LeaseBook, engine: AsyncEngine
) -> None:
    for limit in (None, WEALTH):
        first = await take(book, 2 * WEALTH, limit=limit, name=f"first {limit}")
        assert first.amount == WEALTH
        assert book.settle(first, 100) == 100
        second = await take(book, 2 * WEALTH, limit=limit, name=f"second {limit}")
        assert second.amount == WEALTH - 100
        book.release(second)
        await ledger.grant(engine, "w", amount=Micro(100), reference=f"grant:{limit}")


async def test_an_extended_own_hold_leaves_that_much_less_to_spare(engine: AsyncEngine) -> None:
    await ledger.grant(engine, "w", amount=Micro(10_000), reference="grant:1")
    book = LeaseBook(engine, "one", minimum=Micro(3_000))
    large = await take(book, 6_000)
    small = await take(book, 10)
    assert await book.extend(large, Micro(1_000)) == 1_000
    assert book.try_hold("w", "k", None, "next", Micro(10)) is None
    book.release(large)
    book.release(small)
    await book.close()


@pytest.mark.parametrize("amount", [100, WEALTH], ids=["from a lease", "a row of its own"])
async def test_a_charge_that_could_not_be_written_down_is_taken_back(
    book: LeaseBook, engine: AsyncEngine, amount: int
) -> None:
    hold = await take(book, amount)
    book.take_back(hold, book.settle(hold, 60))
    await book.close()
    assert await held(engine) == 0


async def test_credits_on_their_way_back_do_not_make_a_wallet_look_poor(engine: AsyncEngine) -> None:
    await ledger.grant(engine, "w", amount=Micro(10_000), reference="grant:1")
    book = LeaseBook(engine, "one", minimum=Micro(9_000))
    await take(book, 10, limit=5_000)
    outcomes = await asyncio.gather(
        *(
            hold
            for number in range(10)
            for hold in (
                book.recall("w"),
                book.hold("w", f"k{number}", 5_000, f"r{number}", Micro(10)),
            )
        )
    )
    assert [outcome for outcome in outcomes if isinstance(outcome, Short)] == []
    await book.close()


async def test_a_caller_that_leaves_while_its_hold_is_made_leaves_nothing_behind(
    book: LeaseBook, engine: AsyncEngine
) -> None:
    caller = asyncio.create_task(book.hold("w", "k", None, "gone", Micro(900_000)))
    while not any("OwnHolds._make" in repr(task) for task in asyncio.all_tasks()):
        await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await book.close()
    assert await held(engine) == 0
