"""What a key may be allowed to do: the names of the scopes, and nothing about where they are checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from hypereal.errors import InvalidRequest


class Scope(StrEnum):
    """One permission of a key. A key without a list of scopes has them all (api.md section 16)."""

    INFERENCE = "inference"
    MODELS_READ = "models:read"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    USAGE_READ = "usage:read"
    CREDITS_READ = "credits:read"


SCOPES: Mapping[Scope, str] = MappingProxyType(
    {
        Scope.INFERENCE: "call models",
        Scope.MODELS_READ: "list models and prices",
        Scope.KEYS_READ: "list keys (never their secrets)",
        Scope.KEYS_WRITE: "create, change and revoke keys",
        Scope.USAGE_READ: "read the request log and its reports",
        Scope.CREDITS_READ: "read the balance and the ledger",
    }
)
"""Every scope and what it allows, in the words that users read."""


def parse_scopes(names: Iterable[str] | None, *, param: str = "scopes") -> list[str] | None:
    """The scopes in their fixed order without repeats; None (all of them) stays None.

    Raises `InvalidRequest` for an unknown name and for an empty list, which would make a key that can do nothing.
    """
    if names is None:
        return None
    wanted = set(names)
    unknown = sorted(wanted - {scope.value for scope in Scope})
    if unknown:
        known = ", ".join(scope.value for scope in Scope)
        raise InvalidRequest(f"{param}: unknown scope {unknown[0]!r}; the scopes are {known}", param=param)
    if not wanted:
        raise InvalidRequest(f"{param} must name at least one scope, or be null for all of them", param=param)
    return [scope.value for scope in Scope if scope.value in wanted]
