"""The values of a server process's memory of money: its view of a wallet, its leases, and the holds cut from them.

Plain mutable objects with slots, because a request touches several of them; the rules are in `lease.LeaseBook` and what
it is made of, which alone change them.
"""

from __future__ import annotations

import asyncio

from hypereal.billing.wallet import Owner, Short
from hypereal.kit.money import ZERO, Micro


class WalletView:
    """What this process knows of a wallet: `spare` is the balance less all that is spoken for, as of the last look at
    the database and counting its own leases' free credits as spare. `moves` counts what this process took out;
    `turn` is held while it moves credits."""

    __slots__ = ("id", "leases", "moves", "spare", "turn")

    def __init__(self, wallet_id: str) -> None:
        self.id = wallet_id
        self.spare = 0
        self.moves = 0
        self.turn = asyncio.Lock()
        self.leases: list[Lease] = []

    def look(self, available: int) -> None:
        """Take note of what the database says is available outside of leases.

        Credits that a lease has got since the figure was read are in it still, and would count twice: see `moves`.
        """
        self.spare = available + sum(lease.free for lease in self.leases)

    def note_taken(self, amount: int) -> None:
        """Credits have left what is available, and no lease has them as free."""
        self.spare -= amount
        self.moves += 1


class Lease:
    """A slice of a wallet (and of a key's month) that this process hands out on its own.

    `free` is what can be handed out, `allocated` what open holds have. Below `low` more is fetched ahead of need and
    `size` is how much free is aimed for. `waiting` is what callers are waiting for, `taken` what was handed out since
    the last look at its size. A `suspect` lease may have more in the database than this process knows: a commit whose
    outcome was never learned.
    """

    __slots__ = (
        "allocated",
        "free",
        "id",
        "is_current",
        "is_suspect",
        "limit",
        "low",
        "owner",
        "refill",
        "refilled_at",
        "refusal",
        "refused_amount",
        "refused_at",
        "size",
        "taken",
        "view",
        "waiting",
    )

    def __init__(self, lease_id: str, view: WalletView, owner: Owner) -> None:
        self.id = lease_id
        self.view = view
        self.owner = owner
        self.limit = owner.spending_limit
        self.free = 0
        self.allocated = 0
        self.low = 0
        self.size = 0
        self.waiting = 0
        self.taken = 0
        self.refilled_at = float("-inf")
        self.refill: asyncio.Task[Micro] | None = None
        self.refusal: Short | None = None
        self.refused_amount = ZERO
        self.refused_at = float("-inf")
        self.is_current = True
        self.is_suspect = False


class Hold:
    """Credits set aside for one request: `amount` micro-credits, from a lease or (lease None) as a row of its own.

    `period` is the month of the key's limit, None without one. Ends once, by `LeaseBook.settle` or `release`.
    """

    __slots__ = ("amount", "is_open", "lease", "owner", "request_id")

    def __init__(self, request_id: str, amount: Micro, owner: Owner, lease: Lease | None) -> None:
        self.request_id = request_id
        self.amount = amount
        self.owner = owner
        self.lease = lease
        self.is_open = True

    @property
    def lease_id(self) -> str | None:
        """What `Settlement.lease_id` wants: None for a hold that is a row of its own."""
        return None if self.lease is None else self.lease.id

    @property
    def wallet_id(self) -> str:
        return self.owner.wallet_id

    @property
    def period(self) -> str | None:
        return self.owner.period
