"""Caches that were written for nothing: what was paid for to be kept, and expired before anything read it.

A cache is written dearer than plain input costs, so one that nobody reads is a loss (a prefix that differs from request
to request, a session that goes to another provider each time). Kept in memory for as long as a cache lives, bounded,
and forgotten with the process. Time is that of the records.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

MINUTES_S = 300.0
HOUR_S = 3600.0
MAX_PREFIXES = 20_000  # for each lifetime; about 6 MB
UNREAD = "unread"


class Prefix(NamedTuple):
    """What can be cached: the start of the prompts of one session, for a model of a provider."""

    model: str
    provider: str
    family: str


class _Lifetime:
    """Writes that are kept for the same time, so that the oldest is the first to be lost."""

    def __init__(self, ttl_s: float, max_prefixes: int) -> None:
        self._ttl_s = ttl_s
        self._max_prefixes = max_prefixes
        self._waiting: dict[Prefix, tuple[int, float]] = {}

    def read(self, prefix: Prefix) -> None:
        self._waiting.pop(prefix, None)

    def written(self, prefix: Prefix, tokens: int, at: float) -> None:
        before, _ = self._waiting.pop(prefix, (0, 0.0))
        self._waiting[prefix] = before + tokens, at + self._ttl_s

    def take_lost(self, now: float, lost: Counter[tuple[str, str, str]]) -> None:
        """Add up what has expired by `now`, and the oldest of what is too much to remember."""
        while self._waiting:
            prefix = next(iter(self._waiting))
            tokens, expires_at = self._waiting[prefix]
            if expires_at > now and len(self._waiting) <= self._max_prefixes:
                break
            del self._waiting[prefix]
            lost[prefix.model, prefix.provider, UNREAD] += tokens


class Unread:
    """Follows what was written to caches until it is read or lost."""

    def __init__(self, *, max_prefixes: int = MAX_PREFIXES) -> None:
        self._minutes = _Lifetime(MINUTES_S, max_prefixes)
        self._hour = _Lifetime(HOUR_S, max_prefixes)

    def read(self, prefix: Prefix) -> None:
        """Something of this prefix was read: what was written of it was not for nothing."""
        self._minutes.read(prefix)
        self._hour.read(prefix)

    def written(self, prefix: Prefix, at: float, *, minutes: int, hour: int) -> None:
        """So many tokens were written, to be kept for minutes and for an hour; `at` is seconds since the epoch."""
        if minutes:
            self._minutes.written(prefix, minutes, at)
        if hour:
            self._hour.written(prefix, hour, at)

    def take_lost(self, now: float) -> Counter[tuple[str, str, str]]:
        """Tokens that were written and by `now` never read, by model, provider and "unread", each told once."""
        lost: Counter[tuple[str, str, str]] = Counter()
        self._minutes.take_lost(now, lost)
        self._hour.take_lost(now, lost)
        return lost
