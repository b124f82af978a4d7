"""A breaker per target: one that keeps failing is left alone for a while, then tried with a single request."""

from __future__ import annotations

FAILURES_TO_OPEN = 5
OPEN_S = 10.0
MAX_OPEN_S = 120.0


class Breaker:
    """Closed until `FAILURES_TO_OPEN` failures in a row; then open, for twice as long after each failed probe."""

    __slots__ = ("_failures", "_open_s", "_open_until", "_probing")

    def __init__(self) -> None:
        self._failures = 0
        self._open_s = OPEN_S
        self._open_until = 0.0
        self._probing = False

    @property
    def is_open(self) -> bool:
        return self._open_until > 0.0

    def allows(self, now: float) -> bool:
        """Whether a request may be sent; after the open time exactly one may, until its outcome is known."""
        if self._open_until == 0.0:
            return True
        if now < self._open_until or self._probing:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        if self._failures:
            self._failures = 0
            self._open_until = 0.0
            self._open_s = OPEN_S
            self._probing = False

    def failed(self, now: float) -> None:
        self._failures += 1
        if self._probing:
            self._open_s = min(self._open_s * 2, MAX_OPEN_S)
            self._open_until = now + self._open_s
            self._probing = False
        elif self._failures >= FAILURES_TO_OPEN:
            self._open_until = max(self._open_until, now + self._open_s)

    def undecided(self) -> None:
        """The request ended without telling anything of the target (the client left, or was itself at fault)."""
        self._probing = False
