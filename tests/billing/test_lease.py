"""The lease book: holds from memory, the slow way, and what it gives back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.billing import ledger, wallet
from hypereal.billing.lease import Hold, HoldEnded, LeaseBook, Short, WalletUnavailable
from hypereal.billing.verify import verify
from hypereal.kit.money import ZERO, Micro
from tests.billing.conftest import Clock

WEALTH = 1_000_000


@pytest.fixture
async def book(engine: AsyncEngine, clock: Clock) -> AsyncIterator[LeaseBook]:
    await ledger.grant(engine, "w", amount=Micro(WEALTH), reference="grant:1")
    book = LeaseBook(engine, "one", minimum=ZERO, clock=clock, ttl_s=100.0)
    yield book
    await book.close()


async def held(engine: AsyncEngine, wallet_id: str = "w") -> int:
    async with engine.connect() as connection:
        found = await wallet.find_balance(connection, wallet_id)
    assert found is not None
    return found.held


async def take(book: LeaseBook, amount: int, *, limit: int | None = None, name: str = "r", wallet: str = "w") -> Hold:
    hold = book.try_hold(wallet, "k", limit, name, Micro(amount)) or await book.hold(
        wallet, "k", limit, name, Micro(amount)
    )
    assert isinstance(hold, Hold)
    return hold


async def refusal(book: LeaseBook, amount: int, *, limit: int | None = None) -> Short:
    short = await book.hold("w", "k", limit, "refused", Micro(amount))
    assert isinstance(short, Short)
    return short


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


async def test_a_caller_that_leaves_while_its_hold_is_made_leaves_nothing_behind(
    book: LeaseBook, engine: AsyncEngine
) -> None:
    caller = asyncio.create_task(book.hold("w", "k", None, "gone", Micro(900_000)))
    while not any("_hold_alone" in repr(task) for task in asyncio.all_tasks()):
        await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await book.close()
    assert await held(engine) == 0


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
        await asyncio.gather(*book._tasks)
        set_aside = sum(hold.amount for hold in open_holds)
        assert await held(engine, name) == book.snapshot().free + set_aside + unapplied <= grant
    for hold in open_holds:
        book.release(hold)
    await book.close()
