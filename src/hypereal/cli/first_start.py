"""What an empty database needs before anybody can use it: an account, its credits and a key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hypereal.billing import ledger, wallet
from hypereal.identity import accounts, keys
from hypereal.settings import Settings

ACCOUNT_NAME = "First account"
KEY_NAME = "First key"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstKey:
    """How the operator gets at the first account: `secret` if it may be shown, and what a shell finds it under."""

    secret: str | None
    in_shell: str


def first_key_file(home: Path) -> Path:
    """Where a key that was made here is kept, readable by its owner only, to be shown again at later starts."""
    return home / "first-key"


async def prepare(engine: AsyncEngine, settings: Settings) -> FirstKey:
    """Make what is missing; every part of it is harmless to repeat, also by several servers at once."""
    async with engine.begin() as connection:
        account, is_new = await accounts.ensure_first(connection, ACCOUNT_NAME)
        await wallet.open_wallet(connection, account.id)
        if settings.bootstrap_credits:
            entry = ledger.Entry(
                wallet_id=account.id,
                kind=ledger.EntryKind.GRANT,
                amount=settings.bootstrap_credits,
                reference=f"grant:first:{account.id}",
            )
            await ledger.append(connection, [entry])
        return await _first_key(connection, account.id, settings, is_new=is_new)


async def _first_key(connection: AsyncConnection, account_id: str, settings: Settings, *, is_new: bool) -> FirstKey:
    if settings.bootstrap_key is not None:
        secret = settings.bootstrap_key.get_secret_value()
        if await keys.find_by_secret(connection, secret) is None:
            await keys.create(connection, account_id, name=KEY_NAME, secret=secret)
        return FirstKey(secret=None, in_shell="$HYPEREAL_BOOTSTRAP_KEY")
    file = first_key_file(settings.home)
    if is_new:
        _, secret = await keys.create(connection, account_id, name=KEY_NAME)
        _write_secret(file, secret)
        return FirstKey(secret=secret, in_shell=secret)
    kept = file.read_text().strip() if file.exists() else ""
    found = await keys.find_by_secret(connection, kept) if kept else None
    if found is None or found.disabled_at is not None:
        return FirstKey(secret=None, in_shell="$HYPEREAL_API_KEY")
    return FirstKey(secret=kept, in_shell=kept)


def _write_secret(file: Path, secret: str) -> None:
    """Written before the caller commits: a key that exists is never one that nobody was told."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        os.fchmod(descriptor, 0o600)
        opened.write(secret + "\n")
