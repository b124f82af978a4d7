"""Hypereal Cache: breakpoints for requests whose clients set none (api.md section 6).

Anthropic caches a prompt up to each block that bears `cache_control`, and finds again what an earlier request wrote
at most 20 blocks before such a block. A request without any is billed in full, turn after turn. So one without gets up
to four: behind the tools, behind the system prompt, behind the last-but-one user turn, and where the request before
this one had its last, so that the session's next request always finds what this one wrote, however many blocks a turn
has. Nothing but the place of the marks changes from turn to turn; a mark is no part of what is cached.

Claude Code may put a text block in front of its system prompt that differs from request to request
(`x-anthropic-billing-header`). Everything behind such a block is new each time, and behind the system prompt come the
messages, so no other place would do: it is left out of a request that gets breakpoints. It is addressed to nobody that
answers; Claude Code has a setting that omits it (`CLAUDE_CODE_ATTRIBUTION_HEADER=0`).

Reference: Anthropic's documentation, "Prompt caching"; the types of its SDK for what may bear a mark.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.wire.fields import LIKELY_BYTES_PER_TOKEN, NULL, UNREADABLE, Fields

BILLING_HEADER = "x-anthropic-billing-header:"
MARKED_TURNS = 2  # with tools and system the four marks that a request may bear

_CACHED_FIELDS = ("system", "messages", "tools")
_KEY = b'"cache_control"'
_EPHEMERAL = msgspec.Raw(b'{"type":"ephemeral"}')
_TEXT = msgspec.Raw(b'"text"')
_ARRAY, _OBJECT, _QUOTE = b'[{"'
_BEARERS = frozenset(
    {
        "bash_code_execution_tool_result",
        "code_execution_tool_result",
        "container_upload",
        "document",
        "image",
        "search_result",
        "server_tool_use",
        "text",
        "text_editor_code_execution_tool_result",
        "tool_result",
        "tool_search_tool_result",
        "tool_use",
        "web_fetch_tool_result",
        "web_search_tool_result",
    }
)
"""The blocks that may bear a mark: not thinking, and none that we do not know."""


class _Message(msgspec.Struct, gc=False):
    role: str
    content: msgspec.Raw = msgspec.Raw(b"[]")


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    defer_loading: bool | None = None


class _Holder(msgspec.Struct, gc=False):
    """What may be marked, or hold what is: blocks in a message, in a tool's result, in a document's source."""

    cache_control: Any = None
    content: msgspec.Raw = msgspec.Raw()
    source: msgspec.Raw = msgspec.Raw()


_Items = list[msgspec.Raw]
_decode_items = msgspec.json.Decoder(_Items).decode
_decode_holder = msgspec.json.Decoder(_Holder).decode
_decode_holders = msgspec.json.Decoder(list[_Holder]).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_block = msgspec.json.Decoder(_Block).decode
_decode_object = msgspec.json.Decoder(Fields).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.encode


def reads_cache_option(fields: Fields) -> bool:
    """Whether breakpoints are wanted: `hypereal: {"cache": false}` turns them off, "auto" is the default said aloud.

    Raises `InvalidRequest` naming `hypereal` or `hypereal.cache` for any other value.
    """
    raw = fields.get("hypereal")
    if raw is None:
        return True
    try:
        options = msgspec.json.decode(raw)
    except UNREADABLE:
        options = ""
    if options is None:
        return True
    if not isinstance(options, dict):
        raise InvalidRequest("hypereal must be an object", param="hypereal")
    wanted = options.get("cache")
    if wanted is None or wanted == "auto":
        return True
    if wanted is False:
        return False
    raise InvalidRequest('hypereal.cache must be "auto" or false', param="hypereal.cache")


def insert_breakpoints(fields: Fields, *, min_tokens: int) -> Fields | None:
    """The fields with breakpoints at the end of the stable prefix, or None when there is nothing to insert.

    That is so when the client set one anywhere, when the prefix is likely under the model's minimum of `min_tokens`,
    and when the body is not of this format, which the upstream will say.
    """
    try:
        if _has_breakpoint(fields):
            return None
        return _insert(fields, min_tokens * LIKELY_BYTES_PER_TOKEN)
    except UNREADABLE:
        return None


def _has_breakpoint(fields: Fields) -> bool:
    automatic = fields.get("cache_control")
    if automatic is not None and automatic != NULL:
        return True
    return any(raw is not None and _is_marked(raw) for raw in map(fields.get, _CACHED_FIELDS))


def _is_marked(raw: msgspec.Raw) -> bool:
    """Whether a block or any within it is marked. A tool may well have an argument called `cache_control`."""
    if _KEY not in bytes(raw):  # most have not even the word, and to look for it costs next to nothing
        return False
    start = memoryview(raw)[0]
    items = _decode_holders(raw) if start == _ARRAY else [_decode_holder(raw)] if start == _OBJECT else []
    return any(item.cache_control is not None or _is_marked(item.content) or _is_marked(item.source) for item in items)


def _insert(fields: Fields, least_bytes: int) -> Fields | None:
    marked = dict(fields)
    tools, system = _items(fields.get("tools")), _without_billing_header(_items(fields.get("system")))
    messages = _items(fields.get("messages"))
    tools_end = _size(tools)
    system_end = tools_end + _size(system)
    has_marked = False
    if tools_end >= least_bytes and _mark_last(tools, _is_tool_bearer):
        marked["tools"] = msgspec.Raw(_encode(tools))
        has_marked = True
    if system_end >= least_bytes and _mark_last(system, _is_bearer):
        has_marked = True
    if _mark_turns(messages, system_end, least_bytes):
        marked["messages"] = msgspec.Raw(_encode(messages))
        has_marked = True
    if not has_marked:
        return None
    if system:
        marked["system"] = msgspec.Raw(_encode(system))
    else:
        marked.pop("system", None)
    return marked


def _items(raw: msgspec.Raw | None) -> _Items:
    """The items of an array; a string is one block of text."""
    if raw is None or raw == NULL:
        return []
    if memoryview(raw)[0] == _QUOTE:
        return [msgspec.Raw(_encode({"type": _TEXT, "text": raw}))]
    return _decode_items(raw)


def _size(items: _Items) -> int:
    return sum(len(item) for item in items)


def _without_billing_header(system: _Items) -> _Items:
    if system and BILLING_HEADER.encode() in bytes(system[0]):
        block = _decode_block(system[0])
        if block.text is not None and block.text.startswith(BILLING_HEADER):
            return system[1:]
    return system


def _is_bearer(block: _Block) -> bool:
    if block.type == "text":
        return bool(block.text and not block.text.isspace())
    return block.type in _BEARERS


def _is_tool_bearer(tool: _Block) -> bool:
    """A tool that is loaded later is not part of the prompt, and a mark on it is refused; a toolset may be such."""
    return not tool.defer_loading and tool.type != "mcp_toolset"


def _mark_last(items: _Items, is_bearer: Callable[[_Block], bool]) -> bool:
    """Mark the last item that may bear it; False when none may."""
    for index in range(len(items) - 1, -1, -1):
        if is_bearer(_decode_block(items[index])):
            block = _decode_object(items[index])
            block["cache_control"] = _EPHEMERAL
            items[index] = msgspec.Raw(_encode(block))
            return True
    return False


def _mark_turns(messages: _Items, before: int, least_bytes: int) -> bool:
    """Mark the ends of the user turns before the last one, the newest two; False when there is nothing to mark.

    A turn is what stands between two messages of the assistant. `before` is the size of the prefix before them.
    """
    end = before + _size(messages)
    is_last, is_sought, marks = True, True, 0
    for index in range(len(messages) - 1, -1, -1):
        if end < least_bytes or marks == MARKED_TURNS:
            break
        message = _decode_message(messages[index])
        end -= len(messages[index])
        if message.role == "assistant":
            is_sought = True
        elif message.role == "user" and is_sought:
            if is_last:
                is_last = is_sought = False
            elif _mark_message(messages, index, message.content):
                is_sought = False
                marks += 1
    return marks > 0


def _mark_message(messages: _Items, index: int, content: msgspec.Raw) -> bool:
    blocks = _items(content)
    if not _mark_last(blocks, _is_bearer):
        return False
    message = _decode_object(messages[index])
    message["content"] = msgspec.Raw(_encode(blocks))
    messages[index] = msgspec.Raw(_encode(message))
    return True
