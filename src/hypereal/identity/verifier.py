"""From the secret that a request carries to who is calling. Known keys cost a hash and a dictionary look-up.

A cached key is dropped by a message (`identity.changes`) as soon as it is changed or revoked anywhere. While the
listener's line is down nothing is believed for longer than `UNHEARD_TTL_S`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Row, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.errors import Unauthorized, Unavailable
from hypereal.identity.changes import Change, Changes
from hypereal.identity.principal import NO_LIMITS, Limits, Principal
from hypereal.identity.recent import RecentMap
from hypereal.identity.tables import Account, ApiKey
from hypereal.kit.ids import KEY_PREFIX, hash_key

UNHEARD_TTL_S = 1.0
REFUSAL_TTL_S = 5.0
LOOKUP_TIMEOUT_S = 5.0
REFUSALS_KEPT = 10_000
LOOKUPS_WAITING = 10_000
LOOKUPS_AT_ONCE = 500
PREFIX = KEY_PREFIX.encode()

WRONG_PREFIX = "Invalid API key: a key begins with ck_"
UNKNOWN = "Invalid API key: there is no such key"
EXPIRED = "This API key has expired"
DISABLED = "This API key is disabled"
UNCHECKED = "The API key could not be checked; try again"

log = structlog.get_logger(__name__)

_LIMITS = ("requests_per_hour", "requests_per_minute", "tokens_per_minute", "concurrency")
_QUERY = select(
    *ApiKey.__table__.columns,
    *(getattr(Account, name).label(f"account_{name}") for name in _LIMITS),
).join(Account, Account.id == ApiKey.account_id)


class _Entry(NamedTuple):
    principal: Principal
    good_until: float


class _Refusal(NamedTuple):
    message: str
    good_until: float


class Verifier:
    """Verifies keys for one process.

    `find` is for the hot path and answers from memory; `verify` asks the database when it must. Unknown keys cannot
    hammer the database: refusals are remembered for a few seconds, and whatever the number of callers there is one
    query at a time, which answers all that wait.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        changes: Changes,
        *,
        account_defaults: Limits = NO_LIMITS,
        capacity: int = 100_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`account_defaults` apply where an account sets no limit of its own; `clock` is seconds since the epoch."""
        self._engine = engine
        self._changes = changes
        self._defaults = account_defaults
        self._clock = clock
        self._known: RecentMap[bytes, _Entry] = RecentMap(capacity)
        self._refused: RecentMap[bytes, _Refusal] = RecentMap(REFUSALS_KEPT)
        self._pending: dict[bytes, asyncio.Future[Principal | str | None]] = {}
        self._drainer: asyncio.Task[None] | None = None
        self._heard = 0
        changes.on("key", self._key_changed)
        changes.on("account", self._account_changed)
        changes.on_gap(self.forget)

    def find(self, secret: bytes, now: float | None = None) -> Principal | None:
        """The holder of a key that this process knows, or None: then `verify` decides. Never waits.

        `now` is seconds since the epoch, for callers that have just read the clock.
        """
        entry = self._known.get(hash_key(secret))
        if entry is None or entry.good_until <= (self._clock() if now is None else now):
            return None
        return entry.principal

    async def verify(self, secret: bytes | None) -> Principal | Unauthorized | Unavailable:
        """The holder of the key, or the refusal to answer with: a fresh error that echoes nothing of the key.

        `Unavailable` when the database could not be asked.
        """
        if not secret:
            return Unauthorized()
        if not secret.startswith(PREFIX):
            return Unauthorized(WRONG_PREFIX)
        known = self.find(secret)
        if known is not None:
            return known
        digest = hash_key(secret)
        refusal = self._refused.get(digest)
        if refusal is not None and refusal.good_until > self._clock():
            return Unauthorized(refusal.message)
        outcome = await self._ask(digest)
        if outcome is None:
            return Unavailable(UNCHECKED, retry_after_s=1)
        return Unauthorized(outcome) if isinstance(outcome, str) else outcome

    def forget(self) -> None:
        """Drop all that is cached: messages may have been missed."""
        self._heard += 1
        self._known.clear()
        self._refused.clear()

    async def close(self) -> None:
        """Wait for the query that is under way, if any."""
        if self._drainer is not None:
            await asyncio.wait([self._drainer])

    async def _ask(self, digest: bytes) -> Principal | str | None:
        waiting = self._pending.get(digest)
        if waiting is None:
            if len(self._pending) >= LOOKUPS_WAITING:
                return None
            waiting = self._pending[digest] = asyncio.get_running_loop().create_future()
            if self._drainer is None or self._drainer.done():
                self._drainer = asyncio.create_task(self._drain(), name="identity.verifier")
        # Shielded: several callers may wait for it, and one that goes away must not take it from the others.
        return await asyncio.shield(waiting)

    async def _drain(self) -> None:
        while self._pending:
            batch = list(self._pending)[:LOOKUPS_AT_ONCE]
            outcomes: dict[bytes, Principal | str] = {}
            try:
                outcomes = await self._load(batch)
            except (SQLAlchemyError, OSError, TimeoutError) as exc:
                log.warning("verifier.lookup_failed", error=type(exc).__name__)
            finally:
                for digest in batch:
                    waiting = self._pending.pop(digest)
                    if not waiting.done():
                        waiting.set_result(outcomes.get(digest))

    async def _load(self, digests: list[bytes]) -> dict[bytes, Principal | str]:
        heard = self._heard
        async with asyncio.timeout(LOOKUP_TIMEOUT_S), self._engine.connect() as connection:
            result = await connection.execute(_QUERY.where(ApiKey.digest.in_(digests)))
            rows = {row.digest: row for row in result}
        now = self._clock()
        # A change heard while the query ran may be about a row that it had read before: believe it only briefly.
        is_certain = self._changes.healthy and heard == self._heard
        outcomes: dict[bytes, Principal | str] = {}
        for digest in digests:
            row = rows.get(digest)
            outcome = UNKNOWN if row is None else self._judge(row, now)
            self._remember(digest, outcome, now=now, is_certain=is_certain)
            outcomes[digest] = outcome
        return outcomes

    def _remember(self, digest: bytes, outcome: Principal | str, *, now: float, is_certain: bool) -> None:
        if isinstance(outcome, str):
            ttl_s = REFUSAL_TTL_S if is_certain else UNHEARD_TTL_S
            self._refused.put(digest, _Refusal(outcome, now + ttl_s))
            return
        expires = math.inf if outcome.expires_at is None else outcome.expires_at
        self._known.put(digest, _Entry(outcome, expires if is_certain else min(expires, now + UNHEARD_TTL_S)))

    def _judge(self, row: Row[Any], now: float) -> Principal | str:
        if row.disabled_at is not None:
            return DISABLED
        expires_at = None if row.expires_at is None else row.expires_at.timestamp()
        if expires_at is not None and expires_at <= now:
            return EXPIRED
        own = {name: getattr(row, f"account_{name}") for name in _LIMITS}
        limits = {name: getattr(self._defaults, name) if own[name] is None else own[name] for name in _LIMITS}
        return Principal(
            account_id=row.account_id,
            wallet_id=row.account_id,
            key_id=row.id,
            key_name=row.name,
            scopes=None if row.scopes is None else frozenset(row.scopes),
            allowed_models=None if row.allowed_models is None else frozenset(row.allowed_models),
            spending_limit=row.spending_limit,
            auto_disable=row.auto_disable,
            expires_at=expires_at,
            account_limits=Limits(**limits),
            key_limits=Limits(**{name: getattr(row, name) for name in _LIMITS}),
        )

    def _key_changed(self, change: Change) -> None:
        self._heard += 1
        if change.digest is None:
            self._known.discard(lambda entry: entry.principal.key_id == change.id)
            self._refused.clear()
            return
        digest = bytes.fromhex(change.digest)
        self._known.pop(digest)
        self._refused.pop(digest)

    def _account_changed(self, change: Change) -> None:
        self._heard += 1
        self._known.discard(lambda entry: entry.principal.account_id == change.id)
