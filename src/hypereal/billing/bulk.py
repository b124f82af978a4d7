"""Charges in bulk: the writer's way into the ledger, for batches of settlements and one transaction each.

Works on a psycopg cursor, because COPY is several times quicker than anything that goes through statements. Follows
the rule of `wallet`: the wallets' rows are locked first, in the order of their ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import psycopg
from psycopg.types.json import Jsonb

from hypereal.billing.ledger import EntryKind, charge_reference
from hypereal.db.copying import Copying

CHARGE = EntryKind.CHARGE.value

_LEDGER = Copying("ledger_entries", ("wallet_id", "kind", "amount", "reference", "key_id", "detail", "created_at"))
_LOCK_WALLETS = "SELECT id, balance - held FROM wallets WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
_READ_LEASES = "SELECT id, wallet_id, key_id, period, amount FROM leases WHERE id = ANY(%s)"
_READ_HOLDS = "SELECT reference, wallet_id, key_id, period, amount FROM holds WHERE reference = ANY(%s)"
_MOVE_WALLETS = """
    UPDATE wallets SET balance = balance - moved.charged, held = held - moved.freed
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) AS moved (id, charged, freed) WHERE wallets.id = moved.id"""
_MOVE_LEASES = """
    UPDATE leases SET amount = amount - moved.charged
    FROM unnest(%s::text[], %s::bigint[]) AS moved (id, charged) WHERE leases.id = moved.id"""
_END_HOLDS = "DELETE FROM holds WHERE reference = ANY(%s)"
_ADD_SPEND = """
    INSERT INTO key_spend AS kept (key_id, period, spent)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[])
    ON CONFLICT (key_id, period) DO UPDATE SET spent = kept.spent + excluded.spent"""
_FREE_RESERVED = """
    UPDATE key_spend SET reserved = reserved - freed.amount
    FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS freed (key_id, period, amount)
    WHERE key_spend.key_id = freed.key_id AND key_spend.period = freed.period"""


class Settled(Protocol):
    """What is read of a settlement (`gateway.records.Settlement`, which says what the fields mean)."""

    @property
    def request_id(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def wallet_id(self) -> str: ...
    @property
    def key_id(self) -> str | None: ...
    @property
    def lease_id(self) -> str | None: ...
    @property
    def period(self) -> str | None: ...
    @property
    def credits(self) -> int: ...


@dataclass(slots=True)
class _Cover:
    """A lease or hold as the transaction finds it: what is left of it, and what was charged against it."""

    wallet_id: str
    key_id: str | None
    period: str | None
    left: int
    charged: int = 0


@dataclass(slots=True)
class _Moves:
    """What a batch does to the tables, added up per row."""

    available: dict[str, int]
    leases: dict[str, _Cover]
    holds: dict[str, _Cover]
    entries: list[tuple[Any, ...]] = field(default_factory=list)
    charged: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    freed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    spent: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    reserved: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    ended: list[str] = field(default_factory=list)


def charge_all(cursor: psycopg.Cursor[Any], records: Sequence[Settled]) -> dict[str, int]:
    """Write the charges of a batch, move balances, leases, holds and key spend, and end holds that were rows.

    Returns the requests that were charged less than they say, with what they were charged: those whose lease or hold
    is gone (it had expired) and whose wallet has no more. Raises `psycopg.errors.UniqueViolation` when a request was
    charged before, `LookupError` for a wallet that does not exist; the transaction is then to be rolled back.
    """
    relevant = [record for record in records if record.credits or record.lease_id is None]
    if not relevant:
        return {}
    moves = _read(cursor, relevant)
    short: dict[str, int] = {}
    for record in relevant:
        charge = _plan(moves, record)
        if charge != record.credits:
            short[record.request_id] = charge
    _write(cursor, moves)
    return short


def find_charged(cursor: psycopg.Cursor[Any], request_ids: Iterable[str]) -> set[str]:
    """Which of these requests have been charged."""
    wanted = {charge_reference(request_id): request_id for request_id in request_ids}
    cursor.execute("SELECT reference FROM ledger_entries WHERE reference = ANY(%s)", (list(wanted),))
    return {wanted[reference] for (reference,) in cursor}


def _read(cursor: psycopg.Cursor[Any], records: Sequence[Settled]) -> _Moves:
    wallets = {record.wallet_id for record in records}
    available = dict(cursor.execute(_LOCK_WALLETS, (list(wallets),)).fetchall())
    if missing := {record.wallet_id for record in records if record.credits} - set(available):
        raise LookupError(f"there is no wallet {min(missing)!r}")
    leases = list({record.lease_id for record in records if record.lease_id})
    holds = [record.request_id for record in records if record.lease_id is None]
    return _Moves(
        available=available,
        leases={name: _Cover(*rest) for name, *rest in cursor.execute(_READ_LEASES, (leases,))} if leases else {},
        holds={name: _Cover(*rest) for name, *rest in cursor.execute(_READ_HOLDS, (holds,))} if holds else {},
    )


def _plan(moves: _Moves, record: Settled) -> int:
    """Take a record's charge from its lease or hold, and what those lack from what is available; returns the charge."""
    wallet_id, owed = record.wallet_id, record.credits
    cover = moves.leases.get(record.lease_id) if record.lease_id else None
    covered = min(owed, cover.left) if cover is not None and cover.wallet_id == wallet_id else 0
    if cover is not None and covered:
        cover.left -= covered
        cover.charged += covered
        moves.freed[wallet_id] += covered
        if cover.period is not None and cover.key_id is not None:
            moves.reserved[(cover.key_id, cover.period)] += covered
    elif record.lease_id is None:
        covered = _end_hold(moves, record)
    charge = covered
    if covered < owed:
        further = max(min(owed - covered, moves.available[wallet_id]), 0)
        moves.available[wallet_id] -= further
        charge += further
    if charge:
        _enter(moves, record, charge)
    return charge


