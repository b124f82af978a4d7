"""Tools: functions, custom tools and the namespaces that hold them; what a client offers and what it insists on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.wire.base import Envelope
from hypereal.wire.conversation import ForeignTool, Tool, ToolChoice
from hypereal.wire.fields import NULL, UNREADABLE, Fields
from hypereal.wire.openai_responses.history import input_items
from hypereal.wire.openai_responses.items import NAME, flat_name, kind_of

_NAMESPACE = b'"namespace"'
_MODES = ("auto", "none", "required")


class _Kind(msgspec.Struct, gc=False):
    type: str


class _Tool(msgspec.Struct, gc=False):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: dict[str, Any] | None = None


class _Nested(msgspec.Struct, gc=False):
    name: str
    tools: list[msgspec.Raw]


class _Choice(msgspec.Struct, gc=False):
    type: str
    name: str | None = None
    namespace: str | None = None
    mode: str | None = None
    tools: list[_Choice] = []


class _Additional(msgspec.Struct, gc=False):
    tools: list[msgspec.Raw] | None = None


_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_tool = msgspec.json.Decoder(_Tool).decode
_decode_nested = msgspec.json.Decoder(_Nested).decode
_decode_choice = msgspec.json.Decoder(str | _Choice | None).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw] | None).decode
decode_additional = msgspec.json.Decoder(_Additional).decode


def given_tools(fields: Fields) -> list[msgspec.Raw]:
    """The tools of the `tools` field. Raises `InvalidRequest`."""
    try:
        return _decode_list(fields.get("tools", NULL)) or []
    except UNREADABLE as exc:
        raise InvalidRequest("tools must be an array", param="tools") from exc


def _one(kind: str, raw: msgspec.Raw, namespace: str | None) -> Tool:
    tool = _decode_tool(raw)
    custom = kind == "custom"
    return Tool(
        name=flat_name(namespace, tool.name),
        description=tool.description or "",
        schema=None if custom else tool.parameters,
        strict=None if custom else tool.strict,
        is_custom=custom,
        grammar=tool.format if custom else None,
    )


def _each(raws: Iterable[msgspec.Raw], namespace: str | None = None) -> Iterable[Tool | ForeignTool]:
    for raw in raws:
        kind = _decode_kind(raw).type
        if kind in ("function", "custom"):
            yield _one(kind, raw, namespace)
        elif kind == "namespace" and namespace is None:
            nested = _decode_nested(raw)
            yield from _each(nested.tools, nested.name)
        else:
            yield ForeignTool(origin=NAME, kind=kind, raw=bytes(raw))


def read_tools(raws: Iterable[msgspec.Raw]) -> tuple[Tool | ForeignTool, ...]:
    """The canonical tools, those of a namespace by their flat names. Raises `InvalidRequest`."""
    try:
        return tuple(_each(raws))
    except UNREADABLE as exc:
        raise InvalidRequest(f"tools could not be read: {exc}", param="tools") from exc


def _additional(fields: Fields) -> list[msgspec.Raw]:
    return [
        raw
        for item in input_items(fields)
        if kind_of(item) == "additional_tools"
        for raw in decode_additional(item).tools or ()
    ]


def flat_names(envelope: Envelope) -> dict[str, tuple[str, str]]:
    """Where the client's names for tools of a namespace are found: by flat name, the namespace and the name in it."""
    if _NAMESPACE not in envelope.body:
        return {}
    names = {}
    try:
        for raw in [*given_tools(envelope.fields), *_additional(envelope.fields)]:
            if _decode_kind(raw).type == "namespace":
                nested = _decode_nested(raw)
                for tool in nested.tools:
                    name = _decode_tool(tool).name
                    names[flat_name(nested.name, name)] = (nested.name, name)
    except (*UNREADABLE, InvalidRequest):
        return names  # what could not be read was not offered to the model either
    return names


def read_choice(fields: Fields) -> tuple[ToolChoice | None, frozenset[str] | None, bool]:
    """What the client insists on: the choice, the only tools that it allows (None for all), and whether a choice had
    to be left out, because it is of a hosted tool. Raises `InvalidRequest`."""
    try:
        given = _decode_choice(fields.get("tool_choice", NULL))
    except UNREADABLE as exc:
        raise InvalidRequest("tool_choice must be a string or an object with a type", param="tool_choice") from exc
    if given is None:
        return None, None, False
    if isinstance(given, str):
        mode = next((mode for mode in _MODES if mode == given), None)
        if mode is None:
            raise InvalidRequest("tool_choice must be auto, none, required or an object", param="tool_choice")
        return ToolChoice(mode), None, False  # type: ignore[arg-type]  # one of `_MODES`
    if given.type in ("function", "custom") and given.name:
        return ToolChoice("one", flat_name(given.namespace, given.name)), None, False
    if given.type == "allowed_tools":
        allowed = frozenset(flat_name(tool.namespace, tool.name) for tool in given.tools if tool.name)
        return ToolChoice("required" if given.mode == "required" else "auto"), allowed, False
    return None, None, True


def write_tools(tools: Iterable[Tool | ForeignTool], dropped: set[str]) -> list[Any]:
    """The `tools` of a request; what is another format's own is named in `dropped`."""
    written: list[Any] = []
    for tool in tools:
        if isinstance(tool, ForeignTool):
            if tool.origin == NAME:
                written.append(msgspec.Raw(tool.raw))
            else:
                dropped.add(tool.kind)
        elif tool.is_custom:
            grammar = {"format": tool.grammar} if tool.grammar is not None else {}
            written.append({"type": "custom", "name": tool.name, "description": tool.description, **grammar})
        else:
            written.append(_function(tool))
    return written


def _function(tool: Tool) -> dict[str, Any]:
    """A function. Unlike the other formats this one is strict unless told otherwise, and refuses a schema that strict
    mode does not take."""
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.schema if tool.schema is not None else {"type": "object", "properties": {}},
        "strict": bool(tool.strict),
    }


def write_choice(choice: ToolChoice, tools: Iterable[Tool | ForeignTool]) -> Any:
    """The `tool_choice` of a request."""
    if choice.mode != "one":
        return choice.mode
    custom = any(isinstance(tool, Tool) and tool.is_custom and tool.name == choice.name for tool in tools)
    return {"type": "custom" if custom else "function", "name": choice.name}
