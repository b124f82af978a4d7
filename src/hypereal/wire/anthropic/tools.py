"""Tools and the choice among them, in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hypereal.wire.anthropic.shapes import Dropped, read_as
from hypereal.wire.anthropic.thinking import ORIGIN
from hypereal.wire.conversation import Conversation, ForeignTool, Tool, ToolChoice

_CUSTOM_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
"""What a tool that takes free text becomes here: a function with one string."""
_REFUSED_AT_TOP = frozenset({"oneOf", "allOf", "anyOf"})
"""Anthropic refuses a schema of arguments that has these at its top level."""


class _Kind(msgspec.Struct, gc=False):
    type: str | None = None


class _Tool(msgspec.Struct):
    name: str
    description: str | None = None
    input_schema: Any = None
    strict: bool | None = None
    cache_control: Any = None


class _Choice(msgspec.Struct, gc=False):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_tool = msgspec.json.Decoder(_Tool).decode
_decode_choice = msgspec.json.Decoder(_Choice).decode


def _read_tool(raw: msgspec.Raw) -> Tool | ForeignTool:
    """Tools whose loading is deferred are tools like any other: only Anthropic can look them up later."""
    kind = _decode_kind(raw).type
    if kind not in (None, "custom"):
        return ForeignTool(origin=ORIGIN, kind=str(kind), raw=bytes(raw))
    tool = _decode_tool(raw)
    return Tool(
        name=tool.name,
        description=tool.description or "",
        schema=tool.input_schema,
        strict=tool.strict,
        cache=tool.cache_control,
    )


def read_tools(fields: Mapping[str, msgspec.Raw]) -> tuple[Tool | ForeignTool, ...]:
    tools = read_as(fields, "tools", lambda raw: tuple(map(_read_tool, _decode_list(raw))))
    return tools or ()


def read_choice(fields: Mapping[str, msgspec.Raw], dropped: Dropped) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may come in parallel."""
    choice = read_as(fields, "tool_choice", _decode_choice)
    if choice is None:
        return None, None
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    if choice.type == "auto":
        return ToolChoice("auto"), parallel
    if choice.type == "any":
        return ToolChoice("required"), parallel
    if choice.type == "tool" and choice.name:
        return ToolChoice("one", choice.name), parallel
    if choice.type == "none":
        return ToolChoice("none"), parallel
    dropped["tool_choice"] = None
    return None, parallel


def _schema(tool: Tool) -> dict[str, Any]:
    if tool.is_custom:
        return dict(_CUSTOM_SCHEMA)
    if not isinstance(tool.schema, dict):
        return {"type": "object", "properties": {}}
    if _REFUSED_AT_TOP.isdisjoint(tool.schema) and tool.schema.get("type") == "object":
        return tool.schema
    return {**{name: part for name, part in tool.schema.items() if name not in _REFUSED_AT_TOP}, "type": "object"}


def _write_tool(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name, "input_schema": _schema(tool)}
    if tool.description:
        written["description"] = tool.description
    if tool.strict is not None and not tool.is_custom:
        written["strict"] = tool.strict
    if tool.cache is not None:
        written["cache_control"] = tool.cache
    return written


def write_tools(tools: tuple[Tool | ForeignTool, ...], dropped: Dropped) -> list[Any]:
    written: list[Any] = []
    for tool in tools:
        if isinstance(tool, Tool):
            written.append(_write_tool(tool))
        elif tool.origin == ORIGIN:
            written.append(msgspec.Raw(tool.raw))
        else:
            dropped[tool.kind] = None
    return written


def write_choice(conversation: Conversation) -> dict[str, Any] | None:
    """None where there is nothing to say; only to be said where there are tools."""
    choice, parallel = conversation.tool_choice, conversation.parallel_tool_calls
    if choice is None and parallel is None:
        return None
    mode = choice.mode if choice is not None else "auto"
    if mode == "none":
        return {"type": "none"}
    written: dict[str, Any] = {"type": {"auto": "auto", "required": "any", "one": "tool"}[mode]}
    if choice is not None and mode == "one":
        written["name"] = choice.name
    if parallel is not None:
        written["disable_parallel_tool_use"] = not parallel
    return written


def is_forced(conversation: Conversation) -> bool:
    """Whether a call must be made, which Anthropic doesn't allow together with thinking."""
    return conversation.tool_choice is not None and conversation.tool_choice.mode in ("required", "one")
