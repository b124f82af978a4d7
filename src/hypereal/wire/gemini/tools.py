"""Tools and the choice among them: Google's `tools` and `toolConfig`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.wire.conversation import ForeignTool, Tool, ToolChoice
from hypereal.wire.fields import Fields, read_text
from hypereal.wire.gemini.schema import to_json_schema
from hypereal.wire.gemini.signatures import NAME
from hypereal.wire.gemini.spelling import as_object, read_items, read_json, read_names, read_object

DECLARATIONS = "functionDeclarations"
_FREE_TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
"""What a custom tool takes where there are only functions."""
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def read_tools(fields: Fields) -> tuple[Tool | ForeignTool, ...]:
    """Functions, and what Google runs itself: each kind in an entry is a tool of its own."""
    tools: list[Tool | ForeignTool] = []
    for raw in read_items(fields, "tools"):
        entry = as_object(raw, "tools")
        tools += [_read_function(one) for one in read_items(entry, DECLARATIONS)]
        tools += [
            ForeignTool(origin=NAME, kind=kind, raw=msgspec.json.encode({kind: value}))
            for kind, value in entry.items()
            if kind != DECLARATIONS
        ]
    return tuple(tools)


def _read_function(raw: msgspec.Raw) -> Tool:
    fields = as_object(raw, DECLARATIONS)
    name = read_text(fields, "name")
    if not name:
        raise InvalidRequest(f"{DECLARATIONS}.name is required", param="tools")
    schema = read_json(fields, "parametersJsonSchema")
    if schema is None and "parameters" in fields:
        schema = to_json_schema(read_json(fields, "parameters"), "parameters")
    return Tool(name=name, description=read_text(fields, "description") or "", schema=schema)


def write_tools(tools: Iterable[Tool | ForeignTool], drop: Any) -> list[Any]:
    """The `tools` of a request: all functions in one entry, then Google's own. `drop` is told what is left out."""
    functions = [_write_function(tool, drop) for tool in tools if isinstance(tool, Tool)]
    entries: list[Any] = [{DECLARATIONS: functions}] if functions else []
    for tool in tools:
        if isinstance(tool, ForeignTool):
            if tool.origin == NAME:
                entries.append(msgspec.Raw(tool.raw))
            else:
                drop(tool.kind)
    return entries


def _write_function(tool: Tool, drop: Any) -> dict[str, Any]:
    if tool.strict:
        drop("strict")
    if tool.grammar is not None:
        drop("grammar")
    if tool.cache is not None:
        drop("cache_control")
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    schema = _FREE_TEXT if tool.is_custom else tool.schema
    return {**written, "parametersJsonSchema": schema} if schema is not None else written


def read_choice(fields: Fields) -> tuple[ToolChoice | None, tuple[str, ...]]:
    """What `toolConfig` says, and the names of what it says that has no place elsewhere."""
    config = read_object(fields, "toolConfig")
    dropped = tuple(name for name in config if name != "functionCallingConfig")
    calling = read_object(config, "functionCallingConfig")
    mode = (read_text(calling, "mode") or "").upper()
    names = read_names(calling, "allowedFunctionNames")
    if mode == "ANY" and len(names) == 1:
        return ToolChoice("one", names[0]), dropped
    if names:
        dropped += ("allowedFunctionNames",)
    if mode == "ANY":
        return ToolChoice("required"), dropped
    if mode == "NONE":
        return ToolChoice("none"), dropped
    # VALIDATED is AUTO with calls that are sure to fit their schemas.
    return (ToolChoice("auto") if mode in ("AUTO", "VALIDATED") else None), dropped


def write_choice(choice: ToolChoice) -> dict[str, Any]:
    """The `toolConfig` for a choice."""
    if choice.mode == "one":
        return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [choice.name]}}
    return {"functionCallingConfig": {"mode": _MODES[choice.mode]}}
