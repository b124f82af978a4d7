"""Accounts and keys made straight in a server's database, as an operator's commands would."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from hypereal.billing import ledger
from hypereal.db.engine import open_engine
from hypereal.identity import accounts, keys
from hypereal.identity.accounts import AccountFields
from hypereal.identity.keys import KeyFields
from hypereal.kit.money import Micro, parse_credits
from tests.support.server import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An account and one key of it."""

    account_id: str
    key_id: str
    secret: str


def open_account(
    server: Server, credits_given: str, *, account: AccountFields | None = None, key: KeyFields | None = None
) -> Holder:
    """A new account with this many credits and a key."""
    return asyncio.run(_open_account(server.database_url, parse_credits(credits_given), account or {}, key or {}))


async def _open_account(url: str, amount: Micro, account: AccountFields, key: KeyFields) -> Holder:
    engine = open_engine(url)
    try:
        async with engine.begin() as connection:
            made = await accounts.create(connection, f"test {secrets.token_hex(4)}", **account)
            issued, secret = await keys.create(connection, made.id, name="test", **key)
        await ledger.grant(engine, made.id, amount=amount, reference=f"grant:{made.id}")
        return Holder(account_id=made.id, key_id=issued.id, secret=secret)
    finally:
        await engine.dispose()


def grant_credits(server: Server, account_id: str, amount: str) -> None:
    """More credits for an account."""
    asyncio.run(_grant(server.database_url, account_id, parse_credits(amount)))


async def _grant(url: str, account_id: str, amount: Micro) -> None:
    engine = open_engine(url)
    try:
        await ledger.grant(engine, account_id, amount=amount, reference=f"grant:{secrets.token_hex(8)}")
    finally:
        await engine.dispose()
