"""A client's Chat Completions request as a canonical conversation.

Reference: OpenAI's API reference, "Create chat completion"; the extensions of OpenRouter and vLLM that clients send.
Consecutive tool results, and a user message after them, are one canonical user message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.wire.conversation import (
    Block,
    Conversation,
    Foreign,
    ForeignTool,
    Media,
    Message,
    OutputFormat,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
)
from hypereal.wire.fields import UNREADABLE, Fields, read_flag, read_integer, read_list, read_number, read_text
from hypereal.wire.openai_chat.answer import as_list, content_pieces, each_call, read_call
from hypereal.wire.openai_chat.media import read_media
from hypereal.wire.openai_chat.reasoning import DIALECT, as_text, read_reasoning

_PLACED = (
    frozenset({"messages", "tools", "tool_choice", "functions", "function_call", "parallel_tool_calls"})
    | {"reasoning_effort", "reasoning", "thinking", "response_format", "max_tokens", "max_completion_tokens"}
    | {"temperature", "top_p", "top_k", "stop", "seed", "presence_penalty", "frequency_penalty"}
    | {"user", "safety_identifier", "service_tier", "verbosity", "prompt_cache_key"}
)
"""The fields that have a place in a conversation."""
_SILENT = frozenset({"model", "stream", "stream_options", "hypereal", "intent", "metadata", "store"}) | {
    "prompt_cache_options",
    "prompt_cache_retention",
}
"""Fields whose loss at translation changes nothing that the client would notice in the answer."""
_NEUTRAL = {"n": (1,), "logprobs": (False,), "top_logprobs": (0,), "modalities": (["text"],), "logit_bias": ({},)}
"""Values that say what would happen anyway."""
_LEAST, _MOST = float("-inf"), float("inf")
_SYSTEM = ("system", "developer")


def read_request(fields: Mapping[str, msgspec.Raw]) -> Conversation:
    """What a client's body asks; raises `InvalidRequest` naming the field that it could not understand."""
    given = dict(fields)
    reader = _Messages()
    for item in read_list(given, "messages"):
        reader.read(_decode(item, "messages"))
    tools = _read_tools(given)
    choice, allowed = _read_choice(given)
    if allowed is not None:
        tools = [tool for tool in tools if isinstance(tool, Tool) and tool.name in allowed]
    limit = read_integer(given, "max_completion_tokens", 1) or read_integer(given, "max_tokens", 1)
    return Conversation(
        system=tuple(reader.system),
        messages=tuple(Message(role, tuple(blocks)) for role, blocks in reader.messages),
        tools=tuple(tools),
        tool_choice=choice,
        parallel_tool_calls=read_flag(given, "parallel_tool_calls"),
        reasoning=_read_reasoning(given),
        output=_read_output(given),
        stream=read_flag(given, "stream") or False,
        max_tokens=limit,
        temperature=read_number(given, "temperature", _LEAST, _MOST),
        top_p=read_number(given, "top_p", _LEAST, _MOST),
        top_k=read_integer(given, "top_k", -1),
        stop=_read_stop(given),
        seed=read_integer(given, "seed", -(2**63)),
        presence_penalty=read_number(given, "presence_penalty", _LEAST, _MOST),
        frequency_penalty=read_number(given, "frequency_penalty", _LEAST, _MOST),
        user=read_text(given, "user") or read_text(given, "safety_identifier"),
        service_tier=read_text(given, "service_tier"),
        verbosity=read_text(given, "verbosity"),
        cache_key=read_text(given, "prompt_cache_key"),
        dropped=tuple(dict.fromkeys([*_unread(given), *reader.dropped])),
    )


def _decode(raw: msgspec.Raw | None, name: str) -> Any:
    try:
        return msgspec.json.decode(raw) if raw is not None else None
    except UNREADABLE as exc:
        raise InvalidRequest(f"{name} is nested too deeply or is not valid JSON", param=name) from exc


def _unread(fields: Fields) -> list[str]:
    """The names of what is set and has no place in a conversation."""
    names = []
    for name in fields.keys() - _PLACED - _SILENT:
        value = _decode(fields[name], name)
        if value is not None and value not in _NEUTRAL.get(name, ()):
            names.append(name)
    return sorted(names)


