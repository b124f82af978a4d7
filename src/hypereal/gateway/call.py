"""One call: what is known of a request between its first byte and its row in the log."""

from __future__ import annotations

import msgspec

from hypereal.billing import pricing
from hypereal.billing.lease import Hold
from hypereal.gateway.affinity import affinity_key, family_of
from hypereal.gateway.downstream import Downstream
from hypereal.gateway.failover import Exchange
from hypereal.gateway.plan import Plan
from hypereal.gateway.records import Settlement
from hypereal.identity.principal import Principal
from hypereal.kit.money import ZERO, Micro
from hypereal.limits.windows import Admission
from hypereal.wire.base import Endpoint, Usage

NO_USAGE = Usage()


class Call(msgspec.Struct, kw_only=True):
    """A request and its progress. `started` is in the event loop's time, `at` seconds since the epoch; `charged` is
    what its hold has ended with, and still has to be written down; `is_open` says that its client's stream is."""

    endpoint: Endpoint
    request_id: str
    downstream: Downstream
    started: float
    at: float
    principal: Principal
    limit_fields: bytes = b""
    asked_for: str = ""
    plan: Plan | None = None
    admission: Admission | None = None
    hold: Hold | None = None
    charged: Micro = ZERO
    exchange: Exchange | None = None
    first_token_at: float | None = None
    is_open: bool = False

    def settlement(
        self,
        *,
        now: float,
        status: int,
        credits: int = 0,  # noqa: A002 - the spec's word
        usage: Usage = NO_USAGE,
        basis: str = "provider",
        error: str | None = None,
    ) -> Settlement:
        """The record of this call as it stands: `now` in the event loop's time."""
        plan, exchange, hold = self.plan, self.exchange, self.hold
        route = exchange.route if exchange is not None else None
        first = self.first_token_at
        # By position: for keywords msgspec would search its 26 fields each time, which takes eight times as long.
        return Settlement(
            self.request_id,
            self.at,
            self.principal.wallet_id,
            self.principal.key_id,
            hold.lease_id if hold is not None else "",
            hold.period if hold is not None else None,
            credits,
            self.endpoint.path,
            plan.model.id if plan is not None else _storable(self.asked_for),
            route.model.id if route is not None else None,
            route.target.upstream.id if route is not None else None,
            exchange.attempts if exchange is not None else 0,
            status,
            plan.envelope.stream if plan is not None else False,
            usage.input,
            usage.cache_read,
            usage.cache_write,
            usage.output,
            usage.reasoning,
            basis,
            int((now - self.started) * 1000),
            int((first - self.started) * 1000) if first is not None else None,
            _storable(error) if error is not None else None,
            usage.cache_write_1h,
            pricing.cache_savings(usage, route.model.price) if route is not None and credits else 0,
            self._cache_family(usage),
        )

    def _cache_family(self, usage: Usage) -> str:
        """Which other requests may find what this one wrote to a cache; "" when it used none."""
        if self.plan is None or usage.input == usage.input_total:
            return ""
        key = affinity_key(self.plan.model.id, self.plan.envelope)
        return family_of(key) if key is not None else ""


def _storable(told: str) -> str:
    """Words of a client or an upstream as the database takes them: it refuses NUL, and the whole batch with it."""
    return told.replace("\0", "")
