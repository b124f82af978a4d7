"""Holding credits without the database: each server process leases slices of wallets and hands out holds from them.

One `LeaseBook` per process, used from one event loop, so plain arithmetic is enough. In the steady state a hold, its
settlement and its release touch memory only. What the database has as a lease's amount is what was granted less what
was given back less what the writer has charged; what the book calls free is granted - given back - charged - allocated.
The first is never less than the second, so the two need no other feedback.

The outcome of a commit may stay unknown. The book then counts on the worse one (credits not gained, credits given
away) and takes no more on that lease; the difference stays held until the lease runs out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hypereal.billing import wallet
from hypereal.billing.hold import Hold, Lease, WalletView
from hypereal.billing.wallet import Owner, Room, Short
from hypereal.kit.ids import new_id
from hypereal.kit.money import MICRO_PER_CREDIT, Micro

__all__ = ["BookSnapshot", "Hold", "HoldEnded", "LeaseBook", "Short", "WalletUnavailable"]

LEASE_SHARE = 4
"""A refill takes at most this part of what is available, so that other processes find something too."""
FIRST_HOLDS = 16
"""A first lease is for about so many holds like the one that asked for it."""
BUSY_S = 2.0
"""A lease that needs a refill sooner than this is too small and doubles."""
MINIMUM = Micro(200 * MICRO_PER_CREDIT)
"""What a wallet must have to spare before a request is let in (credits.md, "tokens")."""
RECALL_WAIT_S = 0.15
"""How long other processes get to give back what they do not use, before a request is refused."""
REFUSAL_S = 0.1
"""How long a refusal answers for the requests that come after it, unless credits are known to have come."""
GATE = 4
"""Transactions at once, so that a crowd at one empty wallet leaves connections to the rest of the process."""
TICK_S = 1.0
REVIEW_TICKS = 10
LOOK_TICKS = 5
GIVE_BACK_LEASES = 500

log = structlog.get_logger()

Outcome = TypeVar("Outcome")


class WalletUnavailable(Exception):
    """The database could not be reached, and memory alone could not answer."""


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
        self._engine = engine
        self._instance = instance
        self._minimum = minimum
        self._ttl_s = ttl_s
        self._clock = clock
        self._point = point
        self._gate = asyncio.Semaphore(GATE)
        self._views: dict[str, WalletView] = {}
        self._by_wallet: dict[str, Lease] = {}
        self._by_key: dict[str, Lease] = {}
        self._leaving: list[Lease] = []
        self._alone: dict[str, Hold] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._period = wallet.period_of(clock())
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
        if self._leaving:
            await self._clear_leaving()
        while True:
            lease = self._lease(wallet_id, key_id, spending_limit)
            if found := self.try_hold(wallet_id, key_id, spending_limit, request_id, amount):
                return found
            if refusal := self._recent_refusal(lease, amount):
                return refusal
            allowed = await self._refilled(lease, amount)
            if found := self.try_hold(wallet_id, key_id, spending_limit, request_id, amount):
                return found
            if amount > allowed or lease.view.spare < self._minimum:
                break
        owner = replace(lease.owner, key_id=key_id)
        alone = self._spawn(self._hold_alone(lease, owner, request_id, amount))
        try:
            outcome = await asyncio.shield(alone)
        except asyncio.CancelledError:
            self._spawn(self._abandon(alone))
            raise
        if isinstance(outcome, Hold):
            self._alone[request_id] = outcome
        else:
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
            self._alone.pop(hold.request_id, None)
            charge = min(cost, hold.amount)
            if charge < hold.amount:
                self._return_rest(hold, charge)
            return Micro(charge)
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
            self._return_rest(hold, 0)
        else:
            hold.lease.free += charge
            hold.lease.view.spare += charge

    async def extend(self, hold: Hold, more: Micro) -> Micro:
        """Add up to `more` to an open hold, from the lease first and then from the wallet; returns what was added.

        For a cost that passes the hold and what the lease can spare. Raises `WalletUnavailable`.
        """
        lease = hold.lease
        if lease is None:
            async with self._turn(self._views.get(hold.wallet_id)):
                async with self._transaction() as connection:
                    added = await wallet.extend_hold(connection, hold.owner, reference=hold.request_id, more=more)
                self._note_taken(self._views.get(hold.wallet_id), added)
            hold.amount = Micro(hold.amount + added)
            return added
        near = min(more, lease.free)
        self._allocate(hold, lease, near, from_free=near)
        if near == more:
            return more
        try:
            async with self._turn(lease.view):
                async with self._transaction() as connection:
                    room = await wallet.lock_room(connection, lease.owner)
                    lease.view.look(room.available)
                    far = min(more - near, room.free)
                    await self._grow(connection, lease, far)
                self._note_taken(lease.view, far)
        except WalletUnavailable:
            lease.is_suspect = True
            raise
        self._allocate(hold, lease, far, from_free=0)
        return Micro(near + far)

    async def recall(self, wallet_id: str) -> None:
        """Give back all that is free in this wallet's leases: another process needs it (`lease_recall`)."""
        view = self._views.get(wallet_id)
        if view is None:
            return
        for lease in view.leases:
            lease.size //= 2
        await self._give_back({lease: lease.free for lease in view.leases})

    async def refresh(self, wallet_ids: Iterable[str]) -> None:
        """Look at what is available in these wallets, for the minimum balance (`wallet` notices, and regularly).

        What this process took out of a wallet meanwhile may or may not be in the figure, which then is left unused.
        """
        moves = {wallet_id: view.moves for wallet_id in wallet_ids if (view := self._views.get(wallet_id))}
        if not moves:
            return
        async with self._transaction() as connection:
            available = await wallet.list_available(connection, list(moves))
        for wallet_id, amount in available.items():
            if view := self._views.get(wallet_id):
                if view.moves == moves[wallet_id]:
                    view.look(amount)
                for lease in view.leases:
                    lease.refusal = None

    def snapshot(self) -> BookSnapshot:
        """Figures for gauges."""
        leases = list(self._all_leases())
        return BookSnapshot(
            wallets=len(self._views),
            leases=len(leases),
            free=sum(lease.free for lease in leases),
            allocated=sum(lease.allocated for lease in leases),
            own_holds=len(self._alone),
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
        self._period = wallet.period_of(now)
        for lease in [lease for lease in self._by_key.values() if lease.owner.period != self._period]:
            self._retire(lease)
        if now - self._renewed_at > self._ttl_s * 0.9:
            self._drop_all(now)
        await self._clear_leaving()
        if self._ticks % REVIEW_TICKS == 0:
            await self._review_sizes()
        if self._ticks % LOOK_TICKS == 0:
            await self.refresh([view.id for view in self._views.values()])
        if now - self._renewed_at > self._ttl_s / 4:
            await self._renew(now)

    async def close(self) -> None:
        """Give back all that is not allocated; what is, ends with the journal."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        leases = list(self._all_leases())
        for start in range(0, len(leases), GIVE_BACK_LEASES):
            await self._give_back({lease: lease.free for lease in leases[start : start + GIVE_BACK_LEASES]})

    def _lease(self, wallet_id: str, key_id: str, spending_limit: int | None) -> Lease:
        """The lease to take from, made when missing; one for another limit or month makes way."""
        shelf, name = (self._by_wallet, wallet_id) if spending_limit is None else (self._by_key, key_id)
        lease = shelf.get(name)
        if lease is not None and lease.limit == spending_limit and not lease.is_suspect:
            return lease
        if lease is not None:
            self._retire(lease)
        view = self._views.get(wallet_id)
        if view is None:
            view = self._views[wallet_id] = WalletView(wallet_id)
        owner = Owner(
            wallet_id=wallet_id,
            key_id=None if spending_limit is None else key_id,
            period=None if spending_limit is None else self._period,
            spending_limit=spending_limit,
            instance=self._instance,
        )
        lease = shelf[name] = Lease(new_id("lease"), view, owner)
        view.leases.append(lease)
        return lease

    def _retire(self, lease: Lease) -> None:
        """Hand out no more from a lease; what is free in it is given back, what is allocated ends in its own time."""
        shelf, name = (
            (self._by_wallet, lease.owner.wallet_id) if lease.limit is None else (self._by_key, str(lease.owner.key_id))
        )
        if shelf.get(name) is lease:
            del shelf[name]
        if lease.is_current:
            lease.is_current = False
            self._leaving.append(lease)

    def _drop_all(self, now: float) -> None:
        """The leases could not be renewed in time: others may have taken them for abandoned, so count on nothing."""
        for lease in list(self._all_leases()):
            self._retire(lease)
            lease.view.spare -= lease.free
            lease.free = 0
        self._renewed_at = now

    def _allocate(self, hold: Hold, lease: Lease, amount: int, *, from_free: int) -> None:
        lease.free -= from_free
        lease.view.spare -= from_free
        lease.allocated += amount
        hold.amount = Micro(hold.amount + amount)

    def _all_leases(self) -> Iterable[Lease]:
        return (lease for view in self._views.values() for lease in view.leases)

    async def _refilled(self, lease: Lease, amount: int) -> Micro:
        """Wait for the refill under way, or start one; returns the largest hold that the lease can serve for now."""
        lease.waiting += amount
        try:
            return await asyncio.shield(lease.refill or self._start_refill(lease))
        finally:
            lease.waiting -= amount

    def _start_refill(self, lease: Lease) -> asyncio.Task[Micro]:
        lease.refill = self._spawn(self._refill(lease))
        return lease.refill

    async def _refill(self, lease: Lease) -> Micro:
        try:
            async with self._turn(lease.view):
                async with self._transaction() as connection:
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
        finally:
            lease.refill = None

    def _aim(self, lease: Lease, allowed: int) -> None:
        """Choose how much free to aim for: twice as much when the last refill did not last."""
        now = self._clock()
        wanted = lease.size * 2 if now - lease.refilled_at < BUSY_S else lease.size
        lease.size = min(max(wanted, lease.waiting * FIRST_HOLDS), allowed)
        lease.refilled_at = now

    async def _grow(self, connection: AsyncConnection, lease: Lease, amount: int) -> None:
        await wallet.grow_lease(connection, lease.owner, lease_id=lease.id, amount=Micro(amount), ttl_s=self._ttl_s)
        self._point("lease.before_commit")

    async def _hold_alone(self, lease: Lease, owner: Owner, request_id: str, amount: Micro) -> Hold | Short:
        view = lease.view
        await self._give_back({lease: lease.free})
        async with self._turn(view):
            async with self._transaction() as connection:
                room = await wallet.lock_room(connection, owner)
                view.look(room.available)
                if view.spare >= self._minimum and room.free >= amount:
                    found = await self._insert(connection, owner, room, request_id, amount)
                else:
                    found, elsewhere = None, await wallet.is_held_elsewhere(connection, owner)
                    if elsewhere:
                        await wallet.notify(connection, "lease_recall", owner.wallet_id)
            if found is not None:
                self._note_taken(view, found.amount)
                return found
        if room.headroom is None or room.headroom >= amount:
            await self._give_back({other: other.free for other in view.leases})
        if elsewhere:
            await asyncio.sleep(RECALL_WAIT_S)
        return await self._hold_what_is_left(view, owner, request_id, amount)

    async def _hold_what_is_left(self, view: WalletView, owner: Owner, request_id: str, amount: Micro) -> Hold | Short:
        async with self._turn(view):
            async with self._transaction() as connection:
                room = await wallet.lock_room(connection, owner)
                view.look(room.available)
                short = room.short(amount, minimum=self._minimum, spare=view.spare)
                if short is not None:
                    return short
                found = await self._insert(connection, owner, room, request_id, amount)
            self._note_taken(view, found.amount)
            return found

    async def _insert(
        self, connection: AsyncConnection, owner: Owner, room: Room, request_id: str, amount: Micro
    ) -> Hold:
        taken = await wallet.hold(connection, owner, reference=request_id, amount=amount, ttl_s=self._ttl_s, room=room)
        self._point("hold.before_commit")
        return Hold(request_id, taken, owner, None)

    async def _abandon(self, alone: asyncio.Task[Hold | Short]) -> None:
        """Give back a hold whose caller left while it was being made."""
        outcome = await alone
        if isinstance(outcome, Hold):
            self.release(outcome)

    def _return_rest(self, hold: Hold, charge: int) -> None:
        """Have all of a row of its own but the charge given back now; who asks from here on has its turn after that.

        The writer would do so too, from the `Settlement` that the caller journals, but only a moment later.
        """
        self._spawn(self._shrink_row(hold, charge))
        view = self._views.get(hold.wallet_id)
        for lease in view.leases if view is not None else ():
            lease.refusal = None

    async def _shrink_row(self, hold: Hold, charge: int) -> None:
        view = self._views.get(hold.wallet_id)
        async with self._turn(view), self._transaction() as connection:
            room = await wallet.lock_room(connection, hold.owner)
            given = await wallet.shrink_hold(connection, hold.owner, reference=hold.request_id, to=Micro(charge))
            if view is not None:
                view.look(room.available + given)

    @staticmethod
    def _note_taken(view: WalletView | None, amount: int) -> None:
        """Credits have left what is available, and no lease has them as free."""
        if view is not None:
            view.spare -= amount
            view.moves += 1

    @asynccontextmanager
    async def _turn(self, *views: WalletView | None) -> AsyncIterator[None]:
        """Until this is left nothing else of this process moves credits between these wallets and their leases: what
        is on its way would be seen in neither."""
        async with AsyncExitStack() as stack:
            known = {view.id: view for view in views if view is not None}
            for _, view in sorted(known.items()):
                await stack.enter_async_context(view.turn)
            yield

    async def _give_back(self, amounts: dict[Lease, int]) -> None:
        """Give free credits back to their wallets. They leave the memory first: nobody can take them meanwhile."""
        async with self._turn(*(lease.view for lease in amounts)):
            amounts = {
                lease: min(amount, lease.free) for lease, amount in amounts.items() if min(amount, lease.free) > 0
            }
            if not amounts:
                return
            for lease, amount in amounts.items():
                lease.free -= amount
                lease.low = 0
            try:
                async with self._transaction() as connection:
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
                    self._retire(lease)

    async def _clear_leaving(self) -> None:
        leaving, self._leaving = self._leaving, []
        try:
            await self._give_back({lease: lease.free for lease in leaving})
        finally:
            self._leaving += [lease for lease in leaving if not self._forget(lease)]

    def _forget(self, lease: Lease) -> bool:
        """Drop a lease that has nothing left; its row goes when it has run out."""
        if lease.allocated or lease.free or lease.waiting or lease.refill is not None:
            return False
        view = lease.view
        view.leases.remove(lease)
        if not view.leases:
            self._views.pop(view.id, None)
        return True

    async def _review_sizes(self) -> None:
        """Give idle leases back whole, and of large ones what the last seconds' traffic did not need."""
        surplus: dict[Lease, int] = {}
        for lease in [lease for lease in self._all_leases() if lease.is_current]:
            taken, lease.taken = lease.taken, 0
            if taken == 0 and not lease.waiting:
                self._retire(lease)
            elif lease.free > 4 * taken:
                lease.size = 2 * taken
                surplus[lease] = lease.free - 2 * taken
        await self._give_back(surplus)
        await self._clear_leaving()

    async def _renew(self, now: float) -> None:
        lease_ids = [lease.id for lease in self._all_leases()]
        async with self._transaction() as connection:
            await wallet.renew(connection, lease_ids, list(self._alone), ttl_s=self._ttl_s)
        self._renewed_at = now

    def _spawn(self, work: Coroutine[Any, Any, Outcome]) -> asyncio.Task[Outcome]:
        """A task that is kept until it ends and whose failure is read here, should nobody be waiting for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._spawned_ended)
        return task

    def _spawned_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._gate:
            try:
                async with self._engine.begin() as connection:
                    yield connection
            except SQLAlchemyError as exc:
                raise WalletUnavailable("the wallet's database does not answer") from exc
        self._point("wallet.after_commit")
