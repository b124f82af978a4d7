"""Google's schemas, a subset of OpenAPI's with words of its own, as the JSON schemas that everyone else reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypereal.errors import InvalidRequest
from hypereal.wire.gemini.spelling import camel

_NOT_JSON_SCHEMA = frozenset({"propertyOrdering", "example", "nullable"})
# Google's API is made of protocol buffers, whose 64-bit integers are strings in JSON.
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})


def to_json_schema(schema: Any, name: str) -> Any:
    """A JSON schema that says the same; one that is a JSON schema already stays what it is."""
    try:
        return _converted(schema)
    except RecursionError as exc:
        raise InvalidRequest(f"{name} is nested too deeply", param=name) from exc


def _each(schemas: Any) -> Any:
    return list(map(_converted, schemas)) if isinstance(schemas, list) else _converted(schemas)


def _named(schemas: Any) -> Any:
    return {name: _converted(one) for name, one in schemas.items()} if isinstance(schemas, dict) else schemas


def _type(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _count(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _same(value: Any) -> Any:
    return value


_WAYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "type": ("type", _type),
    "properties": ("properties", _named),
    "defs": ("$defs", _named),
    "$defs": ("$defs", _named),
    "ref": ("$ref", _same),
    "items": ("items", _each),
    "anyOf": ("anyOf", _each),
    "additionalProperties": ("additionalProperties", _each),
    **{name: (name, _count) for name in _COUNTS},
}


def _converted(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    given = {camel(name): value for name, value in schema.items()}
    converted: dict[str, Any] = {}
    for name, value in given.items():
        if name in _NOT_JSON_SCHEMA or (name == "format" and value == "enum"):
            continue
        written, way = _WAYS.get(name, (name, _same))
        converted[written] = way(value)
    return _or_null(converted) if given.get("nullable") is True else converted


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, or null."""
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        if isinstance(schema.get("enum"), list):
            schema["enum"] = [*schema["enum"], None]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    return schema
