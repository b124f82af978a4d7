"""Which tools an answer calls, and with what: the best match for the prompt, arguments that fit its schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hypereal.sandbox.conversation import Conversation
from hypereal.sandbox.hints import PLACE_WORDS, STOP_WORDS, Hints, name_words, words
from hypereal.sandbox.request import BadRequest
from hypereal.sandbox.schema import fill
from hypereal.sandbox.schema_check import Unsatisfiable
from hypereal.sandbox.shell import commands, is_shell, shell_arguments

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
EMPTY_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the client offers; one that `is_custom` takes free text instead of arguments.

    `namespace` is the group that it stands in, for formats that have groups.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: EMPTY_PARAMETERS)
    is_custom: bool = False
    namespace: str = ""

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
    """A call to make; `arguments` is JSON text, or free text for a tool that is custom."""

    tool: Tool
    arguments: str


def decide(offer: Offer, conversation: Conversation) -> list[ToolCall]:
    """The calls that the answer makes; none when it is to be text. Raises `BadRequest` for a schema without values."""
    if offer.mode == "none" or (conversation.results and offer.mode != "required"):
        return []
    prompt = conversation.prompt
    calls = _shell_calls(offer, prompt) or _fitting_calls(offer, prompt)
    return calls[: MAX_CALLS if offer.parallel else 1]


def _shell_calls(offer: Offer, prompt: str) -> list[ToolCall]:
    shell = next((tool for tool in offer.tools if is_shell(tool.name, tool.parameters)), None)
    if shell is None or offer.named not in (None, shell.name):
        return []
    return [
        ToolCall(tool=shell, arguments=shell_arguments(shell.parameters, command))
        for command in commands(prompt, is_said=shell.name.lower() in prompt.lower())
    ]


def _fitting_calls(offer: Offer, prompt: str) -> list[ToolCall]:
    hints = Hints(prompt)
    calls: list[ToolCall] = []
    for tool in _chosen(offer, prompt):
        places = hints.places() if _has_place(tool) else []
        spots = [hints.focused(place) for place in places] or [hints]
        calls += [_call(tool, spot) for spot in spots]
    return calls


def _chosen(offer: Offer, prompt: str) -> list[Tool]:
    if offer.named is not None:
        return [tool for tool in offer.tools if tool.name == offer.named]
    if offer.mode != "required" and any(is_shell(tool.name, tool.parameters) for tool in offer.tools):
        # A coding agent: it offers dozens of tools that share words with any prompt, so one is called by its name.
        return [tool for tool in offer.tools if _is_called_for(tool, prompt)][:1]
    said = _stems(prompt)
    lower = prompt.lower()
    named = {tool.name: _name_score(tool, said, lower) for tool in offer.tools}
    scores = {tool.name: _score(tool, said, named[tool.name]) for tool in offer.tools}
    fitting = sorted(offer.tools, key=lambda tool: -scores[tool.name])
    by_name = [tool for tool in fitting if named[tool.name]]
    if by_name:
        return by_name if len(by_name) <= MAX_CALLS else by_name[:1]
    return fitting[:1] if offer.mode == "required" or scores[fitting[0].name] >= _CALL_SCORE else []


def _is_called_for(tool: Tool, prompt: str) -> bool:
    """Whether the prompt says "use the `name`", "call name" or "the name tool"."""
    name = re.escape(tool.name)
    pattern = rf"\b(?:use|using|call)\s+(?:the\s+)?`?{name}\b|(?<!\w){name}`?\s+tool\b"
    return re.search(pattern, prompt, re.IGNORECASE) is not None


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "es", "ed", "s", "e"):
        if len(word) - len(ending) >= 3 and word.endswith(ending):
            return word.removesuffix(ending)
    return word


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in words(text) if word not in STOP_WORDS}


def _name_score(tool: Tool, said: set[str], prompt: str) -> int:
    """How many of the telling words in the tool's name the prompt uses; its whole name counts too."""
    telling = {_stem(word) for word in name_words(tool.name) if word not in _VERBS}
    return len(telling & said) + (tool.name.lower() in prompt)


def _score(tool: Tool, said: set[str], named: int) -> int:
    inputs = {_stem(word) for name in tool.property_names() for word in name_words(name)}
    verbs = {_stem(word) for word in name_words(tool.name)} & said
    described = _stems(tool.description) & said
    return 3 * named + 2 * len(described - verbs) + len(verbs) + len(inputs & said)


def _has_place(tool: Tool) -> bool:
    return any(PLACE_WORDS & set(name_words(name)) for name in tool.property_names())


def _call(tool: Tool, hints: Hints) -> ToolCall:
    if tool.is_custom:
        return ToolCall(tool=tool, arguments=hints.text("input"))
    try:
        arguments = fill(tool.parameters, hints)
    except Unsatisfiable as exc:
        raise BadRequest(f"Invalid schema for function '{tool.name}': {exc}", param="tools") from exc
    return ToolCall(tool=tool, arguments=msgspec.json.encode(arguments).decode())
