"""Deadlines for thousands of exchanges with one timer.

A timer of the event loop for each request would cost more than the request's own policy work. A `Watch` looks at all
watched things ten times a second instead; a deadline is therefore kept to within a tenth of a second.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

TICK_S = 0.1


class Watched(Protocol):
    """Something with a deadline in the event loop's time."""

    deadline: float

    def expired(self) -> None:
        """Called once the deadline has passed, again on each tick until the deadline moves or the watch ends."""
        ...


class Watch:
    """The watched things of one event loop. `add` and `discard` are a set's; the timer runs while there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.time = loop.time
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.discard = self._watched.discard

    def add(self, thing: Watched) -> None:
        self._watched.add(thing)
        if self._timer is None:
            self._timer = self.loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        now = self.loop.time()
        due = [thing for thing in self._watched if thing.deadline <= now]
        try:
            while due:
                due[-1].expired()
                due.pop()
        finally:
            self._watched.difference_update(due[-1:])  # one that raised has had its say: it must not end the others
            self._timer = self.loop.call_later(TICK_S, self._tick) if self._watched else None

    def close(self) -> None:
        """Stop ticking; nothing expires any more."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
