"""Holding credits without the database: each server process leases slices of wallets and hands out holds from them.

One `LeaseBook` per process, used from one event loop, so plain arithmetic is enough. In the steady state a hold, its
settlement and its release touch memory only. What the database has as a lease's amount is what was granted less what
was given back less what the writer has charged; what the book calls free is granted - given back - charged - allocated.
The first is never less than the second, so the two need no other feedback.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.billing import wallet
from hypereal.billing.hold import Hold, Lease
from hypereal.billing.own_holds import OwnHolds
from hypereal.billing.shelf import Shelf
from hypereal.billing.transfers import Transfers, WalletUnavailable
from hypereal.billing.wallet import Short
from hypereal.kit.background import Errands
from hypereal.kit.money import MICRO_PER_CREDIT, Micro

__all__ = ["BookSnapshot", "Hold", "HoldEnded", "LeaseBook", "Short", "WalletUnavailable"]

MINIMUM = Micro(200 * MICRO_PER_CREDIT)
"""What a wallet must have to spare before a request is let in (credits.md, "tokens")."""
REFUSAL_S = 0.1
"""How long a refusal answers for the requests that come after it, unless credits are known to have come."""
TICK_S = 1.0
REVIEW_TICKS = 10
LOOK_TICKS = 5

log = structlog.get_logger()


class HoldEnded(Exception):
    """A hold was settled after it had been settled or released: a bug in the caller, who must not charge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSnapshot:
    """Figures for gauges; amounts in micro-credits."""

    wallets: int
    leases: int
    free: int
    allocated: int
    own_holds: int


def _no_point(name: str) -> None:
    """Nothing happens here; the invariants suite passes a function that kills the process at a named point."""


