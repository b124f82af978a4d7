"""A bounded map that forgets what was not used lately, without any bookkeeping when something is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class RecentMap(Generic[K, V]):
    """Keeps at most `capacity` values, and at least the `capacity / 2` used last.

    Two generations: values are put into the young one; when it is full the old one is dropped and the young one
    becomes old; what is found in the old one moves back to the young.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, capacity: int) -> None:
        self._half = max(1, capacity // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value, which is then among those used last; None when it is not there."""
        value = self._young.get(key)
        if value is None and self._old:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Set the value of `key`."""
        if len(self._young) >= self._half and key not in self._young:
            self._old = self._young
            self._young = {}
        self._old.pop(key, None)
        self._young[key] = value

    def pop(self, key: K) -> None:
        """Forget `key`, if it is there."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def discard(self, is_unwanted: Callable[[V], bool]) -> None:
        """Forget every value that `is_unwanted`; looks at all of them."""
        for generation in (self._young, self._old):
            for key in [key for key, value in generation.items() if is_unwanted(value)]:
                del generation[key]

    def clear(self) -> None:
        """Forget everything."""
        self._young = {}
        self._old = {}