class _Messages:
    """Gathers the canonical messages one by one."""

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.messages: list[tuple[Any, list[Block]]] = []
        self.dropped: list[str] = []
        self._calls = 0
        self._named_calls: dict[str, str] = {}
        self._custom_calls: set[str] = set()
        self._count = 0

    def read(self, message: Any) -> None:
        place = f"messages[{self._count}]"
        self._count += 1
        if not isinstance(message, dict):
            raise InvalidRequest(f"{place} must be an object", param="messages")
        role = message.get("role")
        reader = self._readers.get(role) if isinstance(role, str) else None
        if reader is None:
            roles = ", ".join(sorted(self._readers))
            raise InvalidRequest(f"{place}.role must be one of {roles}", param="messages")
        if message.get("name") and role in ("user", "assistant"):
            self._drop("name")
        reader(self, message, place)

    def _drop(self, name: str) -> None:
        self.dropped.append(name)

    def _read_system(self, message: dict[str, Any], place: str) -> None:
        texts = [block for block in self._content(message, place) if isinstance(block, Text)]
        if self.messages:
            self.messages.append(("system", list(texts)))
        else:
            self.system += texts

    def _read_user(self, message: dict[str, Any], place: str) -> None:
        self._add_user(self._content(message, place))

    def _add_user(self, blocks: list[Block]) -> None:
        """A user's message continues the results before it, if it follows any."""
        if self.messages and self.messages[-1][0] == "user" and isinstance(self.messages[-1][1][-1], ToolResult):
            self.messages[-1][1].extend(blocks)
        elif blocks:
            self.messages.append(("user", blocks))

    def _read_assistant(self, message: dict[str, Any], place: str) -> None:
        blocks: list[Block] = list(read_reasoning(message, is_request=True))
        content = message.get("content")
        if content is not None:
            blocks += self._content(message, place)
        refusal = as_text(message.get("refusal"))
        if refusal:
            blocks.append(Text(refusal))
        if message.get("audio"):
            self._drop("audio")
        for item in each_call(message):
            call = read_call(item, f"call_{self._calls}", "gemini")
            self._calls += 1
            if call is None:
                raise InvalidRequest(f"{place}.tool_calls holds a call without a name", param="messages")
            self._named_calls[call.name] = call.id
            if call.is_custom:
                self._custom_calls.add(call.id)
            blocks.append(call)
        if blocks:
            self.messages.append(("assistant", blocks))

    def _read_tool(self, message: dict[str, Any], place: str) -> None:
        call_id = message.get("tool_call_id")
        if not isinstance(call_id, str):
            raise InvalidRequest(f"{place}.tool_call_id must be a string", param="messages")
        self._add_result(call_id, message, place)

    def _read_function(self, message: dict[str, Any], place: str) -> None:
        """The result of a legacy call, which has no id but its function's name."""
        name = as_text(message.get("name"))
        self._add_result(self._named_calls.get(name, f"call_{name}"), message, place)

    def _add_result(self, call_id: str, message: dict[str, Any], place: str) -> None:
        content = tuple(block for block in self._content(message, place) if isinstance(block, Text | Media))
        result = ToolResult(
            call_id=call_id,
            content=content,
            name=as_text(message.get("name")) or None,
            is_custom=call_id in self._custom_calls,
        )
        self._add_user([result])

    def _content(self, message: dict[str, Any], place: str) -> list[Block]:
        content = message.get("content")
        if isinstance(content, str):
            return [Text(content, message.get("cache_control"))] if content else []
        if content is None:
            return []
        if not isinstance(content, list):
            raise InvalidRequest(f"{place}.content must be a string or an array", param="messages")
        return [block for part in content for block in _read_part(part, place)]

    _readers: ClassVar[Mapping[str, Callable[[_Messages, dict[str, Any], str], None]]] = {
        "user": _read_user,
        "assistant": _read_assistant,
        "tool": _read_tool,
        "function": _read_function,
        **dict.fromkeys(_SYSTEM, _read_system),
    }


def _read_part(part: Any, place: str) -> list[Block]:
    if isinstance(part, str):
        return [Text(part)] if part else []
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        raise InvalidRequest(f"{place}.content holds a part without a type", param="messages")
    if kind in ("text", "input_text", "output_text"):
        text = as_text(part.get("text"))
        return [Text(text, part.get("cache_control"))] if text else []
    if kind == "refusal":
        return [Text(refusal)] if (refusal := as_text(part.get("refusal"))) else []
    if kind == "thinking":
        return list(content_pieces([part]))
    media = read_media(part)
    return [media if media is not None else Foreign(origin=DIALECT, kind=kind, raw=msgspec.json.encode(part))]


def _read_tools(fields: Fields) -> list[Tool | ForeignTool]:
    items = _decode(fields.get("tools"), "tools")
    legacy = _decode(fields.get("functions"), "functions")
    for name, value in (("tools", items), ("functions", legacy)):
        if value is not None and not isinstance(value, list):
            raise InvalidRequest(f"{name} must be an array", param=name)
    functions = [{"type": "function", "function": function} for function in legacy or ()]
    return [_read_tool(item) for item in [*(items or ()), *functions]]


