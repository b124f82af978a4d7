"""Whether this process should get traffic: the checks that decide it, and an answer that is cheap to ask for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

CHECK_TIMEOUT_S = 2.0
OK = "ok"

Check = Callable[[], Awaitable[str | None]]
"""Looks at one thing; None when it is well, else a few words about what is wrong. An exception counts as not well."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether this process should get traffic, and the state of each thing that this depends on."""

    is_ready: bool
    checks: Mapping[str, str]


class ReadinessProbe:
    """Runs the checks together, at most once in `ttl_s` seconds: anybody may ask, without a key."""

    def __init__(
        self, checks: Mapping[str, Check], *, ttl_s: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._checks = dict(checks)
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = asyncio.Lock()
        self._last: Readiness | None = None
        self._good_until = 0.0
        self._is_stopping = False

    def stop(self) -> None:
        """From now on the answer is no: this process finishes what it has and takes nothing new."""
        self._is_stopping = True

    async def check(self) -> Readiness:
        """The state now, or as it was less than `ttl_s` ago."""
        if self._is_stopping:
            return Readiness(is_ready=False, checks={"stopping": "this server is stopping"})
        async with self._lock:
            if self._last is None or self._clock() >= self._good_until:
                self._last = await self._look()
                self._good_until = self._clock() + self._ttl_s
            return self._last

    async def _look(self) -> Readiness:
        states = await asyncio.gather(*(_run(name, check) for name, check in self._checks.items()))
        found = dict(zip(self._checks, states, strict=True))
        return Readiness(is_ready=all(state == OK for state in states), checks=found)


async def _run(name: str, check: Check) -> str:
    """The words for one check. What went wrong exactly is for the log: this answer is public."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check() or OK
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_S:g} s"
    except Exception as exc:  # noqa: BLE001  a check may fail in any way of the thing that it looks at
        log.warning("readiness.check_failed", check=name, error=repr(exc))
        return "failed"
