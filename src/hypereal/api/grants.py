"""What a key may hand on: a key that can make keys must not be a way around its own restrictions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hypereal.errors import Forbidden
from hypereal.identity.principal import Principal

UNRESTRICTED: Mapping[str, None] = MappingProxyType(
    dict.fromkeys(
        (
            "scopes",
            "allowed_models",
            "spending_limit",
            "expires_at",
            "requests_per_hour",
            "requests_per_minute",
            "tokens_per_minute",
            "concurrency",
        )
    )
)
"""The fields of a key that restrict it, as they are when nothing is said."""


def check_grant(principal: Principal, fields: Mapping[str, Any]) -> None:
    """Raise `Forbidden` when one of `fields`, as `identity.keys` takes them, is wider than the caller's own.

    None is the widest of all. Fields that are not given are not looked at.
    """
    for name, own in _restrictions(principal).items():
        if name in fields and not _is_within(_comparable(fields[name]), own):
            raise Forbidden(f"This key may not do that: the key's {name.replace('_', ' ')} would be wider than its own")


def _restrictions(principal: Principal) -> dict[str, Any]:
    limits = principal.key_limits
    return {
        "scopes": principal.scopes,
        "allowed_models": principal.allowed_models,
        "spending_limit": principal.spending_limit,
        "expires_at": principal.expires_at,
        "requests_per_hour": limits.requests_per_hour,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrency": limits.concurrency,
    }


def _comparable(value: Any) -> Any:
    """As a principal has it: sets for lists, seconds since the epoch for moments."""
    if isinstance(value, list):
        return frozenset(value)
    return value.timestamp() if hasattr(value, "timestamp") else value


def _is_within(wanted: Any, own: Any) -> bool:
    """For sets `<=` is "is contained in", for numbers "is no more than"."""
    return bool(own is None or (wanted is not None and wanted <= own))
