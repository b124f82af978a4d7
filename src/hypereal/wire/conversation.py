"""The canonical conversation: what a request asks and what an answer says, in nobody's format.

Used only when the client and the upstream speak different formats: a `Codec` of each side reads its own format into
these values and writes its own format from them, so that N formats need 2N conversions. What a side cannot express is
left out and named (`Conversation.dropped`, `Written.dropped`), never mangled; what only one provider understands
travels untouched in `Opaque` and `Foreign`, which remember where they came from.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from hypereal.wire.base import Usage

Role = Literal["user", "assistant", "system"]
MediaKind = Literal["image", "audio", "video", "file"]
Stop = Literal["end", "length", "tool_calls", "stop_sequence", "refusal", "pause"]
"""Why an answer ended. `pause`: the provider will go on when it is sent its answer back (Anthropic's `pause_turn`)."""


class Opaque(msgspec.Struct, frozen=True):
    """A provider's own token for reasoning that it wants back byte for byte: a signature, encrypted content.

    `origin` is the dialect it came from and the only one it may be sent back to; `id` is the name that the origin gave
    the block it belongs to, where it gave one.
    """

    origin: str
    data: str
    id: str | None = None


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Prose. `cache` is Anthropic's `cache_control` object as it came."""

    text: str
    cache: Any = None


class Media(msgspec.Struct, frozen=True, kw_only=True, tag="media"):
    """A file inline (`data`, base64), by address, or by the id of an upload at its provider (`file_id`), which means
    something only to `origin`."""

    kind: MediaKind
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    origin: str | None = None
    name: str | None = None
    detail: str | None = None
    cache: Any = None


class Thinking(msgspec.Struct, frozen=True, kw_only=True, tag="thinking"):
    """Reasoning, or its summary. Without text it is only a token to send back (redacted or encrypted reasoning)."""

    text: str = ""
    opaque: Opaque | None = None


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call"):
    """A call that the model makes. `arguments` is JSON text as generated, or free text for a custom tool."""

    id: str
    name: str
    arguments: str
    is_custom: bool = False
    opaque: Opaque | None = None


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag="tool_result"):
    """What a call came to. `name` is the tool's, where the client says it."""

    call_id: str
    content: tuple[Text | Media, ...]
    name: str | None = None
    is_error: bool = False
    is_custom: bool = False
    cache: Any = None


class Foreign(msgspec.Struct, frozen=True, kw_only=True, tag="foreign"):
    """A block that only its own format knows (a server tool's call and result, a document citation): `raw` is its
    JSON, `kind` its type there."""

    origin: str
    kind: str
    raw: bytes


Block = Text | Media | Thinking | ToolCall | ToolResult | Foreign


class Message(msgspec.Struct, frozen=True):
    """One turn. Tool results are blocks of a `user` message, as in the formats that think in blocks."""

    role: Role
    blocks: tuple[Block, ...]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model may call; `schema` is the JSON schema of its arguments. `grammar` is the format object
    of a custom tool, which takes free text."""

    name: str
    description: str = ""
    schema: Any = None
    strict: bool | None = None
    is_custom: bool = False
    grammar: Any = None
    cache: Any = None


class ForeignTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that its provider runs (web search, code execution), known only to `origin`."""

    origin: str
    kind: str
    raw: bytes


class ToolChoice(msgspec.Struct, frozen=True):
    """`one` names the tool that must be called."""

    mode: Literal["auto", "none", "required", "one"]
    name: str | None = None


class Reasoning(msgspec.Struct, frozen=True, kw_only=True):
    """How much to think: by itself (`adaptive`), by effort, or by a budget in tokens. `shows` asks to see it."""

    is_enabled: bool = True
    is_adaptive: bool = False
    effort: str | None = None
    budget_tokens: int | None = None
    shows: bool | None = None


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True):
    """JSON as output; with `schema`, JSON of that shape."""

    schema: Any = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Conversation(msgspec.Struct, kw_only=True):
    """A request. `system` is what stands before the first message; None means that the client did not say.

    `dropped` names the fields of the client's format that have no place here, in the client's spelling.
    """

    system: tuple[Text, ...] = ()
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool | ForeignTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    output: OutputFormat | None = None
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    user: str | None = None
    service_tier: str | None = None
    verbosity: str | None = None
    cache_key: str | None = None
    dropped: tuple[str, ...] = ()


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is written for: the model as its upstream knows it, and its limits.

    `thinks_adaptively` says of one of Anthropic's that it takes `thinking: adaptive` and an effort, not a budget.
    """

    model: str
    max_output_tokens: int
    default_output_tokens: int
    thinks_adaptively: bool = False


class Written(msgspec.Struct, frozen=True):
    """A request's body, ready to be encoded, and what of the conversation it does not say, by the canonical names."""

    fields: dict[str, Any]
    dropped: tuple[str, ...] = ()


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. `usage` is None when the upstream reported none. `id` and `model` are the upstream's words."""

    id: str
    model: str
    blocks: tuple[Block, ...]
    stop: Stop
    stop_sequence: str | None = None
    usage: Usage | None = None


# Budgets that Anthropic's and Google's documentation give for the efforts that OpenAI names.
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 24_576, "xhigh": 32_768, "max": 65_536}


def effort_of(budget_tokens: int) -> str:
    """The least effort whose budget is not below `budget_tokens`; "max" for more than any has."""
    return next((effort for effort, budget in BUDGETS.items() if budget_tokens <= budget), "max")


def budget_of(effort: str) -> int:
    """The thinking budget that an effort stands for; that of "medium" for one that we do not know."""
    return BUDGETS.get(effort, BUDGETS["medium"])