def _end_hold(moves: _Moves, record: Settled) -> int:
    """End the request's own hold; returns how much of the charge it covers. The rest of it becomes available."""
    hold = moves.holds.pop(record.request_id, None)
    if hold is None or hold.wallet_id != record.wallet_id:
        return 0
    covered = min(record.credits, hold.left)
    moves.ended.append(record.request_id)
    moves.freed[record.wallet_id] += hold.left
    moves.available[record.wallet_id] += hold.left - covered
    if hold.period is not None and hold.key_id is not None:
        moves.reserved[(hold.key_id, hold.period)] += hold.left
    return covered


def _enter(moves: _Moves, record: Settled, charge: int) -> None:
    when = datetime.fromtimestamp(record.at, UTC)
    month = f"{when.year}-{when.month:02d}"
    period = record.period or month
    detail = None if period == month else Jsonb({"period": period})
    reference = charge_reference(record.request_id)
    moves.entries.append((record.wallet_id, CHARGE, -charge, reference, record.key_id, detail, when))
    moves.charged[record.wallet_id] += charge
    if record.key_id is not None:
        moves.spent[(record.key_id, period)] += charge


def _write(cursor: psycopg.Cursor[Any], moves: _Moves) -> None:
    if moves.entries:
        _LEDGER.write(cursor, moves.entries)
    if wallets := sorted({*moves.charged, *moves.freed}):
        charged = [moves.charged[name] for name in wallets]
        cursor.execute(_MOVE_WALLETS, (wallets, charged, [moves.freed[name] for name in wallets]))
    if leases := {name: cover.charged for name, cover in moves.leases.items() if cover.charged}:
        cursor.execute(_MOVE_LEASES, (list(leases), list(leases.values())))
    if moves.ended:
        cursor.execute(_END_HOLDS, (moves.ended,))
    if keys := sorted(moves.spent):
        columns = ([key for key, _ in keys], [period for _, period in keys], [moves.spent[key] for key in keys])
        cursor.execute(_ADD_SPEND, columns)
    if keys := sorted(moves.reserved):
        columns = ([key for key, _ in keys], [period for _, period in keys], [moves.reserved[key] for key in keys])
        cursor.execute(_FREE_RESERVED, columns)
