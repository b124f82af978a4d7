"""Wallets in the database: what is there, what is set aside, and the holds and leases that set it aside.

Every function works on a connection inside the caller's transaction. Whoever moves money locks the wallet's row first
(several wallets in the order of their ids) and touches its holds, leases and key spend only then, so the wallet's lock
is the only one that anybody ever waits for and two transactions cannot wait for each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import BigInteger, Text, delete, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from hypereal.billing.tables import HoldRow, KeySpend, LeaseRow, Wallet
from hypereal.kit.money import ZERO, Micro

CHANNEL = "hypereal"

ShortReason = Literal["insufficient", "limit", "minimum"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A wallet's money in micro-credits: settled, and set aside by holds and leases."""

    balance: Micro
    held: Micro

    @property
    def available(self) -> Micro:
        return Micro(self.balance - self.held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """A refusal: `required` micro-credits were asked for and `available` are there.

    `reason` says what is short: the wallet, the key's monthly limit, or the minimum balance.
    """

    required: Micro
    available: Micro
    reason: ShortReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much may still be set aside: by the wallet, and by the key's monthly limit (None without one)."""

    available: Micro
    headroom: Micro | None

    @property
    def free(self) -> Micro:
        """What both allow, never negative."""
        lowest = self.available if self.headroom is None else min(self.available, self.headroom)
        return Micro(max(lowest, 0))

    def short(self, required: Micro, *, minimum: Micro = ZERO, spare: int | None = None) -> Short | None:
        """The refusal that this room calls for, or None when something can be set aside.

        `spare` is what counts as not spoken for (default: what is available); it must reach `minimum`.
        """
        if required > 0 and self.headroom is not None and self.headroom <= 0:
            return Short(required=required, available=ZERO, reason="limit")
        if required > 0 and self.available <= 0:
            return Short(required=required, available=self.free, reason="insufficient")
        if (self.available if spare is None else spare) < minimum:
            return Short(required=minimum, available=self.available, reason="minimum")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose money a hold or a lease sets aside. `period` is the month that a key's limit counts in; it is None, and
    the key's spend untouched, for a key without a limit."""

    wallet_id: str
    key_id: str | None = None
    period: str | None = None
    spending_limit: int | None = None
    instance: str | None = None


def period_of(at: float) -> str:
    """The calendar month (UTC) that spending limits count in, as `2026-11`; `at` in seconds since the epoch."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m}"


async def notify(connection: AsyncConnection, kind: str, subject: str) -> None:
    """Tell every server process about `subject` once the transaction commits."""
    await connection.execute(select(func.pg_notify(CHANNEL, json.dumps({"kind": kind, "id": subject}))))


async def open_wallet(connection: AsyncConnection, wallet_id: str) -> None:
    """Make an account's empty wallet; one that exists stays as it is."""
    await connection.execute(insert(Wallet).values(id=wallet_id).on_conflict_do_nothing())


async def find_balance(connection: AsyncConnection, wallet_id: str) -> Balance | None:
    """A wallet's money, without a lock; None for an unknown wallet."""
    row = (await connection.execute(select(Wallet.balance, Wallet.held).where(Wallet.id == wallet_id))).first()
    return None if row is None else Balance(balance=Micro(row.balance), held=Micro(row.held))


async def list_available(connection: AsyncConnection, wallet_ids: Iterable[str]) -> dict[str, Micro]:
    """What is available in each of these wallets, without a lock."""
    statement = select(Wallet.id, Wallet.balance - Wallet.held).where(Wallet.id.in_(list(wallet_ids)))
    return {wallet_id: Micro(available) for wallet_id, available in await connection.execute(statement)}


async def lock_wallets(connection: AsyncConnection, wallet_ids: Iterable[str]) -> dict[str, Balance]:
    """Lock these wallets, in the order that prevents deadlocks, and read them."""
    wanted = select(Wallet.id, Wallet.balance, Wallet.held).where(Wallet.id.in_(list(wallet_ids)))
    rows = await connection.execute(wanted.order_by(Wallet.id).with_for_update())
    return {row.id: Balance(balance=Micro(row.balance), held=Micro(row.held)) for row in rows}


async def lock_room(connection: AsyncConnection, owner: Owner) -> Room:
    """Lock the owner's wallet and read how much may be set aside; nothing in a wallet that does not exist."""
    found = (await lock_wallets(connection, [owner.wallet_id])).get(owner.wallet_id)
    available = found.available if found else ZERO
    if owner.spending_limit is None or owner.period is None:
        return Room(available=available, headroom=None)
    taken = await connection.scalar(
        select(KeySpend.spent + KeySpend.reserved).where(
            KeySpend.key_id == owner.key_id, KeySpend.period == owner.period
        )
    )
    return Room(available=available, headroom=Micro(owner.spending_limit - (taken or 0)))


async def hold(
    connection: AsyncConnection, owner: Owner, *, reference: str, amount: Micro, ttl_s: float, room: Room | None = None
) -> Micro:
    """Set aside up to `amount` under `reference` and return how much it was: what is available caps it.

    A reference that already holds keeps what it has. `room` is what the caller read under the lock just now.
    """
    room = room or await lock_room(connection, owner)
    existing = await connection.scalar(select(HoldRow.amount).where(HoldRow.reference == reference))
    if existing is not None:
        return Micro(existing)
    taken = min(amount, room.free)
    await connection.execute(
        insert(HoldRow).values(
            reference=reference,
            wallet_id=owner.wallet_id,
            key_id=owner.key_id,
            period=owner.period,
            instance=owner.instance,
            amount=taken,
            expires_at=func.now() + timedelta(seconds=ttl_s),
        )
    )
    await _set_aside(connection, owner, taken)
    return Micro(taken)


async def extend_hold(connection: AsyncConnection, owner: Owner, *, reference: str, more: Micro) -> Micro:
    """Add up to `more` to a hold and return how much was added; nothing when the hold has ended."""
    room = await lock_room(connection, owner)
    taken = min(more, room.free)
    grown = update(HoldRow).where(HoldRow.reference == reference).values(amount=HoldRow.amount + taken)
    if (await connection.execute(grown)).rowcount == 0:
        return ZERO
    await _set_aside(connection, owner, taken)
    return Micro(taken)


async def shrink_hold(connection: AsyncConnection, owner: Owner, *, reference: str, to: Micro) -> Micro:
    """Give a hold back but for `to`, whole if that is nothing, and return how much that was; the caller has locked the
    wallet. A hold that has ended gives nothing."""
    held = await connection.scalar(select(HoldRow.amount).where(HoldRow.reference == reference))
    if held is None or held <= to:
        return ZERO
    of_it = HoldRow.reference == reference
    await connection.execute(update(HoldRow).where(of_it).values(amount=to) if to else delete(HoldRow).where(of_it))
    await _set_aside(connection, owner, to - held)
    return Micro(held - to)


async def release(connection: AsyncConnection, reference: str) -> Micro:
    """Give a hold back whole; a hold that has already ended gives nothing."""
    owner = select(HoldRow.wallet_id).where(HoldRow.reference == reference).scalar_subquery()
    await connection.execute(select(Wallet.id).where(Wallet.id == owner).with_for_update())
    ended = delete(HoldRow).where(HoldRow.reference == reference)
    columns = (HoldRow.wallet_id, HoldRow.amount, HoldRow.key_id, HoldRow.period)
    row = (await connection.execute(ended.returning(*columns))).first()
    if row is None:
        return ZERO
    await _set_aside(connection, Owner(wallet_id=row.wallet_id, key_id=row.key_id, period=row.period), -row.amount)
    return Micro(row.amount)


async def grow_lease(connection: AsyncConnection, owner: Owner, *, lease_id: str, amount: Micro, ttl_s: float) -> None:
    """Add `amount` to a lease, new or not. The caller has locked the wallet and knows that there is room."""
    expires_at = func.now() + timedelta(seconds=ttl_s)
    statement = insert(LeaseRow).values(
        id=lease_id,
        wallet_id=owner.wallet_id,
        key_id=owner.key_id if owner.period else None,
        period=owner.period,
        instance=owner.instance,
        amount=amount,
        expires_at=expires_at,
    )
    grown = {"amount": LeaseRow.amount + statement.excluded.amount, "expires_at": expires_at}
    await connection.execute(statement.on_conflict_do_update(index_elements=[LeaseRow.id], set_=grown))
    await _set_aside(connection, owner, amount)


async def shrink_leases(connection: AsyncConnection, amounts: Mapping[str, int]) -> set[str]:
    """Give these amounts of these leases back to their wallets; returns the leases that really had them.

    A lease that is missing (it expired while this process was cut off) gives nothing back.
    """
    wallets = await connection.scalars(select(LeaseRow.wallet_id).where(LeaseRow.id.in_(list(amounts))).distinct())
    await lock_wallets(connection, wallets.all())
    given = select(
        func.unnest(literal(list(amounts), ARRAY(Text))).label("id"),
        func.unnest(literal(list(amounts.values()), ARRAY(BigInteger))).label("amount"),
    ).subquery("given")
    statement = (
        update(LeaseRow)
        .where(LeaseRow.id == given.c.id, LeaseRow.amount >= given.c.amount)
        .values(amount=LeaseRow.amount - given.c.amount)
        .returning(LeaseRow.id, LeaseRow.wallet_id, LeaseRow.key_id, LeaseRow.period)
    )
    rows = (await connection.execute(statement)).all()
    await _give_back(connection, [(row.wallet_id, row.key_id, row.period, amounts[row.id]) for row in rows])
    return {row.id for row in rows}


async def release_expired(connection: AsyncConnection) -> int:
    """Release holds and leases past their expiry; returns how many.

    What they belong to is gone, host and all, for longer than anybody's absence is waited for. A charge that turns up
    later is taken from what is available.
    """
    return await _release_where(connection, "expires_at < now()", {})


async def release_instance(connection: AsyncConnection, instance: str) -> int:
    """Release all holds and leases of a server process that is gone and whose journal is applied; returns how many."""
    return await _release_where(connection, "instance = :instance", {"instance": instance})


async def renew(
    connection: AsyncConnection, lease_ids: Iterable[str], references: Iterable[str], *, ttl_s: float
) -> None:
    """Put off the expiry of these leases, and of the holds with these references."""
    expires_at = func.now() + timedelta(seconds=ttl_s)
    await connection.execute(update(LeaseRow).where(LeaseRow.id.in_(list(lease_ids))).values(expires_at=expires_at))
    await connection.execute(
        update(HoldRow).where(HoldRow.reference.in_(list(references))).values(expires_at=expires_at)
    )


async def is_held_elsewhere(connection: AsyncConnection, owner: Owner) -> bool:
    """Whether other server processes have leases on this wallet, some of which they may not need."""
    found = select(LeaseRow.id).where(
        LeaseRow.wallet_id == owner.wallet_id, LeaseRow.instance != owner.instance, LeaseRow.amount > 0
    )
    return await connection.scalar(found.limit(1)) is not None


async def add_spend(connection: AsyncConnection, key_id: str, period: str, amount: Micro) -> None:
    """Add a charge to what a key has spent in its month."""
    statement = insert(KeySpend).values(key_id=key_id, period=period, spent=amount)
    added = {"spent": KeySpend.spent + statement.excluded.spent}
    await connection.execute(
        statement.on_conflict_do_update(index_elements=[KeySpend.key_id, KeySpend.period], set_=added)
    )


async def _set_aside(connection: AsyncConnection, owner: Owner, amount: int) -> None:
    await connection.execute(update(Wallet).where(Wallet.id == owner.wallet_id).values(held=Wallet.held + amount))
    if owner.period is not None and owner.key_id is not None:
        await _reserve(connection, owner.key_id, owner.period, amount)


async def _reserve(connection: AsyncConnection, key_id: str, period: str, amount: int) -> None:
    changed = update(KeySpend).where(KeySpend.key_id == key_id, KeySpend.period == period)
    done = await connection.execute(changed.values(reserved=KeySpend.reserved + amount))
    if done.rowcount == 0:
        await connection.execute(insert(KeySpend).values(key_id=key_id, period=period, reserved=amount))


async def _give_back(connection: AsyncConnection, rows: Iterable[tuple[str, str | None, str | None, int]]) -> None:
    for wallet_id, key_id, period, amount in rows:
        await _set_aside(connection, Owner(wallet_id=wallet_id, key_id=key_id, period=period), -amount)


async def _release_where(connection: AsyncConnection, condition: str, arguments: Mapping[str, object]) -> int:
    """Delete the leases and holds that meet `condition` (trusted SQL) and give what they held back."""
    both = " UNION ".join(f"SELECT wallet_id FROM {table} WHERE {condition}" for table in ("leases", "holds"))  # noqa: S608
    wallets = (await connection.scalars(text(both), arguments)).all()
    if not wallets:
        return 0
    await lock_wallets(connection, wallets)
    released = 0
    for table in ("leases", "holds"):
        returning = "RETURNING wallet_id, key_id, period, amount"
        statement = text(f"DELETE FROM {table} WHERE ({condition}) AND wallet_id = ANY(:wallets) {returning}")  # noqa: S608
        rows = (await connection.execute(statement, {**arguments, "wallets": list(wallets)})).all()
        await _give_back(connection, [(row.wallet_id, row.key_id, row.period, row.amount) for row in rows])
        released += len(rows)
    return released
