"""Requests, answers and streams in Anthropic's format, for the tests beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypereal.errors import HyperealError
from hypereal.wire.anthropic import HEADERS, AnthropicCount, AnthropicMessages
from hypereal.wire.base import BARE, Context, Endpoint, Envelope, Family, Kind

MESSAGES = Endpoint(
    path="/v1/messages", kind=Kind.CHAT, dialect="anthropic", family=Family.ANTHROPIC, headers=tuple(HEADERS)
)
COUNT = Endpoint(path="/v1/messages/count_tokens", kind=Kind.COUNT, dialect="anthropic_count", family=Family.ANTHROPIC)
NATIVE = AnthropicMessages()
COUNTING = AnthropicCount()
SAID = [{"role": "user", "content": "Hi"}]


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def body_of(**fields: Any) -> bytes:
    """The smallest body with other fields; `...` takes one out."""
    merged = {"model": "claude", "max_tokens": 100, "messages": SAID, **fields}
    return json.dumps({name: value for name, value in merged.items() if value is not ...}).encode()


def accepted(body: bytes, context: Context = BARE, dialect: AnthropicMessages = NATIVE) -> Envelope:
    envelope = dialect.parse(MESSAGES if dialect is NATIVE else COUNT, body, context)
    assert isinstance(envelope, Envelope), envelope
    return envelope


def refused(body: bytes, dialect: AnthropicMessages = NATIVE) -> HyperealError:
    refusal = dialect.parse(MESSAGES if dialect is NATIVE else COUNT, body)
    assert isinstance(refusal, HyperealError), refusal
    return refusal


def event(value: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), compact(value))


def start(usage: Any = None, **fields: Any) -> dict[str, Any]:
    counted = {"input_tokens": 20, "output_tokens": 1} if usage is None else usage
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-up"}
    return {"type": "message_start", "message": {**message, "usage": counted, **fields}}


def block(index: int, shown: Any, *deltas: Any) -> list[dict[str, Any]]:
    """One block from its start to its end."""
    return [
        {"type": "content_block_start", "index": index, "content_block": shown},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text_block(index: int, *parts: str) -> list[dict[str, Any]]:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": part} for part in parts))


def end(usage: Any = None, reason: str | None = "end_turn") -> dict[str, Any]:
    counted = {"output_tokens": 13} if usage is None else usage
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": counted}


STOP = {"type": "message_stop"}


def payload(*events: Mapping[str, Any]) -> bytes:
    return b"".join(map(event, events))
