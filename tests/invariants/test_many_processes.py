"""credits.md, invariants 1, 2 and 6: several processes on one wallet, or one key, can't overspend together."""

from __future__ import annotations

import asyncio

from sqlalchemy import text

from hypereal.billing.wallet import period_of
from tests.invariants.conftest import World, grant
from tests.support.settlements import AT

ONE_DOLLAR = 100_000_000


async def _write_until(world: World, done: asyncio.Event) -> None:
    writer = world.writer()
    while not done.is_set():
        await writer.step()
        balance = await world.balance()
        assert 0 <= balance.held <= balance.balance
        await asyncio.sleep(0.01)


async def _serve(world: World, **fields: object) -> None:
    """Three server processes at once, the writer beside them."""
    done = asyncio.Event()
    writing = asyncio.create_task(_write_until(world, done))
    servers = [await world.start("server", name=f"p{number}", **fields) for number in range(3)]
    await asyncio.gather(*(world.end(server) for server in servers))
    done.set()
    await writing
    await world.write_all()


async def test_a_dollar_hammered_by_a_thousand_requests_in_three_processes_is_not_overspent(world: World) -> None:
    await grant(world, ONE_DOLLAR)
    await _serve(world, requests=334, concurrency=334)
    await world.check_books(granted=ONE_DOLLAR)
    spent = sum((await world.charges()).values())
    assert ONE_DOLLAR // 2 < spent <= ONE_DOLLAR
    assert world.told.refused
    assert set(world.told.refused.values()) == {"insufficient"}
    assert len(world.told.refused) + len(world.told.delivered) == 3 * 334


async def test_a_wallet_that_has_enough_refuses_nobody_in_any_process(world: World) -> None:
    await grant(world, 100 * ONE_DOLLAR)
    await _serve(world, requests=300, concurrency=50)
    await world.check_books(granted=100 * ONE_DOLLAR)
    assert not world.told.refused
    assert sum(world.told.delivered.values()) == 900 * 300_000


async def test_a_spending_limit_holds_over_three_processes(world: World) -> None:
    await grant(world, 100 * ONE_DOLLAR)
    limit = 30_000_000
    await _serve(world, requests=150, concurrency=50, limit=limit)
    await world.check_books(granted=100 * ONE_DOLLAR)
    spent = sum((await world.charges()).values())
    assert limit // 2 < spent <= limit
    assert set(world.told.refused.values()) == {"limit"}


async def test_costs_above_the_hold_stay_within_the_wallet(world: World) -> None:
    await grant(world, ONE_DOLLAR)
    await _serve(world, requests=200, concurrency=50, hold=100_000, cost=400_000)
    await world.check_books(granted=ONE_DOLLAR)
    assert sum((await world.charges()).values()) <= ONE_DOLLAR


async def test_the_month_of_a_charge_is_the_calendar_month_in_utc(world: World) -> None:
    await grant(world, ONE_DOLLAR)
    await _serve(world, requests=5, limit=ONE_DOLLAR)
    async with world.engine.connect() as connection:
        periods = set(await connection.scalars(text("SELECT period FROM key_spend")))
        months = set(await connection.scalars(text("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM')")))
    assert periods == months
    assert period_of(AT) == "2026-11"
