"""Who is calling: what a verified key allows. A frozen value, cached in memory by the hash of the key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Ceilings on one subject's traffic; None sets none."""

    requests_per_hour: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The holder of a key. `wallet_id` equals `account_id`; `spending_limit` is micro-credits a month.

    `allowed_models` and `scopes` allow everything when None. `expires_at` is seconds since the epoch.
    """

    account_id: str
    wallet_id: str
    key_id: str
    key_name: str = ""
    scopes: frozenset[str] | None = None
    allowed_models: frozenset[str] | None = None
    spending_limit: int | None = None
    auto_disable: bool = False
    expires_at: float | None = None
    account_limits: Limits = NO_LIMITS
    key_limits: Limits = NO_LIMITS

    def may(self, scope: str) -> bool:
        """Whether the key's scopes cover `scope` (`inference`, `keys:write`, …)."""
        return self.scopes is None or scope in self.scopes

    def may_call(self, model_id: str, aliases: Iterable[str]) -> bool:
        """Whether the key's list of models, if it has one, names a model by its id or by an alias."""
        allowed = self.allowed_models
        return allowed is None or model_id in allowed or not allowed.isdisjoint(aliases)
