"""Holds that are rows of their own, in a wallet that is too poor for a lease: two transactions for each request."""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncConnection

from hypereal.billing import wallet
from hypereal.billing.hold import Hold, Lease, WalletView
from hypereal.billing.shelf import Shelf
from hypereal.billing.transfers import Transfers, turn
from hypereal.billing.wallet import Owner, Room, Short
from hypereal.kit.background import Errands
from hypereal.kit.money import Micro

RECALL_WAIT_S = 0.15
"""How long other processes get to give back what they do not use, before a request is refused."""


class OwnHolds:
    """The open ones of this process are in `open`, by request id. `minimum` is that of the `LeaseBook`."""

    def __init__(self, transfers: Transfers, shelf: Shelf, errands: Errands, *, minimum: Micro) -> None:
        self._transfers = transfers
        self._shelf = shelf
        self._errands = errands
        self._minimum = minimum
        self.open: dict[str, Hold] = {}

    async def hold(self, lease: Lease, owner: Owner, request_id: str, amount: Micro) -> Hold | Short:
        """A hold of `amount`, or of less where that is all there is, once neither this process nor another has more to
        give back. A cancelled call leaves none behind. Raises `WalletUnavailable`."""
        making = self._errands.run(self._make(lease, owner, request_id, amount))
        try:
            outcome = await asyncio.shield(making)
        except asyncio.CancelledError:
            self._errands.run(self._abandon(making))
            raise
        if isinstance(outcome, Hold):
            self.open[request_id] = outcome
        return outcome

    async def extend(self, hold: Hold, more: Micro) -> Micro:
        """Add up to `more` from the wallet; returns what was added. Raises `WalletUnavailable`."""
        view = self._shelf.views.get(hold.wallet_id)
        async with turn(view):
            async with self._transfers.transaction() as connection:
                added = await wallet.extend_hold(connection, hold.owner, reference=hold.request_id, more=more)
            if view is not None:
                view.note_taken(added)
        hold.amount = Micro(hold.amount + added)
        return added

    def settle(self, hold: Hold, cost: int) -> Micro:
        """End a hold with a charge and return it: the cost, but no more than the hold."""
        self.open.pop(hold.request_id, None)
        charge = min(cost, hold.amount)
        if charge < hold.amount:
            self.return_rest(hold, charge)
        return Micro(charge)

    def return_rest(self, hold: Hold, charge: int) -> None:
        """Have all of a row but the charge given back now; who asks from here on has its turn after that.

        The writer would do so too, from the `Settlement` that the caller journals, but only a moment later.
        """
        self._errands.run(self._shrink_row(hold, charge))
        view = self._shelf.views.get(hold.wallet_id)
        for lease in view.leases if view is not None else ():
            lease.refusal = None

    async def _make(self, lease: Lease, owner: Owner, request_id: str, amount: Micro) -> Hold | Short:
        view, transfers = lease.view, self._transfers
        await transfers.give_back({lease: lease.free})
        async with turn(view):
            async with transfers.transaction() as connection:
                room = await wallet.lock_room(connection, owner)
                view.look(room.available)
                if view.spare >= self._minimum and room.free >= amount:
                    found = await self._insert(connection, owner, room, request_id, amount)
                else:
                    found, elsewhere = None, await wallet.is_held_elsewhere(connection, owner)
                    if elsewhere:
                        await wallet.notify(connection, "lease_recall", owner.wallet_id)
            if found is not None:
                view.note_taken(found.amount)
                return found
        if room.headroom is None or room.headroom >= amount:
            await transfers.give_back({other: other.free for other in view.leases})
        if elsewhere:
            await asyncio.sleep(RECALL_WAIT_S)
        return await self._make_of_what_is_left(view, owner, request_id, amount)

    async def _make_of_what_is_left(
        self, view: WalletView, owner: Owner, request_id: str, amount: Micro
    ) -> Hold | Short:
        async with turn(view):
            async with self._transfers.transaction() as connection:
                room = await wallet.lock_room(connection, owner)
                view.look(room.available)
                short = room.short(amount, minimum=self._minimum, spare=view.spare)
                if short is not None:
                    return short
                found = await self._insert(connection, owner, room, request_id, amount)
            view.note_taken(found.amount)
            return found

    async def _insert(
        self, connection: AsyncConnection, owner: Owner, room: Room, request_id: str, amount: Micro
    ) -> Hold:
        taken = await wallet.hold(
            connection, owner, reference=request_id, amount=amount, ttl_s=self._transfers.ttl_s, room=room
        )
        self._transfers.point("hold.before_commit")
        return Hold(request_id, taken, owner, None)

    async def _abandon(self, making: asyncio.Task[Hold | Short]) -> None:
        """Give back a hold whose caller left while it was being made."""
        outcome = await making
        if isinstance(outcome, Hold):
            outcome.is_open = False
            self.settle(outcome, 0)

    async def _shrink_row(self, hold: Hold, charge: int) -> None:
        view = self._shelf.views.get(hold.wallet_id)
        async with turn(view), self._transfers.transaction() as connection:
            room = await wallet.lock_room(connection, hold.owner)
            given = await wallet.shrink_hold(connection, hold.owner, reference=hold.request_id, to=Micro(charge))
            if view is not None:
                view.look(room.available + given)
