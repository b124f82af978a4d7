"""The leases that one server process has: which there are and for whom. Memory only; nothing here moves credits."""

from __future__ import annotations

from collections.abc import Iterator

from hypereal.billing.hold import Lease, WalletView
from hypereal.billing.wallet import Owner
from hypereal.kit.ids import new_id


class Shelf:
    """Leases by wallet, for keys without a spending limit, and by key, for those with one.

    `views` are the wallets that have any; `leaving` are leases that hand out no more and may still have something to
    give back. `period` is the month in which spending limits count, `instance` this process's name in the database.
    """

    def __init__(self, instance: str, period: str) -> None:
        self._instance = instance
        self.period = period
        self.views: dict[str, WalletView] = {}
        self.by_wallet: dict[str, Lease] = {}
        self.by_key: dict[str, Lease] = {}
        self.leaving: list[Lease] = []

    def __iter__(self) -> Iterator[Lease]:
        return (lease for view in self.views.values() for lease in view.leases)

    def find(self, wallet_id: str, key_id: str, spending_limit: int | None) -> Lease:
        """The lease to take from, made when missing; one for another limit or month makes way."""
        leases, name = (self.by_wallet, wallet_id) if spending_limit is None else (self.by_key, key_id)
        lease = leases.get(name)
        if lease is not None and lease.limit == spending_limit and not lease.is_suspect:
            return lease
        if lease is not None:
            self.retire(lease)
        lease = leases[name] = self._make(wallet_id, key_id, spending_limit)
        return lease

    def _make(self, wallet_id: str, key_id: str, spending_limit: int | None) -> Lease:
        view = self.views.get(wallet_id)
        if view is None:
            view = self.views[wallet_id] = WalletView(wallet_id)
        owner = Owner(
            wallet_id=wallet_id,
            key_id=None if spending_limit is None else key_id,
            period=None if spending_limit is None else self.period,
            spending_limit=spending_limit,
            instance=self._instance,
        )
        lease = Lease(new_id("lease"), view, owner)
        view.leases.append(lease)
        return lease

    def begin(self, period: str) -> None:
        """Spending limits count in this month now: what was leased for another one hands out no more."""
        self.period = period
        for lease in [lease for lease in self.by_key.values() if lease.owner.period != period]:
            self.retire(lease)

    def retire(self, lease: Lease) -> None:
        """Hand out no more from a lease; what is free in it is given back, what is allocated ends in its own time."""
        leases, name = (
            (self.by_wallet, lease.owner.wallet_id) if lease.limit is None else (self.by_key, str(lease.owner.key_id))
        )
        if leases.get(name) is lease:
            del leases[name]
        if lease.is_current:
            lease.is_current = False
            self.leaving.append(lease)

    def drop_all(self) -> None:
        """Count on no lease any more: others may have taken them for abandoned."""
        for lease in list(self):
            self.retire(lease)
            lease.view.spare -= lease.free
            lease.free = 0

    def forget(self, lease: Lease) -> bool:
        """Drop a lease that has nothing left; its row goes when it has run out."""
        if lease.allocated or lease.free or lease.waiting or lease.refill is not None:
            return False
        view = lease.view
        view.leases.remove(lease)
        if not view.leases:
            self.views.pop(view.id, None)
        return True
