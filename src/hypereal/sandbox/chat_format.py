"""OpenAI's chat completion on the wire: the whole body, and the chunks of a stream."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from hypereal.sandbox.answers import Answer, Call, Choice
from hypereal.sandbox.hints import stable_number
from hypereal.sandbox.request import Sampling

FINGERPRINT = "fp_sandbox"


def chat_body(answer: Answer, sampling: Sampling) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    choices = [
        {
            "index": choice.index,
            "message": _message(choice, answer.is_legacy),
            "logprobs": _logprobs(choice.pieces, sampling.logprobs),
            "finish_reason": choice.finish,
        }
        for choice in answer.choices
    ]
    return {**_head(answer, "chat.completion"), "choices": choices, "usage": answer.usage.body()}


def chat_chunks(answer: Answer, sampling: Sampling) -> Iterator[dict[str, Any]]:
    """The chunks of a stream: roles, deltas (the choices by turns), finish reasons and, when asked for, the usage."""
    head = _head(answer, "chat.completion.chunk")
    tail: dict[str, Any] = {"usage": None} if sampling.include_usage else {}

    def chunk(index: int, delta: dict[str, Any], finish: str | None, logprobs: dict[str, Any] | None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {**head, "choices": [choice], **tail}

    for choice in answer.choices:
        start: dict[str, Any] = {"role": "assistant", "content": None if choice.calls else "", "refusal": None}
        yield chunk(choice.index, start, None, None)
    for deltas in zip_longest(*(_deltas(choice, answer.is_legacy) for choice in answer.choices)):
        for choice, delta in zip(answer.choices, deltas, strict=True):
            if delta is not None:
                pieces = [delta["content"]] if "content" in delta else []
                yield chunk(choice.index, delta, None, _logprobs(pieces, sampling.logprobs if pieces else None))
    for choice in answer.choices:
        yield chunk(choice.index, {}, choice.finish, None)
    if sampling.include_usage:
        yield {**head, "choices": [], "usage": answer.usage.body()}


def chunk_count(answer: Answer) -> int:
    """How many chunks `chat_chunks` yields, without the usage."""
    return sum(
        2 + len(choice.pieces) + sum(1 + len(call.arguments) for call in choice.calls) for choice in answer.choices
    )


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": answer.id,
        "object": kind,
        "created": answer.created,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def _message(choice: Choice, is_legacy: bool) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if choice.calls else choice.text,
        "refusal": None,
        "annotations": [],
    }
    if choice.calls and is_legacy:
        message["function_call"] = _function(choice.calls[0])
    elif choice.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": _function(call)} for call in choice.calls
        ]
    return message


def _function(call: Call) -> dict[str, str]:
    return {"name": call.name, "arguments": "".join(call.arguments)}


def _deltas(choice: Choice, is_legacy: bool) -> Iterator[dict[str, Any]]:
    for piece in choice.pieces:
        yield {"content": piece}
    for number, call in enumerate(choice.calls):
        named = {"name": call.name, "arguments": ""}
        if is_legacy:
            yield {"function_call": named}
        else:
            yield {"tool_calls": [{"index": number, "id": call.id, "type": "function", "function": named}]}
        for piece in call.arguments:
            if is_legacy:
                yield {"function_call": {"arguments": piece}}
            else:
                yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}


def token_logprob(piece: str, rank: int = 0) -> float:
    """A log probability for a token, the likelier the lower its rank; the same each time."""
    return -round((stable_number(piece) % 1000) / 2000 + rank * math.log(4), 6)


def alternatives(piece: str, number: int) -> list[tuple[str, float]]:
    """The token and others that might have stood in its place."""
    others = [piece, *(f"{piece.rstrip()}{ending}" for ending in "abcdefghijklmnopqrs")]
    return [(other, token_logprob(piece, rank)) for rank, other in enumerate(others[:number])]


def _logprobs(pieces: Any, top: int | None) -> dict[str, Any] | None:
    if top is None:
        return None
    content = [
        {
            **_logprob(piece, token_logprob(piece)),
            "top_logprobs": [_logprob(other, value) for other, value in alternatives(piece, top)],
        }
        for piece in pieces
    ]
    return {"content": content, "refusal": None}


def _logprob(piece: str, value: float) -> dict[str, Any]:
    return {"token": piece, "logprob": value, "bytes": list(piece.encode())}