def _read_tool(item: Any) -> Tool | ForeignTool:
    kind = item.get("type", "function") if isinstance(item, dict) else None
    if not isinstance(kind, str):
        raise InvalidRequest("tools holds a tool without a type", param="tools")
    if kind not in ("function", "custom"):
        return ForeignTool(origin=DIALECT, kind=kind, raw=msgspec.json.encode(item))
    inner = item.get(kind, item)  # some clients write the tool as the Responses API has it
    name = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(name, str) or not name:
        raise InvalidRequest("tools holds a function without a name", param="tools")
    is_custom = kind == "custom"
    strict = inner.get("strict")
    return Tool(
        name=name,
        description=as_text(inner.get("description")),
        schema=None if is_custom else inner.get("parameters"),
        strict=strict if isinstance(strict, bool) else None,
        is_custom=is_custom,
        grammar=inner.get("format") if is_custom else None,
        cache=item.get("cache_control"),
    )


def _name_in(choice: dict[str, Any]) -> str | None:
    """The tool that an object names, in the shapes of `tool_choice` and of the legacy `function_call`."""
    kind = as_text(choice.get("type"))
    inner = choice.get(kind)
    return as_text((inner if isinstance(inner, dict) else choice).get("name")) or None


def _read_choice(fields: Fields) -> tuple[ToolChoice | None, set[str] | None]:
    """The choice, and the names that `allowed_tools` leaves; the other tools are then not offered at all."""
    field = "tool_choice" if "tool_choice" in fields else "function_call"
    choice = _decode(fields.get(field), field)
    if choice is None:
        return None, None
    modes: dict[Any, ToolChoice] = {
        "auto": ToolChoice("auto"),
        "none": ToolChoice("none"),
        "required": ToolChoice("required"),
        "any": ToolChoice("required"),
    }
    if isinstance(choice, str) and choice in modes:
        return modes[choice], None
    if isinstance(choice, dict):
        kind = choice.get("type")
        if kind == "allowed_tools":
            inner = choice.get("allowed_tools")
            inner = inner if isinstance(inner, dict) else choice
            names = {
                name for tool in as_list(inner.get("tools")) if isinstance(tool, dict) and (name := _name_in(tool))
            }
            return modes["required" if inner.get("mode") == "required" else "auto"], names
        name = _name_in(choice)
        if name is not None:
            return ToolChoice("one", name), None
        if isinstance(kind, str) and kind in modes:
            return modes[kind], None
    raise InvalidRequest(f"{field} must be auto, none, required or name a tool", param=field)


def _read_reasoning(fields: Fields) -> Reasoning | None:
    """How much to think: OpenAI's field, or OpenRouter's `reasoning`, or `thinking` as DeepSeek and others have it."""
    effort = read_text(fields, "reasoning_effort")
    if effort is not None:
        return _by_effort(effort)
    wish = _decode(fields.get("reasoning"), "reasoning")
    if isinstance(wish, dict):
        if isinstance(wish.get("effort"), str):
            return _by_effort(wish["effort"])
        exclude = wish.get("exclude")
        return Reasoning(
            is_enabled=wish.get("enabled") is not False,
            budget_tokens=_budget(wish.get("max_tokens")),
            shows=not exclude if isinstance(exclude, bool) else None,
        )
    wish = _decode(fields.get("thinking"), "thinking")
    if isinstance(wish, dict):
        return Reasoning(
            is_enabled=wish.get("type") != "disabled",
            is_adaptive=wish.get("type") == "adaptive",
            budget_tokens=_budget(wish.get("budget_tokens")),
        )
    return None


def _by_effort(effort: str) -> Reasoning:
    return Reasoning(is_enabled=False) if effort == "none" else Reasoning(effort=effort)


def _budget(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def _read_output(fields: Fields) -> OutputFormat | None:
    form = _decode(fields.get("response_format"), "response_format")
    if form is None:
        return None
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat()
    inner = form.get("json_schema") if kind == "json_schema" else None
    if not isinstance(inner, dict):
        raise InvalidRequest("response_format must be text, json_object or a json_schema", param="response_format")
    strict = inner.get("strict")
    return OutputFormat(
        schema=inner.get("schema"),
        name=as_text(inner.get("name")) or None,
        description=as_text(inner.get("description")) or None,
        strict=strict if isinstance(strict, bool) else None,
    )


def _read_stop(fields: Fields) -> tuple[str, ...]:
    stop = _decode(fields.get("stop"), "stop")
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(one, str) for one in stops):
        raise InvalidRequest("stop must be a string or an array of strings", param="stop")
    return tuple(one for one in stops if one)
