"""Sharing the windows of several processes through the database, off the path of requests.

Every `interval_s` one statement per process writes what this process admitted since the last time (each bucket whole,
so that a repeated write counts nothing twice) and reads what the others admitted for the same subjects. A process that
starts reads, for each subject it meets, what was counted before it.

**How exact.** In one process a limit is exact. With P processes each hears of an admission elsewhere at most two
intervals later: one until it is written, one until it is read. So a window can hold more than its limit by at most what
the other P - 1 processes admit in two intervals: (P - 1) times 2 times `interval_s` times their requests per second,
and at the very worst, when all of them are hit at once from idle, (P - 1) times the limit. It does not grow with time.
Windows follow the clocks of the hosts: a clock that is off by s seconds shifts what it counted by s.

**Without the database** (`on_store_failure: local`): requests are not refused and not delayed. Each process enforces
the limits on what it admits itself and what it had heard of the others, which leaves the windows as that grows old;
what it admitted meanwhile is written when the database is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import Row, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.limits.counters import OPEN, Counters
from hypereal.limits.rolling import HOUR, MINUTE, RollingWindow
from hypereal.limits.windows import Windows

STATEMENT_TIMEOUT_S = 5.0
OVERLAP_S = 15.0  # three times the longest that a statement's rows can stay invisible after they were stamped
OPEN_TTL_S = 5.0
CLEAN_EVERY_S = 60.0
CLEAN_MARGIN_S = 60

log = structlog.get_logger(__name__)

_EXCHANGE = text(
    """
    WITH written AS (
        INSERT INTO window_counts AS w (subject, kind, bucket, instance, requests, tokens, updated_at)
        SELECT s, k, b, CAST(:instance AS text), r, t, clock_timestamp()
        FROM unnest(CAST(:subjects AS text[]), CAST(:kinds AS text[]), CAST(:buckets AS bigint[]),
                    CAST(:requests AS bigint[]), CAST(:tokens AS bigint[])) AS given (s, k, b, r, t)
        ON CONFLICT (subject, kind, bucket, instance) DO UPDATE
            SET requests = excluded.requests, tokens = excluded.tokens, updated_at = excluded.updated_at
    )
    SELECT extract(epoch FROM clock.at)::float8 AS at, w.subject, w.kind, w.bucket, w.instance, w.requests, w.tokens
    FROM (SELECT clock_timestamp() AS at) AS clock
    LEFT JOIN (
        unnest(CAST(:asked AS text[]), CAST(:sinces AS float8[])) AS asked (subject, since)
        JOIN window_counts AS w ON w.subject = asked.subject AND w.updated_at > to_timestamp(asked.since)
            AND w.instance <> :instance
    ) ON w.kind <> 'open' OR w.updated_at > clock.at - make_interval(secs => :open_ttl)
    """
)

_CLEAN = text(
    """
    DELETE FROM window_counts WHERE kind = 'hour' AND bucket < :hour OR kind = 'minute' AND bucket < :minute
        OR kind = 'open' AND bucket = 0 AND updated_at < clock_timestamp() - make_interval(secs => 60)
    """
)


@dataclass(slots=True)
class _Outgoing:
    """The rows of one exchange, by column, and what must be shared again should it fail."""

    subjects: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    buckets: list[int] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    marks: list[tuple[RollingWindow, int | None]] = field(default_factory=list)

    def collect(self, counters: Counters) -> None:
        """Take what changed in one subject's windows."""
        self._collect_windows(counters.subject.id, HOUR.kind, counters.hour, None)
        self._collect_windows(counters.subject.id, MINUTE.kind, counters.minute, counters.tokens)
        if counters.shares_open:
            self._add(counters.subject.id, OPEN, 0, requests=counters.open, tokens=0)

    def put_back(self) -> None:
        """Have all of it collected again."""
        for window, mark in self.marks:
            window.put_unshared(mark)

    def _collect_windows(
        self, subject: str, kind: str, requests: RollingWindow | None, tokens: RollingWindow | None
    ) -> None:
        marks = [(window, window.take_unshared()) for window in (requests, tokens) if window is not None]
        self.marks += marks
        changed = [mark for _, mark in marks if mark is not None]
        if not changed:
            return
        # From the earlier of both on, because a row holds both counts and is rewritten whole.
        first = min(changed)
        requests_by_start = {} if requests is None else requests.shares_since(first)
        tokens_by_start = {} if tokens is None else tokens.shares_since(first)
        for start in requests_by_start.keys() | tokens_by_start.keys():
            self._add(
                subject, kind, start, requests=requests_by_start.get(start, 0), tokens=tokens_by_start.get(start, 0)
            )

    def _add(self, subject: str, kind: str, bucket: int, *, requests: int, tokens: int) -> None:
        self.subjects.append(subject)
        self.kinds.append(kind)
        self.buckets.append(bucket)
        self.requests.append(requests)
        self.tokens.append(tokens)


