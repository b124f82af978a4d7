"""Whose limits a request counts against: the account's, then the key's (api.md section 12)."""

from __future__ import annotations

from hypereal.identity.principal import Limits, Principal
from hypereal.limits.counters import Subject

CAPACITY = 100_000


def _subject(subject_id: str, noun: str, limits: Limits) -> Subject:
    return Subject(
        id=subject_id,
        noun=noun,
        requests_per_hour=limits.requests_per_hour,
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
        concurrency=limits.concurrency,
    )


class Subjects:
    """The subjects of each principal, made once: a principal is the same object for as long as its key is cached."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Principal, tuple[Subject, ...]]] = {}

    def of(self, principal: Principal) -> tuple[Subject, ...]:
        """Those of the principal's subjects that have limits at all."""
        made = self._made.get(principal.key_id)
        if made is not None and made[0] is principal:
            return made[1]
        if len(self._made) >= CAPACITY:
            self._made.clear()
        both = (
            _subject(principal.account_id, "account", principal.account_limits),
            _subject(principal.key_id, "key", principal.key_limits),
        )
        subjects = tuple(subject for subject in both if subject.is_limited)
        self._made[principal.key_id] = (principal, subjects)
        return subjects
