"""Rate limits of one process: whether a request may begin. In memory, synchronous, no I/O.

What other processes admit comes in through `limits.sync`. Knows nothing of accounts or keys but their ids and ceilings.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence

from hypereal.limits.counters import Counters, Limited, Subject
from hypereal.limits.rolling import Cell, RollingWindow

_Taken = tuple[Counters, Cell | None]
_Shown = tuple[int | None, int, int]


class Admission:
    """A request that was let in. `finish` must be called when it ends; being forgotten counts as that.

    `limit`, `remaining` and `reset` (unix seconds, when something next leaves the window) are for the
    `X-RateLimit-*` headers; `limit` is None when no window applies.
    """

    __slots__ = ("_taken", "_tokens", "_windows", "limit", "remaining", "reset")

    def __init__(self, windows: Windows, taken: Sequence[_Taken], tokens: int, shown: _Shown) -> None:
        self._windows: Windows | None = windows
        self._taken = taken
        self._tokens = tokens
        self.limit, self.remaining, self.reset = shown

    def finish(self, tokens_used: int | None = None) -> None:
        """The request is over: it is no longer in flight, and the tokens it used replace the estimate.

        None keeps the estimate. Only the first call does anything.
        """
        windows, self._windows = self._windows, None
        if windows is not None:
            windows.finish(self._taken, 0 if tokens_used is None else tokens_used - self._tokens)

    def __del__(self) -> None:
        # A request whose coroutine is thrown away must not keep its place for ever.
        self.finish()


class Windows:
    """The limits of one process; exact within it. Not for use from several threads."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` is seconds since the epoch: processes share their counts by it."""
        self._clock = clock
        self._counters: dict[str, Counters] = {}
        self._queue: list[Counters] = []
        self._sweeping: Iterator[Counters] = iter(())

    def admit(self, subjects: Sequence[Subject], tokens_estimate: int = 0) -> Admission | Limited:
        """Let a request in under the ceilings of all `subjects`, or refuse it: then nothing is counted.

        The headers show the window of all subjects that has the smallest part of its ceiling left.
        """
        now = self._clock()
        if len(subjects) == 1:
            counters = self._find(subjects[0])
            if counters.is_hourly:
                return self._admit_hourly(counters, now)
        involved: list[Counters] = []
        for subject in subjects:
            if subject.is_limited:
                counters = self._find(subject)
                refusal = counters.refuse(tokens_estimate, now)
                if refusal is not None:
                    return refusal
                involved.append(counters)
        taken = [(counters, counters.take(tokens_estimate, now)) for counters in involved]
        return Admission(self, taken, tokens_estimate, _shown(involved, now))

    def _admit_hourly(self, counters: Counters, now: float) -> Admission | Limited:
        """The common case: one subject with nothing but an hourly ceiling."""
        window, limit = counters.hour, counters.subject.requests_per_hour
        if window is None or limit is None or (left := window.take_one(limit, now)) < 0:
            return counters.refuse(0, now) or Admission(self, (), 0, (None, 0, 0))
        counters.open += 1
        return Admission(self, counters.alone, 0, (limit, left, math.ceil(window.first_leaves_at(now))))

    def show(self, subjects: Sequence[Subject]) -> tuple[int | None, int, int]:
        """Limit, remaining and reset as `admit` would show them, without counting anything."""
        now = self._clock()
        involved = [self._find(subject) for subject in subjects if subject.is_limited]
        for counters in involved:
            counters.refuse(0, now)
        return _shown(involved, now)

    def finish(self, taken: Sequence[_Taken], correction: int) -> None:
        """The end of an admitted request: what `Admission.finish` does, which is what to call."""
        for counters, cell in taken:
            counters.open -= 1
            if correction and cell is not None:
                counters.correct(cell, correction, self._clock())
                self.enqueue(counters)
            elif counters.subject.concurrency is not None:
                self.enqueue(counters)

    def enqueue(self, *several: Counters) -> None:
        """Have these subjects given by the next `drain`."""
        for counters in several:
            if not counters.queued:
                counters.queued = True
                self._queue.append(counters)

    def drain(self) -> list[Counters]:
        """The subjects with traffic since the last call. Must be called regularly, or memory is not given back."""
        queue, self._queue = self._queue, []
        for counters in queue:
            counters.queued = False
        return queue

    def sweep(self, at_most: int = 2000) -> None:
        """Forget some of the subjects that have been idle for longer than their windows; call it again for more."""
        now = self._clock()
        batch = list(itertools.islice(self._sweeping, at_most))
        if not batch:
            self._sweeping = iter(list(self._counters.values()))
        for counters in batch:
            if counters.is_idle(now):
                self._counters.pop(counters.subject.id, None)

    def __len__(self) -> int:
        """How many subjects are remembered."""
        return len(self._counters)

    def _find(self, subject: Subject) -> Counters:
        counters = self._counters.get(subject.id)
        if counters is None:
            counters = self._counters[subject.id] = Counters(subject)
        elif counters.subject is not subject and counters.subject != subject:
            counters.set_subject(subject)
        if not counters.queued:
            counters.queued = True
            self._queue.append(counters)
        return counters


def _shown(involved: Sequence[Counters], now: float) -> _Shown:
    """Limit, remaining and reset of the window that has the smallest part of its ceiling left: the first to refuse a
    client that goes on as it does. Of equals, the first."""
    rooms = [room for counters in involved for room in counters.rooms()]
    if not rooms:
        return None, 0, 0
    remaining, limit, window = min(rooms, key=_part_left)
    return limit, remaining, math.ceil(window.first_leaves_at(now))


def _part_left(room: tuple[int, int, RollingWindow]) -> float:
    return room[0] / room[1]