class WindowSync:
    """The exchange of one process. `instance` is unique to the process and its start.

    `healthy` tells whether the last exchange succeeded.
    """

    def __init__(
        self,
        windows: Windows,
        engine: AsyncEngine,
        *,
        instance: str,
        interval_s: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is the one that `windows` has."""
        self._windows = windows
        self._engine = engine
        self._instance = instance
        self._interval_s = interval_s
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._clean_at = clock() + CLEAN_EVERY_S * random.uniform(0.5, 1.5)
        self.healthy = True

    def start(self) -> None:
        """Exchange every `interval_s`, in a task of the running loop."""
        self._task = asyncio.create_task(self._run(), name="limits.sync")

    async def stop(self) -> None:
        """End the task, and say a last time what was admitted."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        await self.exchange()

    async def exchange(self) -> bool:
        """Write and read once; whether the database answered. A failure loses nothing: the next one makes up for it."""
        queue = self._windows.drain()
        outgoing = _Outgoing()
        for counters in queue:
            outgoing.collect(counters)
        is_done = False
        try:
            rows = await self._execute(queue, outgoing) if queue else []
            is_done = True
        except (SQLAlchemyError, OSError, TimeoutError) as exc:
            self._note(healthy=False, error=type(exc).__name__)
            return False
        finally:
            if not is_done:
                outgoing.put_back()
                self._windows.enqueue(*queue)
        self._note(healthy=True)
        self._take_in(queue, rows)
        return True

    async def clean(self) -> None:
        """Delete the rows that have left every window."""
        now = int(self._clock())
        cutoffs = {"hour": now - HOUR.seconds - CLEAN_MARGIN_S, "minute": now - MINUTE.seconds - CLEAN_MARGIN_S}
        async with asyncio.timeout(STATEMENT_TIMEOUT_S), self._engine.begin() as connection:
            await connection.execute(_CLEAN, cutoffs)

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._interval_s)
                is_done = await self.exchange()
                self._windows.sweep()
                if is_done and self._clock() >= self._clean_at:
                    self._clean_at = self._clock() + CLEAN_EVERY_S * random.uniform(0.5, 1.5)
                    with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
                        await self.clean()
        finally:
            self.healthy = False

    async def _execute(self, queue: Sequence[Counters], outgoing: _Outgoing) -> Sequence[Row[Any]]:
        values = {
            "instance": self._instance,
            "subjects": outgoing.subjects,
            "kinds": outgoing.kinds,
            "buckets": outgoing.buckets,
            "requests": outgoing.requests,
            "tokens": outgoing.tokens,
            "asked": [counters.subject.id for counters in queue],
            "sinces": [counters.read_at for counters in queue],
            "open_ttl": OPEN_TTL_S,
        }
        async with asyncio.timeout(STATEMENT_TIMEOUT_S), self._engine.begin() as connection:
            return (await connection.execute(_EXCHANGE, values)).all()

    def _take_in(self, queue: Sequence[Counters], rows: Sequence[Row[Any]]) -> None:
        now = self._clock()
        by_subject = {counters.subject.id: counters for counters in queue}
        for counters in queue:
            counters.hear(read_at=max(0.0, rows[0].at - OVERLAP_S), open_until=now + OPEN_TTL_S)
            if counters.shares_open and counters.open:
                self._windows.enqueue(counters)
        for row in rows:
            if row.subject is not None:
                by_subject[row.subject].hear_count(
                    row.kind, row.bucket, instance=row.instance, requests=row.requests, tokens=row.tokens, now=now
                )

    def _note(self, *, healthy: bool, error: str | None = None) -> None:
        if healthy != self.healthy:
            log.warning("limits.shared" if healthy else "limits.local_only", error=error)
        self.healthy = healthy
