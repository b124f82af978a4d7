"""Custom tools, which take free text, for the formats whose tools all take JSON.

Such a format's writer declares a custom tool as a function with one string field (`as_function`) and tells its calls
likewise (`wrap`). Its reader cannot know that a call was meant for a custom tool: `CustomCalls` maps an answer back by
the names that the client's request declares.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.wire.conversation import Block, Conversation, Reply, Tool, ToolCall
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event

FIELD = "input"
_SCHEMA = {
    "type": "object",
    "properties": {FIELD: {"type": "string"}},
    "required": [FIELD],
    "additionalProperties": False,
}


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
    except (msgspec.DecodeError, RecursionError):
        return arguments


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
