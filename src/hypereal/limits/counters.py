"""What one process counts for one subject: its windows, and its requests in flight."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypereal.limits.rolling import HOUR, MINUTE, Cell, RollingWindow

OPEN = "open"
"""The kind under which processes share how many requests they have in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An account or a key, and the ceilings on its traffic; None sets none. Made once per principal, then reused.

    `noun` is what refusals call it ("this account").
    """

    id: str
    noun: str = "account"
    requests_per_hour: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    is_limited: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        ceilings = (self.requests_per_hour, self.requests_per_minute, self.tokens_per_minute, self.concurrency)
        object.__setattr__(self, "is_limited", any(ceiling is not None for ceiling in ceilings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """A refusal: which ceiling was reached, and when a request like this one can be let in (`reset`, unix seconds).

    `retry_after_s` is None when it never can, because it alone passes the ceiling; `reset` is then when the window will
    be empty.
    """

    message: str
    retry_after_s: int | None
    limit: int
    reset: int
    remaining: int = 0


class Counters:
    """The counts of one subject under its ceilings. A window is made when a ceiling first needs it.

    `open` is how many of its requests are in flight here; `queued`, `read_at` and `shares_open` are for sharing.
    """

    __slots__ = (
        "_foreign_open",
        "_foreign_open_until",
        "alone",
        "hour",
        "is_hourly",
        "minute",
        "open",
        "queued",
        "read_at",
        "subject",
        "tokens",
    )

    def __init__(self, subject: Subject) -> None:
        self.hour: RollingWindow | None = None
        self.minute: RollingWindow | None = None
        self.tokens: RollingWindow | None = None
        self.open = 0
        self.queued = False
        self.alone: tuple[tuple[Counters, None]] = ((self, None),)
        self._foreign_open = 0
        self._foreign_open_until = 0.0
        self.set_subject(subject)

    def set_subject(self, subject: Subject) -> None:
        """Count under these ceilings from now on."""
        self.subject = subject
        self.read_at = 0.0
        others = (subject.requests_per_minute, subject.tokens_per_minute, subject.concurrency)
        self.is_hourly = subject.requests_per_hour is not None and others == (None, None, None)
        if self.hour is None and subject.requests_per_hour is not None:
            self.hour = RollingWindow(HOUR)
        if self.minute is None and subject.requests_per_minute is not None:
            self.minute = RollingWindow(MINUTE)
        if self.tokens is None and subject.tokens_per_minute is not None:
            self.tokens = RollingWindow(MINUTE)

    @property
    def shares_open(self) -> bool:
        """Whether other processes need to know how many requests are in flight here."""
        return self.subject.concurrency is not None

    def refuse(self, tokens: int, now: float) -> Limited | None:
        """The first ceiling that a request of so many tokens would pass, or None. Counts nothing."""
        subject = self.subject
        limit = subject.requests_per_hour
        if limit is not None and (window := self.hour) is not None and window.used(now) >= limit:
            return _refusal(subject, window, amount=1, limit=limit, what="requests per hour", now=now)
        limit = subject.requests_per_minute
        if limit is not None and (window := self.minute) is not None and window.used(now) >= limit:
            return _refusal(subject, window, amount=1, limit=limit, what="requests per minute", now=now)
        limit = subject.tokens_per_minute
        if limit is not None and (window := self.tokens) is not None and window.used(now) + tokens > limit:
            return _refusal(subject, window, amount=tokens, limit=limit, what="tokens per minute", now=now)
        limit = subject.concurrency
        if limit is not None and self.open + self._open_elsewhere(now) >= limit:
            message = f"Rate limit exceeded: {limit} requests at once for this {subject.noun}"
            return Limited(message=message, retry_after_s=1, limit=limit, reset=math.ceil(now) + 1)
        return None

    def take(self, tokens: int, now: float) -> Cell | None:
        """Count one request that was let in; the cell in which its tokens are, when tokens are counted."""
        self.open += 1
        if self.hour is not None:
            self.hour.take(1, now)
        if self.minute is not None:
            self.minute.take(1, now)
        return None if self.tokens is None else self.tokens.take(tokens, now)

    def correct(self, cell: Cell, tokens: int, now: float) -> None:
        """Put an estimate right: tokens used beyond it count from now, those not used are given back to `cell`."""
        if self.tokens is None:
            return
        if tokens > 0:
            self.tokens.take(tokens, now)
        else:
            self.tokens.give_back(cell, -tokens)

    def rooms(self) -> Iterator[tuple[int, int, RollingWindow]]:
        """What each window that has a ceiling has left, the ceiling, and the window."""
        for limit, window in (
            (self.subject.requests_per_hour, self.hour),
            (self.subject.requests_per_minute, self.minute),
            (self.subject.tokens_per_minute, self.tokens),
        ):
            if limit is not None and window is not None:
                yield max(0, limit - window.held), limit, window

    def windows(self) -> list[RollingWindow]:
        """The windows that there are."""
        return [window for window in (self.hour, self.minute, self.tokens) if window is not None]

    def hear(self, *, read_at: float, open_until: float) -> None:
        """The other processes' counts up to `read_at` (the database's clock) are about to be given by `hear_count`."""
        self.read_at = read_at
        self._foreign_open = 0
        self._foreign_open_until = open_until

    def hear_count(self, kind: str, bucket: int, *, instance: str, requests: int, tokens: int, now: float) -> None:
        """What another process counted in one shared bucket, or has in flight."""
        if kind == OPEN:
            self._foreign_open += requests
        elif kind == HOUR.kind and self.hour is not None:
            self.hour.set_foreign(bucket, instance, amount=requests, now=now)
        elif kind == MINUTE.kind:
            if self.minute is not None:
                self.minute.set_foreign(bucket, instance, amount=requests, now=now)
            if self.tokens is not None:
                self.tokens.set_foreign(bucket, instance, amount=tokens, now=now)

    def is_idle(self, now: float) -> bool:
        """Whether nothing would be lost by forgetting this subject."""
        return not self.open and not self.queued and not any(window.used(now) for window in self.windows())

    def _open_elsewhere(self, now: float) -> int:
        return self._foreign_open if now < self._foreign_open_until else 0


def _refusal(subject: Subject, window: RollingWindow, *, amount: int, limit: int, what: str, now: float) -> Limited:
    message = f"Rate limit exceeded: {limit} {what} for this {subject.noun}"
    if amount > limit:
        message = f"{message}, and this request alone may need {amount}"
        return Limited(message=message, retry_after_s=None, limit=limit, reset=math.ceil(now + window.span.seconds))
    at = window.leaves_at(window.used(now) + amount - limit)
    return Limited(message=message, retry_after_s=max(1, math.ceil(at - now)), limit=limit, reset=math.ceil(at))
