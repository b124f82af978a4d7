"""OpenAI's Responses request: its fields, the tools it offers, the shape of answer that it asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from hypereal.sandbox.answers import Request, Structure
from hypereal.sandbox.conversation import Conversation, Turn
from hypereal.sandbox.request import (
    MAX_OUTPUT_TOKENS,
    BadRequest,
    Sampling,
    read_flag,
    read_integer,
    read_mapping,
    read_model,
)
from hypereal.sandbox.responses_items import read_items
from hypereal.sandbox.tools import EMPTY_PARAMETERS, Offer, Tool

Body = Mapping[str, Any]

LEAST_LIMIT = 16  # OpenAI refuses a lower `max_output_tokens`
_FIELDS = frozenset(
    {
        "background",
        "client_metadata",
        "context_management",
        "conversation",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
_HOSTED = frozenset(
    {
        "apply_patch",
        "code_interpreter",
        "computer",
        "computer_use_preview",
        "file_search",
        "image_generation",
        "local_shell",
        "mcp",
        "programmatic_tool_calling",
        "shell",
        "tool_search",
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
    }
)


_INPUT = frozenset({"input", "instructions", "model", "previous_response_id"})
_COUNTED = _INPUT | {"conversation", "parallel_tool_calls", "reasoning", "text", "tool_choice", "tools", "truncation"}
_COMPACTED = _INPUT | {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "service_tier"}


def read_responses(body: Body) -> Request:
    """What a request asks for. Raises `BadRequest`."""
    return _read(body, _FIELDS)


def read_count(body: Body) -> Request:
    """What a request to count tokens asks for. Raises `BadRequest`."""
    return _read(body, _COUNTED)


def read_compact(body: Body) -> Request:
    """What a request to make a conversation compact asks for. Raises `BadRequest`."""
    return _read(body, _COMPACTED)


def _read(body: Body, fields: frozenset[str]) -> Request:
    for name in body:
        if name not in fields:
            raise BadRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    model = read_model(body)
    if body.get("previous_response_id") is not None:
        missing = f"Previous response with id '{body['previous_response_id']}' not found."
        raise BadRequest(missing, param="previous_response_id", code="previous_response_not_found")
    listed = [*_listed(body.get("tools"), "tools"), *_additional(body.get("input"))]
    tools = tuple(_tools(listed, "tools"))
    return Request(
        model=model,
        conversation=Conversation(turns=(*_instructions(body), *read_items(body))),
        offer=_offer(body, tools),
        sampling=_sampling(body),
        structure=_structure(body),
        tool_text=msgspec.json.encode(listed).decode() if listed else "",
        body=body,
    )


def _sampling(body: Body) -> Sampling:
    limit = read_integer(body, "max_output_tokens", low=1, high=10_000_000)
    if limit is not None and limit < LEAST_LIMIT:
        raise BadRequest(
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {LEAST_LIMIT}, but got "
            f"{limit} instead.",
            param="max_output_tokens",
            code="integer_below_min_value",
        )
    reasoning = read_mapping(body, "reasoning")
    effort = reasoning.get("effort")
    return Sampling(
        limit=None if limit is None else min(limit, MAX_OUTPUT_TOKENS),
        thinks=effort != "none" if reasoning else None,
        effort=effort if isinstance(effort, str) else "",
        stream=read_flag(body, "stream"),
    )


def _instructions(body: Body) -> tuple[Turn, ...]:
    given = body.get("instructions")
    if given is None:
        return ()
    if not isinstance(given, str):
        what = "Invalid type for 'instructions': expected a string."
        raise BadRequest(what, param="instructions", code="invalid_type")
    return (Turn(role="system", text=given),)


def _listed(given: object, where: str) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise BadRequest(f"Invalid type for '{where}': expected an array.", param=where, code="invalid_type")
    return given


def _additional(items: object) -> list[Any]:
    """The tools that stand among the input (`additional_tools`), as Codex gives them to models that it knows."""
    found: list[Any] = []
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and item.get("type") == "additional_tools":
            found += _listed(item.get("tools"), f"input[{index}].tools")
    return found


def _tools(listed: Sequence[Any], where: str, namespace: str = "") -> Iterator[Tool]:
    for index, item in enumerate(listed):
        place = f"{where}[{index}]"
        kind = item.get("type") if isinstance(item, dict) else None
        if kind in ("function", "custom"):
            yield _tool(item, place, namespace)
        elif kind == "namespace":
            yield from _tools(_listed(item.get("tools"), f"{place}.tools"), f"{place}.tools", str(item.get("name", "")))
        elif kind not in _HOSTED:
            raise BadRequest(f"Invalid value: '{kind}'.", param=f"{place}.type", code="invalid_value")


def _tool(item: Body, where: str, namespace: str) -> Tool:
    name = item.get("name")
    if not isinstance(name, str) or not name:
        missing = f"Missing required parameter: '{where}.name'."
        raise BadRequest(missing, param=f"{where}.name", code="missing_required_parameter")
    parameters, description = item.get("parameters"), item.get("description")
    return Tool(
        name=name,
        description=description if isinstance(description, str) else "",
        parameters=parameters if isinstance(parameters, dict) and parameters else EMPTY_PARAMETERS,
        is_custom=item["type"] == "custom",
        namespace=namespace,
    )


def _offer(body: Body, tools: tuple[Tool, ...]) -> Offer:
    choice = body.get("tool_choice", "auto")
    mode, named = "auto", None
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required"):
            raise BadRequest("Invalid value for 'tool_choice'.", param="tool_choice", code="invalid_value")
        mode = choice
    elif isinstance(choice, dict) and choice.get("type") in ("function", "custom"):
        mode, named = "required", choice.get("name")
        if all(tool.name != named for tool in tools):
            raise BadRequest(f"Tool choice '{named}' not found in 'tools' parameter.", param="tool_choice")
    elif isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        mode = str(choice.get("mode", "auto"))
        allowed = _listed(choice.get("tools"), "tool_choice.tools")
        names = {item.get("name") for item in allowed if isinstance(item, dict)}
        tools = tuple(tool for tool in tools if tool.name in names)
    parallel = body.get("parallel_tool_calls") is not False
    return Offer(tools=tools, mode=mode if tools else "none", named=named, parallel=parallel)


def _structure(body: Body) -> Structure | None:
    wanted = read_mapping(read_mapping(body, "text"), "format")
    kind = wanted.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return Structure(field="text.format")
    schema = wanted.get("schema")
    if kind != "json_schema":
        raise BadRequest(f"Invalid value: '{kind}'.", param="text.format.type", code="invalid_value")
    for name, is_there in (("name", isinstance(wanted.get("name"), str)), ("schema", isinstance(schema, dict))):
        if not is_there:
            missing = f"Missing required parameter: 'text.format.{name}'."
            raise BadRequest(missing, param=f"text.format.{name}", code="missing_required_parameter")
    return Structure(field="text.format.schema", schema=schema)
