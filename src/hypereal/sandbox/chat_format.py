"""OpenAI's chat completion on the wire: the whole body, and the chunks of a stream."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from hypereal.sandbox.answers import Answer, Call, Choice, Usage
from hypereal.sandbox.grammar import Event, Grammar, frame_data, openai_refusal
from hypereal.sandbox.hints import stable_number

FINGERPRINT = "fp_sandbox"
_SAYS_THOUGHTS = re.compile(r"thinking|reason|(?:^|[/\-_.])r1(?:[\-_.:]|$)", re.IGNORECASE)


def _without_usage(event: Event) -> Event | None:
    if not event.get("usage"):
        return event
    # In a stream the usage has a chunk to itself, whose choices are empty.
    return {key: part for key, part in event.items() if key != "usage"} if event.get("choices", True) else None


OPENAI = Grammar(
    refuse=openai_refusal,
    frame=frame_data,
    done=b"data: [DONE]\n\n",
    broken=b'data: {"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"cont\n\n',
    without_usage=_without_usage,
)
"""Chat, text completions and embeddings."""


def chat_body(answer: Answer) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    sampling, is_legacy = answer.request.sampling, answer.request.offer.legacy
    shown = _shows_thoughts(answer)
    choices = [
        {
            "index": choice.index,
            "message": _message(choice, is_legacy, shown),
            "logprobs": _logprobs(choice.pieces, sampling.logprobs),
            "finish_reason": choice.finish,
        }
        for choice in answer.choices
    ]
    return {**_head(answer, "chat.completion"), "choices": choices, "usage": openai_usage(answer.usage)}


def chat_chunks(answer: Answer) -> Iterator[dict[str, Any]]:
    """The chunks of a stream: roles, deltas (the choices by turns), finish reasons and, when asked for, the usage."""
    sampling, is_legacy = answer.request.sampling, answer.request.offer.legacy
    shown = _shows_thoughts(answer)
    head = _head(answer, "chat.completion.chunk")
    tail: dict[str, Any] = {"usage": None} if sampling.include_usage else {}

    def chunk(index: int, delta: dict[str, Any], finish: str | None, logprobs: dict[str, Any] | None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {**head, "choices": [choice], **tail}

    for choice in answer.choices:
        content = None if choice.calls and not choice.pieces else ""
        start: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        yield chunk(choice.index, start, None, None)
    for deltas in zip_longest(*(_deltas(choice, is_legacy, shown) for choice in answer.choices)):
        for choice, delta in zip(answer.choices, deltas, strict=True):
            if delta is not None:
                pieces = [delta["content"]] if "content" in delta else []
                yield chunk(choice.index, delta, None, _logprobs(pieces, sampling.logprobs if pieces else None))
    for choice in answer.choices:
        yield chunk(choice.index, {}, choice.finish, None)
    if not answer.choices:
        yield {**head, "choices": [], **tail}
        return
    if sampling.include_usage:
        yield {**head, "choices": [], "usage": openai_usage(answer.usage)}


def _shows_thoughts(answer: Answer) -> bool:
    """Whether thoughts are shown (`reasoning_content`): to who asks for an effort, and by models known for it."""
    return bool(answer.request.sampling.effort) or _SAYS_THOUGHTS.search(answer.model) is not None


def openai_usage(usage: Usage) -> dict[str, Any]:
    """Usage as chat and text completions report it."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.number}",
        "object": kind,
        "created": answer.created,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def _message(choice: Choice, is_legacy: bool, shows_thoughts: bool) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if choice.calls and not choice.pieces else choice.text,
        "refusal": None,
        "annotations": [],
    }
    if choice.thoughts and shows_thoughts:
        message["reasoning_content"] = choice.thinking
    if choice.calls and is_legacy:
        message["function_call"] = _function(choice.calls[0])
    elif choice.calls:
        message["tool_calls"] = [
            {"id": f"call_{call.number}", "type": "function", "function": _function(call)} for call in choice.calls
        ]
    return message


def _function(call: Call) -> dict[str, str]:
    return {"name": call.name, "arguments": call.text}


def _deltas(choice: Choice, is_legacy: bool, shows_thoughts: bool) -> Iterator[dict[str, Any]]:
    for piece in choice.thoughts if shows_thoughts else ():
        yield {"reasoning_content": piece}
    for piece in choice.pieces:
        yield {"content": piece}
    for number, call in enumerate(choice.calls):
        named = {"name": call.name, "arguments": ""}
        if is_legacy:
            yield {"function_call": named}
        else:
            yield {
                "tool_calls": [{"index": number, "id": f"call_{call.number}", "type": "function", "function": named}]
            }
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