class LeaseBook:
    """The leases and holds of one server process, called `instance` in the database.

    A wallet must have `minimum` micro-credits to spare (balance less open holds) before anything is held in it.
    `clock` is seconds since the epoch; `ttl_s` is how long a lease outlives the process's last sign of life.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        instance: str,
        *,
        minimum: Micro = MINIMUM,
        ttl_s: float = 3600.0,
        clock: Callable[[], float] = time.time,
        point: Callable[[str], None] = _no_point,
    ) -> None:
        self._minimum = minimum
        self._ttl_s = ttl_s
        self._clock = clock
        self._errands = Errands()
        self._shelf = Shelf(instance, wallet.period_of(clock()))
        self._transfers = Transfers(engine, self._shelf, ttl_s=ttl_s, clock=clock, point=point)
        self._own = OwnHolds(self._transfers, self._shelf, self._errands, minimum=minimum)
        self._by_wallet, self._by_key = self._shelf.by_wallet, self._shelf.by_key
        self._renewed_at = clock()
        self._ticks = 0

    def try_hold(
        self, wallet_id: str, key_id: str, spending_limit: int | None, request_id: str, amount: Micro
    ) -> Hold | None:
        """A hold from memory alone, or None when `hold` must decide: no lease, too little in it, or a wallet that was
        below the minimum at the last look. `spending_limit` is micro-credits a month, or None."""
        lease = self._by_wallet.get(wallet_id) if spending_limit is None else self._by_key.get(key_id)
        if lease is None or amount > lease.free or lease.view.spare < self._minimum or lease.limit != spending_limit:
            return None
        lease.free -= amount
        lease.allocated += amount
        lease.taken += amount
        lease.view.spare -= amount
        if lease.free < lease.low and lease.refill is None:
            self._start_refill(lease)
        return Hold(request_id, amount, lease.owner, lease)

    async def hold(
        self, wallet_id: str, key_id: str, spending_limit: int | None, request_id: str, amount: Micro
    ) -> Hold | Short:
        """The slow way: fetch credits for the lease, else hold for this request alone (capped by what is available).

        Before a refusal, and before a capped hold, other processes are asked to give back what they do not use.
        A cancelled call leaves no hold behind. Raises `WalletUnavailable`.
        """
        if self._shelf.leaving:
            await self._transfers.clear_leaving()
        while True:
            lease = self._shelf.find(wallet_id, key_id, spending_limit)
            if found := self.try_hold(wallet_id, key_id, spending_limit, request_id, amount):
                return found
            if refusal := self._recent_refusal(lease, amount):
                return refusal
            allowed = await self._refilled(lease, amount)
            if found := self.try_hold(wallet_id, key_id, spending_limit, request_id, amount):
                return found
            if amount > allowed or lease.view.spare < self._minimum:
                break
        outcome = await self._own.hold(lease, replace(lease.owner, key_id=key_id), request_id, amount)
        if isinstance(outcome, Short):
            lease.refusal, lease.refused_amount = outcome, amount
            lease.refused_at = asyncio.get_running_loop().time()
        return outcome

    @staticmethod
    def _recent_refusal(lease: Lease, amount: Micro) -> Short | None:
        """The answer that the database gave a moment ago to no more than is asked now: a crowd at an empty wallet must
        not become a crowd at the database."""
        refusal = lease.refusal
        is_fresh = asyncio.get_running_loop().time() - lease.refused_at < REFUSAL_S
        if refusal is None or not is_fresh or amount < lease.refused_amount:
            return None
        return refusal if refusal.reason == "minimum" else replace(refusal, required=amount)

    def covers(self, hold: Hold, cost: int) -> bool:
        """Whether memory alone can charge `cost`: it is within the hold and what its lease can spare."""
        return cost <= hold.amount + (hold.lease.free if hold.lease is not None else 0)

    def settle(self, hold: Hold, cost: int) -> Micro:
        """End a hold with a charge and return it: the cost, but no more than the hold and what its lease can spare.

        The caller has capped the cost by `pricing.may_charge`, and journals the charge. Raises `HoldEnded`.
        """
        if not hold.is_open:
            raise HoldEnded(hold.request_id)
        hold.is_open = False
        lease = hold.lease
        if lease is None:
            return self._own.settle(hold, cost)
        charge = min(cost, hold.amount + lease.free)
        rest = hold.amount - charge
        lease.allocated -= hold.amount
        lease.free += rest
        lease.view.spare += rest
        return Micro(charge)

    def release(self, hold: Hold) -> None:
        """End a hold without a charge; one that has ended stays as it is, so this may stand in a `finally`."""
        if hold.is_open:
            self.settle(hold, 0)

    def take_back(self, hold: Hold, charge: int) -> None:
        """Undo the charge of a hold that was settled, where it could not be written down."""
        if hold.lease is None:
            self._own.return_rest(hold, 0)
        else:
            hold.lease.free += charge
            hold.lease.view.spare += charge

    async def extend(self, hold: Hold, more: Micro) -> Micro:
        """Add up to `more` to an open hold, from the lease first and then from the wallet; returns what was added.

        For a cost that passes the hold and what the lease can spare. Raises `WalletUnavailable`.
        """
        lease = hold.lease
        if lease is None:
            return await self._own.extend(hold, more)
        near = min(more, lease.free)
        lease.free -= near
        lease.view.spare -= near
        self._allocate(hold, lease, near)
        if near == more:
            return more
        far = await self._transfers.fetch(lease, more - near)
        self._allocate(hold, lease, far)
        return Micro(near + far)

    async def recall(self, wallet_id: str) -> None:
        """Give back all that is free in this wallet's leases: another process needs it (`lease_recall`)."""
        view = self._shelf.views.get(wallet_id)
        if view is None:
            return
        for lease in view.leases:
            lease.size //= 2
        await self._transfers.give_back({lease: lease.free for lease in view.leases})

    async def refresh(self, wallet_ids: Iterable[str]) -> None:
        """Look at what is available in these wallets, for the minimum balance (`wallet` notices, and regularly).

        What this process took out of a wallet meanwhile may or may not be in the figure, which then is left unused.
        """
        views = self._shelf.views
        moves = {wallet_id: view.moves for wallet_id in wallet_ids if (view := views.get(wallet_id))}
        if not moves:
            return
        async with self._transfers.transaction() as connection:
            available = await wallet.list_available(connection, list(moves))
        for wallet_id, amount in available.items():
            if view := views.get(wallet_id):
                if view.moves == moves[wallet_id]:
                    view.look(amount)
                for lease in view.leases:
                    lease.refusal = None

    def snapshot(self) -> BookSnapshot:
        """Figures for gauges."""
        leases = list(self._shelf)
        return BookSnapshot(
            wallets=len(self._shelf.views),
            leases=len(leases),
            free=sum(lease.free for lease in leases),
            allocated=sum(lease.allocated for lease in leases),
            own_holds=len(self._own.open),
        )

    async def run(self) -> None:
        """Keep the leases in shape until cancelled; a database that is away is waited for."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self.tick()
            except WalletUnavailable as exc:
                log.warning("lease.upkeep_failed", cause=str(exc.__cause__))

    async def tick(self) -> None:
        """One round of upkeep, meant for every second: months that ended, idle leases, sizes, expiry, a fresh look."""
        self._ticks += 1
        now = self._clock()
        self._shelf.begin(wallet.period_of(now))
        if now - self._renewed_at > self._ttl_s * 0.9:  # they could not be renewed in time
            self._shelf.drop_all()
            self._renewed_at = now
        await self._transfers.clear_leaving()
        if self._ticks % REVIEW_TICKS == 0:
            await self._review_sizes()
        if self._ticks % LOOK_TICKS == 0:
            await self.refresh(list(self._shelf.views))
        if now - self._renewed_at > self._ttl_s / 4:
            await self._renew(now)

    async def close(self) -> None:
        """Give back all that is not allocated; what is, ends with the journal."""
        await self._errands.finish()
        await self._transfers.give_back_all()

    @staticmethod
    def _allocate(hold: Hold, lease: Lease, amount: int) -> None:
        lease.allocated += amount
        hold.amount = Micro(hold.amount + amount)

    async def _refilled(self, lease: Lease, amount: int) -> Micro:
        """Wait for the refill under way, or start one; returns the largest hold that the lease can serve for now."""
        lease.waiting += amount
        try:
            return await asyncio.shield(lease.refill or self._start_refill(lease))
        finally:
            lease.waiting -= amount

    def _start_refill(self, lease: Lease) -> asyncio.Task[Micro]:
        lease.refill = self._errands.run(self._refill(lease))
        return lease.refill

    async def _refill(self, lease: Lease) -> Micro:
        try:
            return await self._transfers.refill(lease)
        finally:
            lease.refill = None

    async def _review_sizes(self) -> None:
        """Give idle leases back whole, and of large ones what the last seconds' traffic did not need."""
        surplus: dict[Lease, int] = {}
        for lease in [lease for lease in self._shelf if lease.is_current]:
            taken, lease.taken = lease.taken, 0
            if taken == 0 and not lease.waiting:
                self._shelf.retire(lease)
            elif lease.free > 4 * taken:
                lease.size = 2 * taken
                surplus[lease] = lease.free - 2 * taken
        await self._transfers.give_back(surplus)
        await self._transfers.clear_leaving()

    async def _renew(self, now: float) -> None:
        lease_ids = [lease.id for lease in self._shelf]
        async with self._transfers.transaction() as connection:
            await wallet.renew(connection, lease_ids, list(self._own.open), ttl_s=self._ttl_s)
        self._renewed_at = now
