"""The ledger: append-only entries, each with a unique reference, and the balance that is their sum.

Nothing else changes a wallet's balance (the writer's bulk path in `gateway.writer` follows the same rule: an entry and
its movement of the balance in one transaction). A trigger of the database refuses to change or delete an entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hypereal.billing import wallet
from hypereal.billing.tables import LedgerEntry, Wallet
from hypereal.kit.money import ZERO, Micro


class EntryKind(StrEnum):
    """Why money moved."""

    TOPUP = "topup"
    GRANT = "grant"
    CHARGE = "charge"
    REFUND = "refund"
    ADJUSTMENT = "adjustment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One movement. `amount` is signed micro-credits: a charge is negative. `id` is set on entries that were read."""

    wallet_id: str
    kind: EntryKind
    amount: int
    reference: str
    key_id: str | None = None
    detail: dict[str, Any] | None = None
    created_at: datetime | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Entries, newest first, and the cursor of the next page (None on the last)."""

    entries: list[Entry]
    next_cursor: str | None


def charge_reference(request_id: str) -> str:
    """The reference under which a request or job is charged, whoever charges it and however often."""
    return f"charge:{request_id}"


def charge_entry(
    wallet_id: str, request_id: str, amount: Micro, *, at: float, key_id: str | None, period: str
) -> Entry:
    """The entry of a charge. A month other than that of `at` (seconds since the epoch) is written down with it."""
    when = datetime.fromtimestamp(at, UTC)
    return Entry(
        wallet_id=wallet_id,
        kind=EntryKind.CHARGE,
        amount=-amount,
        reference=charge_reference(request_id),
        key_id=key_id,
        detail=None if period == f"{when:%Y-%m}" else {"period": period},
        created_at=when,
    )


async def append(connection: AsyncConnection, entries: Sequence[Entry]) -> list[Entry]:
    """Write entries and move the balances; returns those that are new.

    An entry whose reference exists is left out and moves nothing. Raises IntegrityError when a wallet would fall below
    what is held in it, or does not exist.
    """
    await wallet.lock_wallets(connection, {entry.wallet_id for entry in entries})
    new = [entry for entry in entries if await _insert(connection, entry)]
    moved: Counter[str] = Counter()
    for entry in new:
        moved[entry.wallet_id] += entry.amount
    for wallet_id, amount in sorted(moved.items()):
        changed = update(Wallet).where(Wallet.id == wallet_id).values(balance=Wallet.balance + amount)
        if (await connection.execute(changed)).rowcount == 0:
            raise LookupError(f"there is no wallet {wallet_id!r}")
    return new


async def settle(
    connection: AsyncConnection, owner: wallet.Owner, *, reference: str, charge: Micro, at: float
) -> Micro:
    """End a hold with a charge, at most what it holds, and give the rest back; returns what was charged.

    The charge's reference is `charge:<reference>`: settling again, or a hold that was released, charges nothing.
    """
    held = await wallet.release(connection, reference)
    taken = Micro(min(charge, held))
    if taken <= 0:
        return ZERO
    month = owner.period or wallet.period_of(at)
    entry = charge_entry(owner.wallet_id, reference, taken, at=at, key_id=owner.key_id, period=month)
    if not await append(connection, [entry]):
        return ZERO
    if owner.key_id is not None:
        await wallet.add_spend(connection, owner.key_id, month, taken)
    return taken


async def grant(
    engine: AsyncEngine,
    wallet_id: str,
    *,
    amount: Micro,
    reference: str,
    kind: EntryKind = EntryKind.GRANT,
    detail: dict[str, Any] | None = None,
) -> bool:
    """Credit a wallet (made when missing) and tell the server processes; False when the reference was there already."""
    entry = Entry(wallet_id=wallet_id, kind=kind, amount=amount, reference=reference, detail=detail)
    async with engine.begin() as connection:
        await wallet.open_wallet(connection, wallet_id)
        new = await append(connection, [entry])
        if new:
            await wallet.notify(connection, "wallet", wallet_id)
    return bool(new)


async def list_entries(
    connection: AsyncConnection,
    wallet_id: str,
    *,
    limit: int = 100,
    cursor: str | None = None,
    kind: EntryKind | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page:
    """A page of a wallet's entries, newest first; `since` is inclusive, `until` is not.

    Raises ValueError for a cursor that no page gave.
    """
    wanted = select(LedgerEntry.__table__).where(LedgerEntry.wallet_id == wallet_id)
    if cursor is not None:
        wanted = wanted.where(LedgerEntry.id < int(cursor))
    if kind is not None:
        wanted = wanted.where(LedgerEntry.kind == kind)
    if since is not None:
        wanted = wanted.where(LedgerEntry.created_at >= since)
    if until is not None:
        wanted = wanted.where(LedgerEntry.created_at < until)
    rows = (await connection.execute(wanted.order_by(LedgerEntry.id.desc()).limit(limit + 1))).mappings().all()
    entries = [Entry(**{**row, "kind": EntryKind(row["kind"])}) for row in rows[:limit]]
    return Page(entries=entries, next_cursor=str(entries[-1].id) if len(rows) > limit else None)


async def _insert(connection: AsyncConnection, entry: Entry) -> bool:
    values: dict[str, Any] = {
        "wallet_id": entry.wallet_id,
        "kind": entry.kind.value,
        "amount": entry.amount,
        "reference": entry.reference,
        "key_id": entry.key_id,
    }
    if entry.detail is not None:
        values["detail"] = entry.detail
    if entry.created_at is not None:
        values["created_at"] = entry.created_at
    statement = insert(LedgerEntry).values(values).on_conflict_do_nothing(index_elements=[LedgerEntry.reference])
    return (await connection.scalar(statement.returning(LedgerEntry.id))) is not None
