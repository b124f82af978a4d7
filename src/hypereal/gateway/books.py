"""The books of one process: what a call holds, what it is charged, and the journal that remembers it.

Money moves in three steps: a hold before the first attempt, a charge once the bill is known, and one record in the
journal, after which the charge is safe from anything that may happen to the process (credits.md).
"""

from __future__ import annotations

import msgspec
import structlog

from hypereal.billing import pricing
from hypereal.billing.journal import Journal
from hypereal.billing.lease import LeaseBook, Short, WalletUnavailable
from hypereal.catalog.types import Price
from hypereal.errors import HyperealError, InsufficientCredits, SpendingLimitReached, Unavailable
from hypereal.gateway.call import Call
from hypereal.gateway.records import Opened, Progress, Settlement
from hypereal.kit.drive import in_task
from hypereal.kit.money import ZERO, Micro, credits_number
from hypereal.wire.base import Usage

log = structlog.get_logger(__name__)
_encode = msgspec.msgpack.Encoder().encode


class Books:
    """Holds, charges and records. One for each event loop."""

    def __init__(self, leases: LeaseBook, journal: Journal) -> None:
        self._leases = leases
        self._journal = journal
        self._open_streams: dict[str, Call] = {}

    def why_closed(self) -> HyperealError | None:
        """Why nothing can be written down at the moment; a request that can't be is not served."""
        if not self._journal.is_full:
            return None
        return Unavailable("The server can't keep its books at the moment; try again", retry_after_s=5)

    def try_hold(self, call: Call, amount: Micro) -> None:
        """Hold what a call may cost, if memory knows that the wallet has it; else it has no hold yet."""
        principal = call.principal
        call.hold = self._leases.try_hold(
            principal.wallet_id, principal.key_id, principal.spending_limit, call.request_id, amount
        )

    async def hold(self, call: Call, amount: Micro) -> HyperealError | None:
        """Hold what a call may cost, with the database's help; or why it can't be."""
        principal = call.principal
        await in_task()
        try:
            hold = await self._leases.hold(
                principal.wallet_id, principal.key_id, principal.spending_limit, call.request_id, amount
            )
        except WalletUnavailable:
            return Unavailable("The wallet could not be reached; try again", retry_after_s=1)
        if isinstance(hold, Short):
            return _short(hold)
        call.hold = hold
        return None

    async def charge(self, call: Call, cost: Micro, price: Price) -> Micro:
        """End the hold; what is charged of a cost: no more than the model may pass its hold by, and than there is."""
        hold = call.hold
        if hold is None:
            return ZERO
        wanted = min(cost, pricing.may_charge(hold.amount, price))
        if not self._leases.covers(hold, wanted):
            await in_task()
            try:
                await self._leases.extend(hold, Micro(wanted - hold.amount))
            except WalletUnavailable:
                log.warning("charge.cut", request_id=call.request_id, wanted=wanted, held=hold.amount)
        call.charged = self._leases.settle(hold, wanted)
        return call.charged

    def open(self, call: Call, *, now: float, price: Price) -> None:
        """A stream has begun: from here on the answer is owed for, whatever becomes of this process."""
        usage, owed = self._so_far(call, 1, price)
        self._append(Opened(call.settlement(now=now, status=200, credits=owed, usage=usage, basis="estimated")))
        self._open_streams[call.request_id] = call

    def settle(self, call: Call, usage: Usage | None, record: Settlement) -> None:
        """Write a call down as it ended."""
        if call.hold is not None and not record.credits:
            self._leases.release(call.hold)
        self._append(record)
        self._open_streams.pop(call.request_id, None)
        call.hold = None
        if call.admission is not None:
            call.admission.finish(0 if usage is None else usage.input_total + usage.output_total)
            call.admission = None

    def leave(self, call: Call) -> None:
        """However a call ended, nothing of it stays behind."""
        self._open_streams.pop(call.request_id, None)
        if call.hold is not None and call.hold.is_open:
            self._leases.release(call.hold)
        elif call.hold is not None:  # a fault came between the charge and its record
            self._leases.take_back(call.hold, call.charged)
        call.hold = None
        if call.admission is not None:
            call.admission.finish(0)

    def note_progress(self) -> None:
        """Journal how far each open stream has come; called about once a second."""
        for call in self._open_streams.values():
            exchange = call.exchange
            if exchange is None or exchange.relay is None or exchange.route is None:
                continue
            tokens = exchange.relay.tokens_so_far()
            _, owed = self._so_far(call, tokens, exchange.route.model.price)
            self._append(Progress(request_id=call.request_id, credits=owed, output_tokens=tokens))

    @staticmethod
    def _so_far(call: Call, tokens: int, price: Price) -> tuple[Usage, Micro]:
        """What so many tokens of output have likely used, and what is owed for that within the hold."""
        usage = call.plan.likely_usage(tokens) if call.plan is not None else Usage(output=tokens)
        held = call.hold.amount if call.hold is not None else ZERO
        return usage, min(pricing.cost(usage, price), held)

    def _append(self, record: Settlement | Opened | Progress) -> None:
        self._journal.append(_encode(record))


def _short(short: Short) -> HyperealError:
    kind = SpendingLimitReached if short.reason == "limit" else InsufficientCredits
    return kind(required=credits_number(short.required), available=credits_number(short.available))
