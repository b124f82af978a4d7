"""Custom tools, which take free text, for the many upstreams that know only functions.

OpenAI's own models are given a custom tool as it is. For everybody else it becomes a function with one string field,
and a call to it becomes free text again on its way back, by the names in the client's request.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hypereal.wire.conversation import Block, Conversation, Message, Reply, Tool, ToolCall, ToolResult
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event
from hypereal.wire.fields import UNREADABLE

FIELD = "input"
SCHEMA = {
    "type": "object",
    "properties": {FIELD: {"type": "string", "description": "The whole input of the tool, as plain text"}},
    "required": [FIELD],
    "additionalProperties": False,
}

_replace = msgspec.structs.replace


class _Arguments(msgspec.Struct):
    input: str


_decode_arguments = msgspec.json.Decoder(_Arguments).decode


def custom_names(conversation: Conversation) -> frozenset[str]:
    """The names of the custom tools that a request offers."""
    return frozenset(tool.name for tool in conversation.tools if isinstance(tool, Tool) and tool.is_custom)


def as_functions(conversation: Conversation) -> Conversation:
    """The same request with every custom tool, call and result as those of a function."""
    return _replace(
        conversation,
        tools=tuple(_as_function(tool) if isinstance(tool, Tool) else tool for tool in conversation.tools),
        messages=tuple(
            Message(message.role, tuple(_as_function_block(block) for block in message.blocks))
            for message in conversation.messages
        ),
    )


def _as_function(tool: Tool) -> Tool:
    if not tool.is_custom:
        return tool
    description = tool.description
    if tool.grammar is not None:
        grammar = msgspec.json.encode(tool.grammar).decode()
        description = f"{description}\n\nThe input must follow this format: {grammar}".strip()
    return Tool(name=tool.name, description=description, schema=SCHEMA, cache=tool.cache)


def _as_function_block(block: Block) -> Block:
    if isinstance(block, ToolCall) and block.is_custom:
        return _replace(block, arguments=msgspec.json.encode({FIELD: block.arguments}).decode(), is_custom=False)
    if isinstance(block, ToolResult) and block.is_custom:
        return _replace(block, is_custom=False)
    return block


def free_text(arguments: str) -> str:
    """The free text in a function's arguments; the arguments themselves when the model wrote it bare."""
    try:
        return _decode_arguments(arguments).input
    except UNREADABLE:
        return arguments


def restore(reply: Reply, names: frozenset[str]) -> Reply:
    """An answer whose calls to the client's custom tools are custom again."""
    return _replace(
        reply,
        blocks=tuple(
            _replace(block, arguments=free_text(block.arguments), is_custom=True)
            if isinstance(block, ToolCall) and block.name in names and not block.is_custom
            else block
            for block in reply.blocks
        ),
    )


class CustomCalls:
    """Restores the calls to custom tools in one stream: their text is told when their arguments are whole."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._arguments: dict[int, list[str]] = {}

    def restore(self, events: list[Event]) -> list[Event]:
        return [told for event in events for told in self._told(event)]

    def _told(self, event: Event) -> Iterator[Event]:
        if isinstance(event, BlockStarted):
            block = event.block
            if isinstance(block, ToolCall) and block.name in self._names and not block.is_custom:
                self._arguments[event.index] = [block.arguments]
                event = BlockStarted(event.index, _replace(block, arguments="", is_custom=True))
        elif isinstance(event, Delta):
            if event.index in self._arguments:
                self._arguments[event.index].append(event.text)
                return
        elif isinstance(event, BlockStopped) and event.index in self._arguments:
            yield Delta(event.index, free_text("".join(self._arguments.pop(event.index))))
        yield event
