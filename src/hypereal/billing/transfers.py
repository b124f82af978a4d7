"""Credits on the move between wallets and the leases of one server process: one transaction for each transfer.

The outcome of a commit may stay unknown. A transfer then counts on the worse one (credits not gained, credits given
away) and its lease is suspect: nothing more is put into it, and the difference stays held until the lease runs out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hypereal.billing import wallet
from hypereal.billing.hold import Lease, WalletView
from hypereal.billing.shelf import Shelf
from hypereal.kit.money import Micro

LEASE_SHARE = 4
"""A refill takes at most this part of what is available, so that other processes find something too."""
FIRST_HOLDS = 16
"""A first lease is for about so many holds like the one that asked for it."""
BUSY_S = 2.0
"""A lease that needs a refill sooner than this is too small and doubles."""
GATE = 4
"""Transactions at once, so that a crowd at one empty wallet leaves connections to the rest of the process."""
GIVE_BACK_LEASES = 500

log = structlog.get_logger()


class WalletUnavailable(Exception):
    """The database could not be reached, and memory alone could not answer."""


@asynccontextmanager
async def turn(*views: WalletView | None) -> AsyncIterator[None]:
    """Until this is left nothing else of this process moves credits between these wallets and their leases: what is on
    its way would be seen in neither."""
    async with AsyncExitStack() as stack:
        known = {view.id: view for view in views if view is not None}
        for _, view in sorted(known.items()):
            await stack.enter_async_context(view.turn)
        yield


class Transfers:
    """Fills the leases of a shelf and empties them. Everything here may raise `WalletUnavailable`.

    `ttl_s` is how long a lease outlives the process's last sign of life, `clock` seconds since the epoch.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        shelf: Shelf,
        *,
        ttl_s: float,
        clock: Callable[[], float],
        point: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._shelf = shelf
        self._clock = clock
        self._gate = asyncio.Semaphore(GATE)
        self.ttl_s = ttl_s
        self.point = point

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._gate:
            try:
                async with self._engine.begin() as connection:
                    yield connection
            except SQLAlchemyError as exc:
                raise WalletUnavailable("the wallet's database does not answer") from exc
        self.point("wallet.after_commit")

    async def refill(self, lease: Lease) -> Micro:
        """Bring a lease up to what it should have free; returns the largest hold that it can serve for now."""
        try:
            async with turn(lease.view):
                async with self.transaction() as connection:
                    room = await wallet.lock_room(connection, lease.owner)
                    lease.view.look(room.available)
                    allowed = room.free // LEASE_SHARE
                    self._aim(lease, allowed)
                    grant = min(allowed, max(lease.size, lease.waiting) - lease.free)
                    if grant > 0 and not lease.is_suspect and lease.is_current:
                        await self._grow(connection, lease, grant)
                    else:
                        grant = 0
                lease.view.moves += 1
                lease.free += grant
                lease.low = lease.free // 4 if grant else 0
                return Micro(allowed)
        except WalletUnavailable as exc:
            lease.is_suspect = True
            lease.low = 0  # or every request would try again
            log.warning("lease.refill_failed", wallet=lease.owner.wallet_id, cause=str(exc.__cause__))
            raise

    async def fetch(self, lease: Lease, amount: int) -> Micro:
        """Up to `amount` from a lease's wallet for a hold that is cut from the lease; returns what there was."""
        try:
            async with turn(lease.view):
                async with self.transaction() as connection:
                    room = await wallet.lock_room(connection, lease.owner)
                    lease.view.look(room.available)
                    fetched = min(amount, room.free)
                    await self._grow(connection, lease, fetched)
                lease.view.note_taken(fetched)
        except WalletUnavailable:
            lease.is_suspect = True
            raise
        return Micro(fetched)

    async def give_back(self, amounts: dict[Lease, int]) -> None:
        """Give free credits back to their wallets. They leave the memory first: nobody can take them meanwhile."""
        async with turn(*(lease.view for lease in amounts)):
            amounts = {
                lease: min(amount, lease.free) for lease, amount in amounts.items() if min(amount, lease.free) > 0
            }
            if not amounts:
                return
            for lease, amount in amounts.items():
                lease.free -= amount
                lease.low = 0
            try:
                async with self.transaction() as connection:
                    given = await wallet.shrink_leases(
                        connection, {lease.id: amount for lease, amount in amounts.items()}
                    )
            except WalletUnavailable:
                for lease in amounts:
                    lease.is_suspect = True
                raise
            for lease in amounts:
                if lease.id not in given:
                    lease.free = 0
                    self._shelf.retire(lease)

    async def give_back_all(self) -> None:
        """Give back all that is free in any lease."""
        leases = list(self._shelf)
        for start in range(0, len(leases), GIVE_BACK_LEASES):
            await self.give_back({lease: lease.free for lease in leases[start : start + GIVE_BACK_LEASES]})

    async def clear_leaving(self) -> None:
        """Give back what is free in the leases that hand out no more, and forget those that have nothing left."""
        shelf = self._shelf
        leaving, shelf.leaving = shelf.leaving, []
        try:
            await self.give_back({lease: lease.free for lease in leaving})
        finally:
            shelf.leaving += [lease for lease in leaving if not shelf.forget(lease)]

    def _aim(self, lease: Lease, allowed: int) -> None:
        """Choose how much free to aim for: twice as much when the last refill did not last."""
        now = self._clock()
        wanted = lease.size * 2 if now - lease.refilled_at < BUSY_S else lease.size
        lease.size = min(max(wanted, lease.waiting * FIRST_HOLDS), allowed)
        lease.refilled_at = now

    async def _grow(self, connection: AsyncConnection, lease: Lease, amount: int) -> None:
        await wallet.grow_lease(connection, lease.owner, lease_id=lease.id, amount=Micro(amount), ttl_s=self.ttl_s)
        self.point("lease.before_commit")
