"""OpenAI's chat request: its messages, its tools, the shape of answer that it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hypereal.sandbox.answers import Request, Structure
from hypereal.sandbox.conversation import Conversation, Media, Turn, decoded_size, linked_media
from hypereal.sandbox.request import BadRequest, read_model, read_sampling
from hypereal.sandbox.tools import EMPTY_PARAMETERS, Offer, Tool

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def read_chat(body: Mapping[str, Any]) -> Request:
    """What a chat request asks for. Raises `BadRequest`."""
    conversation = read_conversation(body)
    listed = body.get("tools") or body.get("functions")
    return Request(
        model=read_model(body),
        conversation=conversation,
        offer=read_offer(body),
        sampling=read_sampling(body),
        structure=_structure(body),
        tool_text=msgspec.json.encode(listed).decode() if listed else "",
        body=body,
    )


def _structure(body: Mapping[str, Any]) -> Structure | None:
    wanted = body.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if not isinstance(wanted, dict) or kind not in ("json_object", "json_schema"):
        return None
    if kind == "json_object":
        return Structure(field="response_format")
    inner = wanted.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    if not isinstance(schema, dict):
        where = "response_format.json_schema.schema"
        raise BadRequest(f"Missing required parameter: '{where}'.", param=where)
    return Structure(field="response_format", schema=schema)


def read_conversation(body: Mapping[str, Any]) -> Conversation:
    """The conversation of a chat request. Raises `BadRequest`."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise BadRequest("Missing required parameter: 'messages'.", param="messages")
    if not messages:
        raise BadRequest("Invalid 'messages': empty array.", param="messages", code="empty_array")
    names: dict[str, str] = {}
    return Conversation(turns=tuple(_turn(message, index, names) for index, message in enumerate(messages)))


def _turn(message: object, index: int, names: dict[str, str]) -> Turn:
    where = f"messages[{index}]"
    if not isinstance(message, dict):
        raise BadRequest(f"Invalid type for '{where}': expected an object.", param=where, code="invalid_type")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise BadRequest(f"Invalid value for '{where}.role'.", param=f"{where}.role", code="invalid_value")
    if role == "assistant":
        _note_calls(message, names)
    text, media = _content(message.get("content"), where)
    source = names.get(str(message.get("tool_call_id")), str(message.get("name") or ""))
    return Turn(role=role, text=text, media=media, source=source if role in ("tool", "function") else "")


def _note_calls(message: Mapping[str, Any], names: dict[str, str]) -> None:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            names[str(call.get("id"))] = str(function.get("name"))


def _content(content: object, where: str) -> tuple[str, tuple[Media, ...]]:
    if content is None or isinstance(content, str):
        return content or "", ()
    if not isinstance(content, list):
        where += ".content"
        raise BadRequest(f"Invalid type for '{where}': expected a string or parts.", param=where, code="invalid_type")
    texts: list[str] = []
    media: list[Media] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            _read_part(part, texts, media)
    return "\n".join(texts), tuple(media)


def _read_part(part: Mapping[str, Any], texts: list[str], media: list[Media]) -> None:
    kind = part.get("type")
    text = part.get("text", part.get("refusal"))
    inner = part.get(str(kind))
    inner = inner if isinstance(inner, dict) else {}
    if isinstance(text, str):
        texts.append(text)
    elif kind in ("image_url", "video_url"):
        url = inner.get("url", part.get(str(kind)))
        media.append(linked_media(str(kind).removesuffix("_url"), url if isinstance(url, str) else ""))
    elif kind == "input_audio":
        size = decoded_size(str(inner.get("data", "")))
        media.append(Media(kind="audio", media_type=f"audio/{inner.get('format', 'wav')}", size=size))
    elif kind == "file":
        media.append(linked_media("file", str(inner.get("file_data") or "")))


def read_offer(body: Mapping[str, Any]) -> Offer:
    """The tools in a chat request. Raises `BadRequest`."""
    legacy = "tools" not in body and "functions" in body
    listed = body.get("functions") if legacy else body.get("tools")
    if listed is None:
        return Offer()
    field_name = "functions" if legacy else "tools"
    if not isinstance(listed, list):
        raise BadRequest(f"Invalid type for '{field_name}': expected an array.", param=field_name, code="invalid_type")
    tools = tuple(_tool(item, index, legacy) for index, item in enumerate(listed) if _is_function(item, legacy))
    mode, named = _choice(body.get("function_call" if legacy else "tool_choice"), tools)
    if mode == "allowed":
        mode, tools = _allowed(body["tool_choice"], tools)
    parallel = body.get("parallel_tool_calls") is not False and not legacy
    return Offer(tools=tools, mode=mode if tools else "none", named=named, parallel=parallel, legacy=legacy)


def _is_function(item: object, legacy: bool) -> bool:
    return legacy or not isinstance(item, dict) or item.get("type", "function") == "function"


def _tool(item: object, index: int, legacy: bool) -> Tool:
    where = f"functions[{index}]" if legacy else f"tools[{index}].function"
    function = item if legacy or not isinstance(item, dict) else item.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise BadRequest(f"Missing required parameter: '{where}.name'.", param=f"{where}.name")
    parameters = function.get("parameters")
    description = function.get("description")
    return Tool(
        name=function["name"],
        description=description if isinstance(description, str) else "",
        parameters=parameters if isinstance(parameters, dict) and parameters else EMPTY_PARAMETERS,
    )


def _choice(choice: object, tools: Sequence[Tool]) -> tuple[str, str | None]:
    if choice is None:
        return "auto", None
    if isinstance(choice, str) and choice in ("none", "auto", "required"):
        return choice, None
    if isinstance(choice, dict):
        if choice.get("type") == "allowed_tools":
            return "allowed", None
        function = choice.get("function", choice)
        name = function.get("name") if isinstance(function, dict) else None
        if any(tool.name == name for tool in tools):
            return "required", name
        raise BadRequest(f"Tool choice '{name}' is not among the tools.", param="tool_choice")
    raise BadRequest("Invalid value for 'tool_choice'.", param="tool_choice", code="invalid_value")


def _allowed(choice: Mapping[str, Any], tools: tuple[Tool, ...]) -> tuple[str, tuple[Tool, ...]]:
    inner = choice.get("allowed_tools", choice)
    inner = inner if isinstance(inner, dict) else {}
    listed = inner.get("tools")
    functions = [item.get("function", item) for item in listed or () if isinstance(item, dict)]
    names = {function.get("name") for function in functions if isinstance(function, dict)}
    return str(inner.get("mode", "auto")), tuple(tool for tool in tools if tool.name in names)
