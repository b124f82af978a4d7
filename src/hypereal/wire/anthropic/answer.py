"""A whole answer to and from the canonical reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hypereal.wire.anthropic.messages import input_of, legal_id
from hypereal.wire.anthropic.thinking import (
    ORIGIN,
    read_redacted,
    read_thinking,
    render_call_token,
    render_thinking,
)
from hypereal.wire.anthropic.usage import read_usage_fields, render_usage, to_usage
from hypereal.wire.base import Envelope, Garbage, Usage
from hypereal.wire.conversation import Block, Foreign, Reply, Stop, Text, Thinking, ToolCall
from hypereal.wire.fields import NULL, UNREADABLE

_STOPS: Mapping[str, Stop] = {
    "end_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
    "compaction": "pause",
}
_STOPS_OUT: Mapping[Stop, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "pause": "pause_turn",
}


class AnswerBlock(msgspec.Struct, gc=False):
    """A block of an answer; which fields it has depends on its type."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = NULL

    @property
    def arguments(self) -> str:
        """A call's input as text."""
        return "{}" if self.input == NULL else bytes(self.input).decode()


class _Typed(msgspec.Struct, gc=False):
    type: str


class _Message(msgspec.Struct, gc=False):
    content: list[msgspec.Raw]
    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: msgspec.Raw = NULL


KNOWN = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_typed = msgspec.json.Decoder(_Typed).decode
_decode_block = msgspec.json.Decoder(AnswerBlock).decode
_encode = msgspec.json.encode


def read_stop(reason: str | None) -> Stop:
    """Why an answer ended; one that we do not know is an end like any other."""
    return _STOPS.get(reason or "", "end")


def render_stop(stop: Stop) -> str:
    return _STOPS_OUT[stop]


def read_block(raw: msgspec.Raw) -> AnswerBlock | Foreign:
    """A block as it came, or as one that only Anthropic knows. Raises what msgspec raises."""
    kind = _decode_typed(raw).type
    if kind not in KNOWN:
        return Foreign(origin=ORIGIN, kind=kind, raw=bytes(raw))
    return _decode_block(raw)


def _to_block(raw: msgspec.Raw) -> Block:
    block = read_block(raw)
    if isinstance(block, Foreign):
        return block
    if block.type == "text":
        return Text(block.text or "")
    if block.type == "thinking":
        return read_thinking(block.thinking or "", block.signature)
    if block.type == "redacted_thinking":
        return read_redacted(block.data or "")
    return ToolCall(id=block.id or "", name=block.name or "", arguments=block.arguments)


def read_reply(body: bytes) -> Reply:
    """What an upstream's whole answer says; raises `Garbage` when it is not one."""
    try:
        message = _decode_message(body)
        blocks = tuple(map(_to_block, message.content))
    except UNREADABLE as exc:
        raise Garbage(str(exc)) from exc
    return Reply(
        id=message.id,
        model=message.model,
        blocks=blocks,
        stop=read_stop(message.stop_reason),
        stop_sequence=message.stop_sequence,
        usage=to_usage(read_usage_fields(message.usage)),
    )


def message_id(given: str, envelope: Envelope) -> str:
    """An id as Anthropic's look, from the upstream's own where it gave one."""
    given = given or envelope.request_id
    return given if given.startswith("msg_") else f"msg_{given}"


def text_block(text: str) -> dict[str, Any]:
    """Text as a client is shown it. Every field that Anthropic's own specification requires is there."""
    return {"type": "text", "text": text, "citations": None}


def call_block(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    """A call as a client is shown it: made by the model itself, not by code that it runs."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments, "caller": {"type": "direct"}}


def _render_block(block: Block) -> list[Any]:
    """What a client is shown of a block; nothing for what has no place in this format."""
    if isinstance(block, Text):
        return [text_block(block.text)] if block.text else []
    if isinstance(block, Thinking):
        return [render_thinking(block)] if block.text or block.opaque is not None else []
    if isinstance(block, ToolCall):
        call_id = legal_id(block.id)
        call = call_block(call_id, block.name, input_of(block))
        return [call] if block.opaque is None else [call, render_call_token(call_id, block.opaque)]
    if isinstance(block, Foreign) and block.origin == ORIGIN:
        return [msgspec.Raw(block.raw)]
    return []


def write_reply(reply: Reply, envelope: Envelope, usage: Usage) -> bytes:
    """The whole answer for a client."""
    return _encode(
        {
            "id": message_id(reply.id, envelope),
            "type": "message",
            "role": "assistant",
            "model": envelope.model or reply.model,
            "content": [shown for block in reply.blocks for shown in _render_block(block)],
            "stop_reason": render_stop(reply.stop),
            "stop_sequence": reply.stop_sequence,
            "stop_details": None,
            "container": None,
            "usage": render_usage(usage),
        }
    )
