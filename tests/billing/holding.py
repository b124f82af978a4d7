"""Taking holds from a lease book in tests, and what the database says of a wallet then."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.billing import wallet
from hypereal.billing.lease import Hold, LeaseBook, Short
from hypereal.kit.money import Micro

WEALTH = 1_000_000
"""What the wallet "w" of the fixture `book` has, in micro-credits."""


async def held(engine: AsyncEngine, wallet_id: str = "w") -> int:
    """What is set aside in a wallet."""
    async with engine.connect() as connection:
        found = await wallet.find_balance(connection, wallet_id)
    assert found is not None
    return found.held


async def take(book: LeaseBook, amount: int, *, limit: int | None = None, name: str = "r", wallet: str = "w") -> Hold:
    """A hold, from memory if that is possible."""
    hold = book.try_hold(wallet, "k", limit, name, Micro(amount)) or await book.hold(
        wallet, "k", limit, name, Micro(amount)
    )
    assert isinstance(hold, Hold)
    return hold


async def refusal(book: LeaseBook, amount: int, *, limit: int | None = None) -> Short:
    """Why there is no hold of so much."""
    short = await book.hold("w", "k", limit, "refused", Micro(amount))
    assert isinstance(short, Short)
    return short
