"""One rolling window: how much was counted in its last hour or minute, here and in the other processes.

Pure arithmetic on the time that it is given; limits are its callers' affair.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A kind of window: `seconds` long, counted in buckets of 1/`per_second`, and shared with the other processes in
    coarser buckets of `share_s`."""

    kind: str
    seconds: int
    per_second: int
    share_s: int


HOUR = Span(kind="hour", seconds=3600, per_second=1, share_s=10)
MINUTE = Span(kind="minute", seconds=60, per_second=10, share_s=1)


class Cell:
    """What was counted in one bucket."""

    __slots__ = ("amount", "bucket")

    def __init__(self, bucket: int, amount: int) -> None:
        self.bucket = bucket
        self.amount = amount


class RollingWindow:
    """Counts conservatively: a bucket is in the window until its last instant has left it.

    So no stretch of `span.seconds`, wherever it begins, ever holds more than was allowed. Only buckets in which
    something was counted take memory. Times are seconds since the epoch; should they go back, the latest bucket stays.
    """

    __slots__ = (
        "_cells",
        "_foreign",
        "_foreign_due",
        "_foreign_total",
        "_length",
        "_rate",
        "_total",
        "_unshared",
        "span",
    )

    def __init__(self, span: Span) -> None:
        self.span = span
        self._rate = span.per_second
        self._length = span.seconds * span.per_second
        self._cells: deque[Cell] = deque()
        self._total = 0
        self._foreign: dict[tuple[int, str], int] = {}
        self._foreign_total = 0
        self._foreign_due = math.inf
        self._unshared: int | None = None

    def used(self, now: float) -> int:
        """What the window holds at `now`."""
        oldest = int(now * self._rate) - self._length
        cells = self._cells
        while cells and cells[0].bucket < oldest:
            self._total -= cells.popleft().amount
        if now >= self._foreign_due:
            self._drop_foreign(now)
        return self._total + self._foreign_total

    def take_one(self, limit: int, now: float) -> int:
        """Count one at `now` if that stays within `limit`; what is left then, or -1 when nothing was counted."""
        bucket = int(now * self._rate)
        cells = self._cells
        if not cells or cells[-1].bucket != bucket or now >= self._foreign_due:
            left = limit - self.used(now)
            if left <= 0:
                return -1
            self.take(1, now)
            return left - 1
        # Within a bucket that is counted already nothing can have left the window but by the clock's going back.
        left = limit - self._total - self._foreign_total
        if left <= 0:
            return -1
        cells[-1].amount += 1
        self._total += 1
        if self._unshared is None:
            self._unshared = bucket
        return left - 1

    def take(self, amount: int, now: float) -> Cell:
        """Count `amount` at `now`."""
        bucket = int(now * self._rate)
        cells = self._cells
        if cells and cells[-1].bucket >= bucket:
            cell = cells[-1]
            cell.amount += amount
        else:
            cell = Cell(bucket, amount)
            cells.append(cell)
        self._total += amount
        if self._unshared is None:
            self._unshared = cell.bucket
        return cell

    def give_back(self, cell: Cell, amount: int) -> None:
        """Take `amount` off what was counted in `cell`; nothing happens when that has left the window."""
        if not self._cells or cell.bucket < self._cells[0].bucket:
            return
        cell.amount -= amount
        self._total -= amount
        if self._unshared is None or cell.bucket < self._unshared:
            self._unshared = cell.bucket

    def leaves_at(self, amount: int) -> float:
        """When the oldest `amount` of what is counted will have left the window; infinity when there is less."""
        for at, counted in heapq.merge(self._own_departures(), self._foreign_departures()):
            amount -= counted
            if amount <= 0:
                return at
        return math.inf

    def first_leaves_at(self, now: float) -> float:
        """When something next leaves the window; `now` when it is empty."""
        first = self._foreign_due
        if self._cells:
            own = (self._cells[0].bucket + self._length + 1) / self._rate
            return min(first, own)
        return now if first == math.inf else first

    @property
    def held(self) -> int:
        """What the window held when it was last used, with what was taken since."""
        return self._total + self._foreign_total

    def take_unshared(self) -> int | None:
        """The first bucket that changed since this was last called, or None; for `shares_since`."""
        bucket, self._unshared = self._unshared, None
        return bucket

    def put_unshared(self, bucket: int | None) -> None:
        """Undo `take_unshared`: what changed could not be shared."""
        if bucket is not None:
            self._unshared = bucket if self._unshared is None else min(bucket, self._unshared)

    def shares_since(self, bucket: int) -> dict[int, int]:
        """The shared buckets from the one that holds `bucket` on, each whole: start in seconds → amount."""
        first = self._share_start(bucket)
        shares: dict[int, int] = {}
        for cell in reversed(self._cells):
            start = self._share_start(cell.bucket)
            if start < first:
                break
            shares[start] = shares.get(start, 0) + cell.amount
        return shares

    def set_foreign(self, start: int, instance: str, *, amount: int, now: float) -> None:
        """Another process' count of one shared bucket, which replaces what was known of it."""
        leaves_at = self._foreign_leaves_at(start)
        if leaves_at <= now:
            return
        self._foreign_total += amount - self._foreign.get((start, instance), 0)
        self._foreign[start, instance] = amount
        self._foreign_due = min(self._foreign_due, leaves_at)

    def _share_start(self, bucket: int) -> int:
        return bucket // (self._rate * self.span.share_s) * self.span.share_s

    def _foreign_leaves_at(self, start: int) -> int:
        return start + self.span.share_s + self.span.seconds

    def _drop_foreign(self, now: float) -> None:
        for key in [key for key in self._foreign if self._foreign_leaves_at(key[0]) <= now]:
            self._foreign_total -= self._foreign.pop(key)
        self._foreign_due = min((self._foreign_leaves_at(start) for start, _ in self._foreign), default=math.inf)

    def _own_departures(self) -> Iterator[tuple[float, int]]:
        for cell in self._cells:
            yield (cell.bucket + self._length + 1) / self._rate, cell.amount

    def _foreign_departures(self) -> Iterator[tuple[float, int]]:
        for (start, _), amount in sorted(self._foreign.items()):
            yield self._foreign_leaves_at(start), amount
