"""How Google spells JSON: lowerCamelCase, the snake_case of its schemas accepted just as well, and null for absent."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.wire.fields import NULL, UNREADABLE, Fields

_OBJECT, _STRING = b'{"'


_decode_fields = msgspec.json.Decoder(Fields).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def camel(name: str) -> str:
    """`system_instruction` as `systemInstruction`; a name without words to join stays as it is."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest) if head else name


def spelled(fields: Mapping[str, msgspec.Raw]) -> Fields:
    """The fields of one object in camelCase, without those that are null."""
    return {camel(name) if "_" in name else name: value for name, value in fields.items() if value != NULL}


def as_object(raw: msgspec.Raw, name: str) -> Fields:
    """One object, spelled; `name` is what a refusal calls it."""
    try:
        return spelled(_decode_fields(raw))
    except UNREADABLE as exc:
        raise InvalidRequest(f"{name} must be an object", param=name) from exc


def read_object(fields: Fields, name: str) -> Fields:
    """An object field, spelled; empty when absent."""
    raw = fields.get(name)
    return {} if raw is None else as_object(raw, name)


def read_items(fields: Fields, name: str) -> list[msgspec.Raw]:
    """An array field, its items raw; empty when absent. A single object or string stands for an array of one."""
    raw = fields.get(name)
    if raw is None:
        return []
    if memoryview(raw)[0] in (_OBJECT, _STRING):
        return [raw]
    try:
        return _decode_items(raw)
    except UNREADABLE as exc:
        raise InvalidRequest(f"{name} must be an array", param=name) from exc


def read_names(fields: Fields, name: str) -> tuple[str, ...]:
    """An array of strings; empty when absent."""
    raw = fields.get(name)
    try:
        return msgspec.json.decode(raw, type=tuple[str, ...]) if raw is not None else ()
    except UNREADABLE as exc:
        raise InvalidRequest(f"{name} must be an array of strings", param=name) from exc


def read_json(fields: Fields, name: str) -> object:
    """Any value, decoded; None when absent."""
    raw = fields.get(name)
    try:
        return msgspec.json.decode(raw) if raw is not None else None
    except UNREADABLE as exc:
        raise InvalidRequest(f"{name} is not valid JSON", param=name) from exc


def is_string(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[0] == _STRING
