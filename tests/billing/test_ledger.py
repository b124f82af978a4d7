"""Ledger, wallets and verification on a real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.billing import ledger, wallet
from hypereal.billing.ledger import Entry, EntryKind
from hypereal.billing.verify import verify
from hypereal.billing.wallet import Owner, Room
from hypereal.kit.money import ZERO, Micro
from tests.support.settlements import AT

COLUMNS_OF_NO_MATTER = "'/v1', 'm', NULL, NULL, 1, 200, false, 0, 0, 0, 0, 0, 3, 'provider', 1, NULL, NULL, 0, 0"
OWNER = Owner(wallet_id="w", key_id="k", instance="i")
LIMITED = Owner(wallet_id="w", key_id="k", period="2026-11", spending_limit=500, instance="i")


async def balance(engine: AsyncEngine) -> tuple[int, int, int]:
    async with engine.connect() as connection:
        found = await wallet.find_balance(connection, "w")
    assert found is not None
    return found.balance, found.held, found.available


async def grant(engine: AsyncEngine, amount: int = 1000) -> bool:
    return await ledger.grant(engine, "w", amount=Micro(amount), reference="grant:1")


async def test_a_grant_counts_once_however_often_it_is_made(engine: AsyncEngine) -> None:
    assert await grant(engine)
    assert not await grant(engine)
    assert await balance(engine) == (1000, 0, 1000)
    assert await verify(engine) == []


async def test_an_unknown_wallet_has_no_balance_and_takes_no_entry(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert await wallet.find_balance(connection, "nobody") is None
        with pytest.raises(LookupError):
            await ledger.append(connection, [Entry(wallet_id="nobody", kind=EntryKind.REFUND, amount=1, reference="r")])


async def test_an_entry_can_not_take_what_is_not_there(engine: AsyncEngine) -> None:
    await grant(engine)
    entry = Entry(wallet_id="w", kind=EntryKind.ADJUSTMENT, amount=-1001, reference="a", detail={"why": "test"})
    async with engine.connect() as connection:
        with pytest.raises(IntegrityError):
            await ledger.append(connection, [entry])
    assert await balance(engine) == (1000, 0, 1000)


@pytest.mark.parametrize("statement", ["UPDATE ledger_entries SET amount = 1", "DELETE FROM ledger_entries"])
async def test_an_entry_is_never_changed(engine: AsyncEngine, statement: str) -> None:
    await grant(engine)
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError):
            await connection.execute(text(statement))


async def test_a_hold_is_capped_by_what_is_available_and_kept_by_its_reference(engine: AsyncEngine) -> None:
    await grant(engine)
    async with engine.begin() as connection:
        assert await wallet.hold(connection, OWNER, reference="job", amount=Micro(700), ttl_s=60) == 700
        assert await wallet.hold(connection, OWNER, reference="job", amount=Micro(900), ttl_s=60) == 700
        assert await wallet.hold(connection, OWNER, reference="two", amount=Micro(900), ttl_s=60) == 300
    assert await balance(engine) == (1000, 1000, 0)
    async with engine.begin() as connection:
        assert await wallet.release(connection, "two") == 300
        assert await wallet.release(connection, "two") == 0
        assert await wallet.shrink_hold(connection, OWNER, reference="two", to=ZERO) == 0
        assert await wallet.extend_hold(connection, OWNER, reference="job", more=Micro(500)) == 300
        assert await wallet.extend_hold(connection, OWNER, reference="gone", more=Micro(500)) == 0
    assert await verify(engine) == []


async def test_a_hold_is_settled_once_for_at_most_what_it_holds(engine: AsyncEngine) -> None:
    await grant(engine)
    async with engine.begin() as connection:
        await wallet.hold(connection, LIMITED, reference="job", amount=Micro(700), ttl_s=60)
        assert await ledger.settle(connection, LIMITED, reference="job", charge=Micro(9999), at=AT) == 500
        assert await ledger.settle(connection, LIMITED, reference="job", charge=Micro(9999), at=AT) == 0
        await wallet.hold(connection, OWNER, reference="job", amount=Micro(100), ttl_s=60)
        assert await ledger.settle(connection, OWNER, reference="job", charge=Micro(100), at=AT) == 0
        anonymous = Owner(wallet_id="w")
        await wallet.hold(connection, anonymous, reference="free", amount=Micro(100), ttl_s=60)
        assert await ledger.settle(connection, anonymous, reference="free", charge=Micro(10), at=AT) == 10
    assert await balance(engine) == (490, 0, 490)
    assert await verify(engine) == []


async def test_a_limit_counts_what_was_spent_and_what_is_reserved(engine: AsyncEngine) -> None:
    await grant(engine)
    async with engine.begin() as connection:
        await wallet.hold(connection, LIMITED, reference="job", amount=Micro(200), ttl_s=60)
        room = await wallet.lock_room(connection, LIMITED)
    assert room == Room(available=Micro(800), headroom=Micro(300))
    assert room.free == 300


def test_a_refusal_says_what_is_short() -> None:
    def reason(room: Room, **more: int) -> str | None:
        short = room.short(Micro(10), **more)  # type: ignore[arg-type]
        return None if short is None else short.reason

    assert reason(Room(available=Micro(5), headroom=None)) is None
    assert reason(Room(available=ZERO, headroom=None)) == "insufficient"
    assert reason(Room(available=Micro(5), headroom=ZERO)) == "limit"
    assert reason(Room(available=Micro(5), headroom=Micro(5)), minimum=6) == "minimum"
    assert reason(Room(available=Micro(5), headroom=Micro(5)), minimum=6, spare=6) is None
    assert Room(available=ZERO, headroom=ZERO).short(ZERO) is None


async def test_expired_holds_and_leases_go_back_to_their_wallets(engine: AsyncEngine) -> None:
    await grant(engine)
    async with engine.begin() as connection:
        await wallet.hold(connection, LIMITED, reference="old", amount=Micro(100), ttl_s=-1)
        await wallet.hold(connection, OWNER, reference="new", amount=Micro(100), ttl_s=60)
        await wallet.grow_lease(connection, LIMITED, lease_id="l", amount=Micro(50), ttl_s=-1)
        await wallet.grow_lease(connection, LIMITED, lease_id="l", amount=Micro(50), ttl_s=-1)
    async with engine.begin() as connection:
        assert await wallet.release_expired(connection) == 2
        assert await wallet.release_expired(connection) == 0
    assert await balance(engine) == (1000, 100, 900)
    async with engine.begin() as connection:
        await wallet.renew(connection, [], ["new"], ttl_s=-1)
        assert await wallet.release_instance(connection, "other") == 0
        assert await wallet.release_instance(connection, "i") == 1
    assert await verify(engine) == []


async def test_entries_are_listed_newest_first_in_pages(engine: AsyncEngine) -> None:
    await grant(engine)
    start = datetime(2026, 11, 1, tzinfo=UTC)
    entries = [
        Entry(
            wallet_id="w",
            kind=EntryKind.TOPUP if number % 2 else EntryKind.REFUND,
            amount=number,
            reference=f"r{number}",
            created_at=start + timedelta(days=number),
        )
        for number in range(1, 6)
    ]
    async with engine.begin() as connection:
        assert len(await ledger.append(connection, entries)) == 5
        assert await ledger.append(connection, entries) == []
        first = await ledger.list_entries(connection, "w", limit=4)
        rest = await ledger.list_entries(connection, "w", limit=4, cursor=first.next_cursor)
        topups = await ledger.list_entries(connection, "w", kind=EntryKind.TOPUP)
        days = await ledger.list_entries(
            connection, "w", since=start + timedelta(days=2), until=start + timedelta(days=4)
        )
    assert [entry.reference for entry in first.entries + rest.entries] == ["r5", "r4", "r3", "r2", "r1", "grant:1"]
    assert rest.next_cursor is None
    assert [entry.amount for entry in topups.entries] == [5, 3, 1]
    assert [entry.reference for entry in days.entries] == ["r3", "r2"]


async def test_every_kind_of_difference_is_found(engine: AsyncEngine) -> None:
    await grant(engine)
    async with engine.begin() as connection:
        for statement in (
            "UPDATE wallets SET balance = 900, held = 10",
            "INSERT INTO key_spend (key_id, period, spent, reserved) VALUES ('k', '2026-11', 5, 7)",
            f"INSERT INTO usage_records VALUES ('req_1', now(), 'w', 'k', {COLUMNS_OF_NO_MATTER})",
        ):
            await connection.execute(text(statement))
    differences = await verify(engine)
    assert [str(difference) for difference in differences] == [
        "balance is the sum of the ledger's entries: w: expected 1000, found 900",
        "held is the sum of open holds and leases: w: expected 0, found 10",
        "a key's spend is the sum of its charges of the month: k 2026-11: expected 0, found 5",
        "what a key has reserved is the sum of its open holds and leases: k 2026-11: expected 0, found 7",
        "the request log and the ledger charge the same: charge:req_1: expected 3, found 0",
    ]
