"""Accounts: who pays. Their wallets belong to `billing`, which gives a wallet its account's id.

Every function takes the caller's connection and leaves the commit to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hypereal.errors import NotFound
from hypereal.identity.changes import Change, notify
from hypereal.identity.fields import check_ceiling, check_name
from hypereal.identity.principal import Limits
from hypereal.identity.tables import Account
from hypereal.kit.ids import is_plausible_id, new_id

AccountKind = Literal["user", "organisation"]

CEILINGS = {
    "requests_per_hour": "requestsPerHour",
    "requests_per_minute": "requestsPerMinute",
    "tokens_per_minute": "tokensPerMinute",
    "concurrency": "concurrency",
}
"""The columns of `identity.Limits`, and how the API spells them."""

_COLUMNS = tuple(Account.__table__.columns)
_FIRST_LOCK = 0x68797065  # any number that nothing else in this database locks: "hype"


class AccountFields(TypedDict, total=False):
    """What may be set; a ceiling of None takes the operator's default."""

    email: str | None
    requests_per_hour: int | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrency: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """An account as it is stored; `limits` are its own, before the operator's defaults."""

    id: str
    kind: str
    name: str
    email: str | None
    limits: Limits
    created_at: datetime


async def create(
    connection: AsyncConnection, name: str, *, kind: AccountKind = "user", **fields: Unpack[AccountFields]
) -> AccountRecord:
    """A new account. Raises `InvalidRequest` naming the field at fault."""
    values = {"id": new_id("acct"), "name": check_name(name), "kind": kind, **_checked(fields)}
    result = await connection.execute(insert(Account).values(values).returning(*_COLUMNS))
    return _record(result.one())


async def get(connection: AsyncConnection, account_id: str) -> AccountRecord:
    """Raises `NotFound`."""
    if is_plausible_id(account_id):
        row = (await connection.execute(select(*_COLUMNS).where(Account.id == account_id))).one_or_none()
        if row is not None:
            return _record(row)
    raise NotFound("Account not found")


async def change(connection: AsyncConnection, account_id: str, **fields: Unpack[AccountFields]) -> AccountRecord:
    """Set what is given; its keys have the new ceilings at once, everywhere. Raises `NotFound`, `InvalidRequest`."""
    values = _checked(fields)
    if not values:
        return await get(connection, account_id)
    statement = update(Account).where(Account.id == account_id).values(values).returning(*_COLUMNS)
    row = (await connection.execute(statement)).one_or_none() if is_plausible_id(account_id) else None
    if row is None:
        raise NotFound("Account not found")
    await notify(connection, Change(kind="account", id=account_id))
    return _record(row)


async def find_first(connection: AsyncConnection) -> AccountRecord | None:
    """The oldest account: the one that the first start made."""
    statement = select(*_COLUMNS).order_by(Account.created_at, Account.id).limit(1)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _record(row)


async def ensure_first(connection: AsyncConnection, name: str) -> tuple[AccountRecord, bool]:
    """The oldest account, made now if there is none, and whether it was made.

    Servers that start at the same time wait for one another here until the caller's transaction ends.
    """
    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _FIRST_LOCK})
    first = await find_first(connection)
    return (first, False) if first is not None else (await create(connection, name), True)


def _checked(fields: AccountFields) -> dict[str, Any]:
    values: dict[str, Any] = dict(fields)
    if (email := fields.get("email")) is not None:
        values["email"] = check_name(email, param="email")
    for column, param in CEILINGS.items():
        if column in values:
            values[column] = check_ceiling(values[column], param=param)
    return values


def _record(row: Row[Any]) -> AccountRecord:
    return AccountRecord(
        id=row.id,
        kind=row.kind,
        name=row.name,
        email=row.email,
        limits=Limits(**{column: getattr(row, column) for column in CEILINGS}),
        created_at=row.created_at,
    )
