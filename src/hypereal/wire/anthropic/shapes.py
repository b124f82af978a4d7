"""Small readings that every part of a request needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.wire.fields import NULL, UNREADABLE

T = TypeVar("T")
Dropped = dict[str, None]
"""The names of what was left out: a set that keeps its order."""


def read_as(fields: Mapping[str, msgspec.Raw], name: str, decode: Callable[[msgspec.Raw], T]) -> T | None:
    """A field in the shape that `decode` reads; None when absent or null."""
    raw = fields.get(name)
    if raw is None or raw == NULL:
        return None
    try:
        return decode(raw)
    except UNREADABLE as exc:
        raise InvalidRequest(f"{name}: {exc}", param=name) from exc
