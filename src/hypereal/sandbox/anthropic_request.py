"""Anthropic's messages request: what is said, which tools are offered, what is cached.

It is checked as strictly as Anthropic does. A field that Anthropic does not know is refused, so that what a gateway
forwards by mistake shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypereal.sandbox.answers import Request, Structure
from hypereal.sandbox.anthropic_messages import read_messages
from hypereal.sandbox.anthropic_prompt import MAX_BREAKPOINTS, prompt_blocks
from hypereal.sandbox.conversation import Conversation, Turn
from hypereal.sandbox.request import MAX_OUTPUT_TOKENS, BadRequest, Sampling
from hypereal.sandbox.tools import Offer, Tool

_COUNTED = frozenset(
    {
        "cache_control",
        "context_management",
        "mcp_servers",
        "messages",
        "model",
        "output_config",
        "output_format",
        "speed",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)
_FIELDS = _COUNTED | {
    "container",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "metadata",
    "service_tier",
    "stop_sequences",
    "stream",
    "temperature",
    "top_k",
    "top_p",
}
_TOOL_FIELDS = frozenset(
    {
        "allowed_callers",
        "cache_control",
        "defer_loading",
        "description",
        "eager_input_streaming",
        "input_examples",
        "input_schema",
        "name",
        "strict",
        "type",
    }
)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_LEAST_BUDGET = 1024


def read_anthropic(body: Mapping[str, Any]) -> Request:
    """What a messages request asks for. Raises `BadRequest`."""
    _known(body, _FIELDS)
    limit = _limit(body)
    request = _read(body)
    thinks = _thinks(body, limit, request.offer)
    sampling = Sampling(
        limit=min(limit, MAX_OUTPUT_TOKENS),
        stop=_stop(body),
        thinks=thinks,
        effort=str(_mapping(body, "output_config").get("effort") or ""),
        stream=_stream(body),
    )
    return replace(request, sampling=sampling)


def read_count(body: Mapping[str, Any]) -> Request:
    """What a request to count tokens asks for. Raises `BadRequest`."""
    _known(body, _COUNTED)
    return _read(body)


def _read(body: Mapping[str, Any]) -> Request:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("model: Field required" if model is None else "model: Input should be a valid string")
    listed = _tools(body)
    turns = (*_system(body), *read_messages(body))
    blocks = prompt_blocks(body)
    marked = sum(1 for block in blocks if block.ttl)
    if marked > MAX_BREAKPOINTS:
        raise BadRequest(f"A maximum of 4 blocks with cache_control may be provided. Found {marked}.")
    return Request(
        model=model,
        conversation=Conversation(turns=turns),
        offer=_offer(body, listed),
        sampling=Sampling(),
        structure=_structure(body),
        body=body,
        blocks=blocks,
    )


def _known(body: Mapping[str, Any], fields: frozenset[str]) -> None:
    for name in body:
        if name not in fields:
            raise BadRequest(f"{name}: Extra inputs are not permitted")


def _limit(body: Mapping[str, Any]) -> int:
    limit = body.get("max_tokens")
    if limit is None:
        raise BadRequest("max_tokens: Field required")
    if type(limit) is not int:
        raise BadRequest("max_tokens: Input should be a valid integer")
    if limit < 0:
        raise BadRequest("max_tokens: Input should be greater than or equal to 0")
    return limit


def _stream(body: Mapping[str, Any]) -> bool:
    stream = body.get("stream", False)
    if not isinstance(stream, bool):
        raise BadRequest("stream: Input should be a valid boolean")
    return stream


def _stop(body: Mapping[str, Any]) -> tuple[str, ...]:
    stops = body.get("stop_sequences")
    if stops is None:
        return ()
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise BadRequest("stop_sequences: Input should be a valid array of strings")
    if not all(stop.strip() for stop in stops):
        raise BadRequest("stop_sequences: each stop sequence must contain non-whitespace")
    return tuple(stops)


def _mapping(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{name}: Input should be a valid dictionary")
    return value


def _thinks(body: Mapping[str, Any], limit: int, offer: Offer) -> bool:
    thinking = _mapping(body, "thinking")
    kind = thinking.get("type", "disabled")
    if kind not in ("enabled", "adaptive", "disabled"):
        raise BadRequest("thinking: Input tag found using 'type' does not match any of the expected tags")
    if kind == "disabled":
        return False
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if type(budget) is not int:
            raise BadRequest("thinking.enabled.budget_tokens: Field required")
        if budget < _LEAST_BUDGET:
            raise BadRequest("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if limit <= budget:
            raise BadRequest("`max_tokens` must be greater than `thinking.budget_tokens`")
    if offer.mode == "required":
        raise BadRequest("Thinking may not be enabled when tool_choice forces tool use.")
    if body.get("temperature", 1) not in (1, None):
        raise BadRequest("`temperature` may only be set to 1 when thinking is enabled.")
    return True


def _system(body: Mapping[str, Any]) -> tuple[Turn, ...]:
    given = body.get("system")
    if given is None:
        return ()
    if isinstance(given, str):
        return (Turn(role="system", text=given),)
    if not isinstance(given, list):
        raise BadRequest("system: Input should be a valid list")
    texts = []
    for index, block in enumerate(given):
        if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
            raise BadRequest(f"system.{index}: Input should be a text block")
        if not block["text"]:
            raise BadRequest("system: text content blocks must be non-empty")
        texts.append(block["text"])
    return (Turn(role="system", text="\n".join(texts)),)


def _tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    listed = body.get("tools")
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise BadRequest("tools: Input should be a valid list")
    tools = [tool for index, item in enumerate(listed) if (tool := _tool(item, f"tools.{index}")) is not None]
    names = [tool.name for tool in tools]
    if len(names) != len(set(names)):
        raise BadRequest("tools: Tool names must be unique.")
    return tuple(tools)


def _tool(item: object, where: str) -> Tool | None:
    """A tool of the client's own; None for one that Anthropic runs or defines."""
    if not isinstance(item, dict):
        raise BadRequest(f"{where}: Input should be a valid dictionary")
    if item.get("type") not in (None, "custom"):
        return None
    where += ".custom"
    for name in item:
        if name not in _TOOL_FIELDS:
            raise BadRequest(f"{where}.{name}: Extra inputs are not permitted")
    name, schema = item.get("name"), item.get("input_schema")
    if not isinstance(name, str):
        raise BadRequest(f"{where}.name: Field required")
    if not _TOOL_NAME.fullmatch(name):
        raise BadRequest(f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if not isinstance(schema, dict):
        raise BadRequest(f"{where}.input_schema: Field required")
    if schema.get("type") != "object":
        raise BadRequest(f"{where}.input_schema.type: Input should be 'object'")
    description = item.get("description")
    return Tool(name=name, description=description if isinstance(description, str) else "", parameters=schema)


def _offer(body: Mapping[str, Any], tools: tuple[Tool, ...]) -> Offer:
    choice = _mapping(body, "tool_choice")
    kind = choice.get("type", "auto")
    if kind not in ("auto", "any", "tool", "none"):
        raise BadRequest("tool_choice: Input tag found using 'type' does not match any of the expected tags")
    if choice and not body.get("tools"):
        raise BadRequest("tool_choice may only be specified while providing tools.")
    named = choice.get("name") if kind == "tool" else None
    if kind == "tool" and all(tool.name != named for tool in tools):
        raise BadRequest(f"Tool '{named}' not found in provided tools")
    mode = {"any": "required", "tool": "required"}.get(kind, str(kind))
    parallel = choice.get("disable_parallel_tool_use") is not True
    return Offer(tools=tools, mode=mode if tools else "none", named=named, parallel=parallel)


def _structure(body: Mapping[str, Any]) -> Structure | None:
    wanted = _mapping(body, "output_config").get("format") or body.get("output_format")
    if not isinstance(wanted, dict):
        return None
    schema = wanted.get("schema")
    if wanted.get("type") != "json_schema" or not isinstance(schema, dict):
        raise BadRequest("output_config.format.schema: Field required")
    return Structure(field="output_config.format.schema", schema=schema)
