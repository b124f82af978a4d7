"""Which tools an answer calls, and with what: the best match for the prompt, arguments that fit its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hypereal.sandbox.conversation import Conversation
from hypereal.sandbox.hints import PLACE_WORDS, STOP_WORDS, Hints, name_words, words
from hypereal.sandbox.request import BadRequest
from hypereal.sandbox.schema import fill
from hypereal.sandbox.schema_check import Unsatisfiable

MAX_CALLS = 8
_CALL_SCORE = 3  # one word of a tool's name, or several of its description
_VERBS = frozenset(
    {
        "get",
        "set",
        "list",
        "find",
        "search",
        "create",
        "make",
        "fetch",
        "lookup",
        "look",
        "run",
        "do",
        "call",
        "tool",
        "function",
        "query",
        "current",
        "new",
        "add",
        "read",
        "write",
        "update",
        "delete",
        "send",
        "show",
    }
)
_EMPTY_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the client offers."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: _EMPTY_PARAMETERS)

    def property_names(self) -> list[str]:
        properties = self.parameters.get("properties")
        return list(properties) if isinstance(properties, dict) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The tools of a request and what it says about using them.

    `mode` is none, auto or required; `named` restricts a required call to one tool. `legacy` is the older
    `functions` / `function_call` form, which calls one at a time.
    """

    tools: tuple[Tool, ...] = ()
    mode: str = "none"
    named: str | None = None
    parallel: bool = True
    legacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call to make; `arguments` is JSON text."""

    name: str
    arguments: str


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
        parameters=parameters if isinstance(parameters, dict) and parameters else _EMPTY_PARAMETERS,
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


def decide(offer: Offer, conversation: Conversation) -> list[ToolCall]:
    """The calls that the answer makes; none when it is to be text. Raises `BadRequest` for a schema without values."""
    if offer.mode == "none" or (conversation.results and offer.mode != "required"):
        return []
    prompt = conversation.prompt
    chosen = _chosen(offer, prompt)
    hints = Hints(prompt)
    if not offer.parallel:
        return [_call(tool, hints) for tool in chosen[:1]]
    calls: list[ToolCall] = []
    for tool in chosen:
        places = hints.places() if _has_place(tool) else []
        spots = [hints.focused(place) for place in places] or [hints]
        calls += [_call(tool, spot) for spot in spots]
    return calls[:MAX_CALLS]


def _chosen(offer: Offer, prompt: str) -> list[Tool]:
    if offer.named is not None:
        return [tool for tool in offer.tools if tool.name == offer.named]
    scores = {tool.name: _score(tool, prompt) for tool in offer.tools}
    fitting = sorted(offer.tools, key=lambda tool: -scores[tool.name])
    by_name = [tool for tool in fitting if _name_score(tool, prompt)]
    if by_name:
        return by_name if len(by_name) <= MAX_CALLS else by_name[:1]
    return fitting[:1] if offer.mode == "required" or scores[fitting[0].name] >= _CALL_SCORE else []


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "es", "ed", "s", "e"):
        if len(word) - len(ending) >= 3 and word.endswith(ending):
            return word.removesuffix(ending)
    return word


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in words(text) if word not in STOP_WORDS}


def _name_score(tool: Tool, prompt: str) -> int:
    """How many of the telling words in the tool's name the prompt uses; its whole name counts too."""
    said = _stems(prompt)
    telling = {_stem(word) for word in name_words(tool.name) if word not in _VERBS}
    return len(telling & said) + (tool.name.lower() in prompt.lower())


def _score(tool: Tool, prompt: str) -> int:
    said = _stems(prompt)
    inputs = {_stem(word) for name in tool.property_names() for word in name_words(name)}
    verbs = {_stem(word) for word in name_words(tool.name)} & said
    described = _stems(tool.description) & said
    return 3 * _name_score(tool, prompt) + 2 * len(described - verbs) + len(verbs) + len(inputs & said)


def _has_place(tool: Tool) -> bool:
    return any(PLACE_WORDS & set(name_words(name)) for name in tool.property_names())


def _call(tool: Tool, hints: Hints) -> ToolCall:
    try:
        arguments = fill(tool.parameters, hints)
    except Unsatisfiable as exc:
        raise BadRequest(f"Invalid schema for function '{tool.name}': {exc}", param="tools") from exc
    return ToolCall(name=tool.name, arguments=msgspec.json.encode(arguments).decode())
