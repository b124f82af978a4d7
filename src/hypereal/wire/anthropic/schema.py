"""JSON schemas of outputs, in the part of the language that Anthropic's structured outputs take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What Anthropic's SDK takes out of a schema before it sends it; what these keywords say is told in prose instead.
_TOLD = frozenset(
    {
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "uniqueItems",
    }
)
_FORMATS = frozenset({"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"})
_LISTS = ("allOf", "anyOf", "oneOf")
_MAPS = ("$defs", "definitions", "properties")
DEPTH = 64
"""How deep a schema is followed; what lies deeper goes as it came."""


def accepted_schema(schema: Mapping[str, Any], depth: int = DEPTH) -> dict[str, Any]:
    """The schema with closed objects and without refused keywords; those become part of the description."""
    accepted: dict[str, Any] = {}
    told: list[str] = []
    for name, value in schema.items():
        if _is_told(name, value):
            told.append(f"{name}: {value}")
        else:
            accepted["anyOf" if name == "oneOf" else name] = _accepted(name, value, depth - 1)
    if told:
        accepted["description"] = "\n\n".join(filter(None, (schema.get("description"), f"{{{', '.join(told)}}}")))
    if schema.get("type") == "object":
        accepted["additionalProperties"] = False
    return accepted


def _is_told(name: str, value: Any) -> bool:
    if name == "minItems":
        return value not in (0, 1)
    if name == "format":
        return value not in _FORMATS
    return name in _TOLD


def _accepted(name: str, value: Any, depth: int) -> Any:
    if depth <= 0:
        return value
    if name == "items" and isinstance(value, dict):
        return accepted_schema(value, depth)
    if name in _LISTS and isinstance(value, list):
        return [accepted_schema(part, depth) if isinstance(part, dict) else part for part in value]
    if name in _MAPS and isinstance(value, dict):
        return {key: accepted_schema(part, depth) if isinstance(part, dict) else part for key, part in value.items()}
    return value
