"""Whole answers in and out."""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.wire.base import Envelope, Garbage, Usage
from hypereal.wire.conversation import Opaque, Reply, Stop, ToolResult
from hypereal.wire.events import Failed, fold
from hypereal.wire.gemini.events import GeminiReader
from hypereal.wire.gemini.parts import Part, Parts
from hypereal.wire.gemini.signatures import NAME
from hypereal.wire.gemini.usage import render_usage
from hypereal.wire.opaque import seal

# Google has no word for an answer that is to be continued; "OTHER" at least is not an end.
FINISH_REASONS: dict[Stop, str] = {"length": "MAX_TOKENS", "refusal": "SAFETY", "pause": "OTHER"}


def sign(opaque: Opaque) -> str:
    """A token as the client of an answer is shown it."""
    return seal(opaque, NAME)


def read_reply(body: bytes) -> Reply:
    """An answer is a stream of one chunk. Raises `Garbage` for one that is none, or that is not whole."""
    reader = GeminiReader()
    reply = fold([*reader.read_chunk(body), *reader.end()])
    if isinstance(reply, Failed):
        raise Garbage(reply.message)
    return reply


def final_chunk(parts: list[Part], stop: Stop, usage: Usage, model: str, response_id: str) -> bytes:
    """The chunk that ends an answer; a whole answer is nothing else."""
    chunk: dict[str, Any] = {
        "candidates": [
            {
                # An answer without parts breaks clients that look into the first.
                "content": {"parts": parts or [{"text": ""}], "role": "model"},
                "finishReason": FINISH_REASONS.get(stop, "STOP"),
                "index": 0,
            }
        ],
        "usageMetadata": render_usage(usage),
        "modelVersion": model,
        "responseId": response_id,
    }
    return msgspec.json.encode(chunk)


def write_reply(reply: Reply, envelope: Envelope, usage: Usage) -> bytes:
    """The whole answer for a client. A call without a signature gets Google's word for that, so that the client may go
    on with one of Google's models."""
    parts = Parts(sign, signs_calls=True)
    for block in reply.blocks:
        if not isinstance(block, ToolResult):
            parts.add(block)
    return final_chunk(parts.items, reply.stop, usage, reply.model or envelope.model or "", reply.id)
