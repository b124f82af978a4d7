"""The lease book: holds from memory, the minimum balance, spending limits; whatever happens, the database agrees."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.billing import ledger, wallet
from hypereal.billing.lease import Hold, HoldEnded, LeaseBook
from hypereal.billing.verify import verify
from hypereal.kit.money import ZERO, Micro
from tests.billing.conftest import Clock
from tests.billing.holding import WEALTH, held, refusal, take


async def test_the_first_hold_fetches_a_lease_and_the_next_ones_need_no_database(
    book: LeaseBook, engine: AsyncEngine
) -> None:
    assert book.try_hold("w", "k", None, "r1", Micro(100)) is None
    first = await take(book, 100)
    leased = await held(engine)
    assert leased == 1600
    second = book.try_hold("w", "k", None, "r2", Micro(100))
    assert second is not None
    assert (second.lease_id, second.wallet_id, second.period) == (first.lease_id, "w", None)
    assert book.settle(first, 40) == 40
    book.release(second)
    book.release(second)
    snapshot = book.snapshot()
    assert (snapshot.wallets, snapshot.leases, snapshot.allocated, snapshot.own_holds) == (1, 1, 0, 0)
    assert snapshot.free == leased - 40
    await book.close()
    assert await held(engine) == 40


async def test_a_hold_ends_once(book: LeaseBook) -> None:
    hold = await take(book, 100)
    book.settle(hold, 10)
    with pytest.raises(HoldEnded):
        book.settle(hold, 10)


async def test_a_cost_above_the_hold_takes_what_the_lease_can_spare(book: LeaseBook) -> None:
    hold = await take(book, 100)
    assert book.covers(hold, 1600)
    assert not book.covers(hold, 1601)
    assert book.settle(hold, 5000) == 1600
    assert book.snapshot().free == 0


async def test_a_hold_is_extended_from_the_lease_and_then_from_the_wallet(book: LeaseBook, engine: AsyncEngine) -> None:
    hold = await take(book, 100)
    assert await book.extend(hold, Micro(500)) == 500
    assert await held(engine) == 1600
    assert await book.extend(hold, Micro(9000)) == 9000
    assert hold.amount == 9600
    assert await held(engine) == 9600
    assert await book.extend(hold, Micro(10 * WEALTH)) == WEALTH - 9600
    assert book.settle(hold, 2 * WEALTH) == WEALTH
    assert await verify(engine) == []


async def test_a_lease_that_runs_low_is_refilled_ahead_of_need_and_grows_when_busy(
    book: LeaseBook, engine: AsyncEngine, clock: Clock
) -> None:
    await take(book, 100)
    while (hold := book.try_hold("w", "k", None, "r", Micro(100))) is not None:
        await asyncio.sleep(0)
        if book.snapshot().free + book.snapshot().allocated > 1600:
            break
        book.settle(hold, 100)
        if book.snapshot().free < 400:
            await asyncio.sleep(0.01)
    assert await held(engine) > 3000
    assert hold is not None


async def test_callers_that_arrive_together_share_one_refill(book: LeaseBook, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    holds = await asyncio.gather(*(book.hold("w", "k", None, f"r{n}", Micro(100)) for n in range(50)))
    assert all(isinstance(hold, Hold) and hold.lease_id for hold in holds)
    assert len({hold.lease_id for hold in holds if isinstance(hold, Hold)}) == 1


async def test_a_wallet_below_the_minimum_is_refused_until_it_is_topped_up(engine: AsyncEngine) -> None:
    await ledger.grant(engine, "w", amount=Micro(1000), reference="grant:1")
    book = LeaseBook(engine, "one", minimum=Micro(900))
    first = await take(book, 150)
    assert book.try_hold("w", "k", None, "r", Micro(1)) is None
    short = await refusal(book, 1)
    assert (short.reason, short.required) == ("minimum", 900)
    await ledger.grant(engine, "w", amount=Micro(500), reference="grant:2")
    await book.refresh(["w", "unknown"])
    await book.refresh(["unknown"])
    second = await take(book, 1)
    book.release(first)
    book.release(second)
    await book.close()
    assert await held(engine) == 0


async def test_a_look_that_a_refill_overtakes_does_not_count_its_credits_twice(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.grant(engine, "w", amount=Micro(1000), reference="grant:1")
    book = LeaseBook(engine, "one", minimum=Micro(920))
    holds = [await take(book, 1)]
    read = wallet.list_available

    async def read_and_be_overtaken(*arguments: Any) -> Mapping[str, int]:
        found = await read(*arguments)
        holds.append(await take(book, 60))
        return found

    monkeypatch.setattr(wallet, "list_available", read_and_be_overtaken)
    await book.refresh(["w"])
    spare = [book.try_hold("w", "k", None, "next", Micro(10)) for _ in range(3)]
    assert [hold is not None for hold in spare] == [True, True, False]
    for hold in holds + [hold for hold in spare if hold is not None]:
        book.release(hold)
    await book.close()


async def test_a_crowd_at_an_empty_wallet_does_not_become_a_crowd_at_the_database(
    book: LeaseBook, engine: AsyncEngine
) -> None:
    await take(book, 2 * WEALTH, name="all there is")
    statements: list[object] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *_: statements.append(None))
    first = await refusal(book, 10)
    asked = len(statements)
    for more in range(30):
        short = await refusal(book, 10 + more)
        assert (short.reason, short.required) == (first.reason, 10 + more)
    assert len(statements) < 5 * asked
    await ledger.grant(engine, "w", amount=Micro(WEALTH), reference="grant:2")
    await book.refresh(["w"])
    await take(book, 10)


async def test_a_spending_limit_counts_every_lease_of_its_month(book: LeaseBook, engine: AsyncEngine) -> None:
    first = await take(book, 100, limit=500)
    assert first.period == "2026-11"
    assert book.try_hold("w", "k", 400, "r", Micro(10)) is None
    second = await take(book, 390, limit=500, name="second")
    assert second.lease_id is None
    third = await take(book, 390, limit=500, name="third")
    assert third.amount == 10
    assert (await refusal(book, 1, limit=500)).reason == "limit"
    for hold in (first, second, third):
        book.release(hold)
    await book.close()
    assert await held(engine) == 0
    assert await verify(engine) == []


async def test_a_lowered_limit_replaces_the_lease(book: LeaseBook, engine: AsyncEngine) -> None:
    first = await take(book, 10, limit=100_000)
    second = await take(book, 10, limit=1000)
    assert first.lease_id != second.lease_id
    assert book.settle(first, 10) == 10
    assert book.snapshot().leases == 2
    await book.tick()
    assert book.snapshot().leases == 1
    assert await verify(engine) == []


async def test_a_new_month_gets_a_lease_of_its_own(book: LeaseBook, clock: Clock) -> None:
    first = await take(book, 10, limit=100_000)
    book.release(first)
    clock.now += 20 * 86_400
    book._renewed_at = clock.now
    await book.tick()
    second = await take(book, 10, limit=100_000)
    assert (first.period, second.period) == ("2026-11", "2026-12")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "limited", "settle", "release", "extend", "recall", "tick", "month"]),
        st.integers(min_value=0, max_value=40_000),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, grant=st.integers(min_value=0, max_value=100_000))
async def test_whatever_happens_the_book_and_the_database_agree(
    engine: AsyncEngine, clock: Clock, steps: list[tuple[str, int]], grant: int
) -> None:
    """Model: the database holds exactly what is free, allocated, and charged but not yet applied by the writer."""
    name = f"w{len(steps)}_{grant}_{id(steps)}_{clock.now}"
    await ledger.grant(engine, name, amount=Micro(grant), reference=f"grant:{name}")
    book = LeaseBook(engine, "one", minimum=ZERO, clock=clock)
    open_holds: list[Hold] = []
    unapplied = 0

    def pick(number: int) -> Hold:
        return open_holds.pop(number % len(open_holds))

    for number, (step, amount) in enumerate(steps):
        if step in {"hold", "limited"}:
            limit = None if step == "hold" else 50_000
            found = await book.hold(name, f"{name}_key", limit, f"{name}_{number}", Micro(amount))
            if isinstance(found, Hold):
                assert found.amount <= amount
                open_holds.append(found)
        elif step == "recall":
            await book.recall(name)
        elif step == "tick":
            await book.tick()
        elif step == "month":
            clock.now += 31 * 86_400
            book._renewed_at = clock.now
            await book.tick()
        elif open_holds and step == "settle":
            unapplied += book.settle(pick(number), amount)
        elif open_holds and step == "release":
            book.release(pick(number))
        elif open_holds:
            await book.extend(open_holds[number % len(open_holds)], Micro(amount))
        await book._errands.finish()
        set_aside = sum(hold.amount for hold in open_holds)
        assert await held(engine, name) == book.snapshot().free + set_aside + unapplied <= grant
    for hold in open_holds:
        book.release(hold)
    await book.close()
