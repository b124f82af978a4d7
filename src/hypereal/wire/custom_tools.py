<<<<<<< HEAD
"""Custom tools, which take free text, for the many upstreams that know only functions.

OpenAI's own models are given a custom tool as it is. For everybody else it becomes a function with one string field,
and a call to it becomes free text again on its way back, by the names in the client's request.
=======
"""Custom tools, which take free text, for the formats whose tools all take JSON.

Such a format's writer declares a custom tool as a function with one string field (`as_function`) and tells its calls
likewise (`wrap`). Its reader cannot know that a call was meant for a custom tool: `CustomCalls` maps an answer back by
the names that the client's request declares.
>>>>>>> responses
"""

from __future__ import annotations

<<<<<<< HEAD
from collections.abc import Iterator

import msgspec

from hypereal.wire.conversation import Block, Conversation, Message, Reply, Tool, ToolCall, ToolResult
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event

FIELD = "input"
SCHEMA = {
    "type": "object",
    "properties": {FIELD: {"type": "string", "description": "The whole input of the tool, as plain text"}},
=======
from typing import Any

import msgspec

from hypereal.wire.conversation import Block, Conversation, Reply, Tool, ToolCall
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event

FIELD = "input"
_SCHEMA = {
    "type": "object",
    "properties": {FIELD: {"type": "string"}},
>>>>>>> responses
    "required": [FIELD],
    "additionalProperties": False,
}

<<<<<<< HEAD
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
=======

class _Wrapped(msgspec.Struct, gc=False):
    input: str


_decode_wrapped = msgspec.json.Decoder(_Wrapped).decode


def custom_names(conversation: Conversation) -> frozenset[str]:
    """The names of the custom tools that a request declares."""
    return frozenset(tool.name for tool in conversation.tools if isinstance(tool, Tool) and tool.is_custom)


def as_function(tool: Tool) -> Tool:
    """A custom tool as a function; its description says what the grammar can no longer enforce."""
    grammar: Any = tool.grammar
    definition = grammar.get("definition") if isinstance(grammar, dict) else None
    rule = f"The input must match this {grammar.get('syntax')} grammar:\n{definition}" if definition else ""
    description = "\n\n".join(filter(None, (tool.description, rule)))
    return Tool(name=tool.name, description=description, schema=_SCHEMA, cache=tool.cache)


def wrap(text: str) -> str:
    """The arguments of the function that stand for the input of the custom tool."""
    return msgspec.json.encode({FIELD: text}).decode()


def unwrap(arguments: str) -> str:
    """The input that `arguments` stand for; as they are, if the model made something else of them."""
    try:
        return _decode_wrapped(arguments).input
>>>>>>> responses
    except (msgspec.DecodeError, RecursionError):
        return arguments


<<<<<<< HEAD
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
=======
class CustomCalls:
    """Turns the calls of one answer back into those of custom tools, by their `names`.

    The input is inside JSON, so in a stream it is told in one piece when the call is whole.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._waiting: dict[int, list[str]] = {}

    def _is_theirs(self, block: Block) -> bool:
        return isinstance(block, ToolCall) and not block.is_custom and block.name in self._names

    def restore(self, reply: Reply) -> Reply:
        """The whole answer."""
        return msgspec.structs.replace(reply, blocks=tuple(map(self._restored, reply.blocks)))

    def _restored(self, block: Block) -> Block:
        if isinstance(block, ToolCall) and self._is_theirs(block):
            return msgspec.structs.replace(block, arguments=unwrap(block.arguments), is_custom=True)
        return block

    def arrange(self, event: Event) -> list[Event]:
        """The next event of a stream, as those that tell it."""
        if isinstance(event, Delta):
            if event.index not in self._waiting:
                return [event]
            self._waiting[event.index].append(event.text)
            return []
        if isinstance(event, BlockStarted) and isinstance(event.block, ToolCall) and self._is_theirs(event.block):
            self._waiting[event.index] = [event.block.arguments]
            return [BlockStarted(event.index, msgspec.structs.replace(event.block, arguments="", is_custom=True))]
        if isinstance(event, BlockStopped) and event.index in self._waiting:
            return [Delta(event.index, unwrap("".join(self._waiting.pop(event.index)))), event]
        return [event]
>>>>>>> responses
