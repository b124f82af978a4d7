"""Gemini's answer on the wire: the whole body, the chunks of a stream, and Google's errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from hypereal.sandbox.answers import Answer, Call, Choice
from hypereal.sandbox.gemini_contents import THOUGHT
from hypereal.sandbox.gemini_request import thinking_config
from hypereal.sandbox.grammar import Event, Grammar, frame_data
from hypereal.sandbox.request import BadRequest
from hypereal.sandbox.seals import seal

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def _refuse(refusal: BadRequest) -> Event:
    status = refusal.code or _STATUSES.get(refusal.status, "INTERNAL" if refusal.status >= 500 else "INVALID_ARGUMENT")
    error: Event = {"code": refusal.status, "message": refusal.message, "status": status}
    if refusal.retry_after is not None:
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{refusal.retry_after}s"}
        error["details"] = [retry]
    return {"error": error}


def _without_usage(event: Event) -> Event:
    return {key: part for key, part in event.items() if key != "usageMetadata"}


def _is_end(event: Event) -> bool:
    return any("finishReason" in candidate for candidate in event.get("candidates", ()))


GEMINI = Grammar(
    refuse=_refuse,
    frame=frame_data,
    broken=b'data: {"candidates": [{"content": {"parts": [{"te\n\n',
    without_usage=_without_usage,
    is_end=_is_end,
)
GEMINI_ARRAY = replace(
    GEMINI,
    frame=msgspec.json.encode,
    broken=b'{"candidates": [{"content": {"parts": [{"te',
    opening=b"[",
    separator=b",\r\n",
    done=b"]",
    comment=b"\n",
    media_type="application/json; charset=UTF-8",
)
"""A stream without `alt=sse`: one JSON array that grows."""


def gemini_body(answer: Answer) -> Event:
    """The body of an answer that is not streamed."""
    candidates = []
    for choice in answer.choices:
        parts = [_merged(choice), *(_call(choice, call, number) for number, call in enumerate(choice.calls))]
        shown = _thoughts(answer, choice.thinking) + [part for part in parts if part]
        candidates.append(_candidate(choice, shown, is_last=True))
    return {"candidates": candidates, **_tail(answer)}


def gemini_chunks(answer: Answer) -> Iterator[Event]:
    """The chunks of a stream, each with the usage so far; the last of each candidate says why it ended."""
    tail = _tail(answer)
    so_far = {**tail, "usageMetadata": _usage_so_far(answer)}
    for choice in answer.choices:
        for piece in choice.thoughts:
            for part in _thoughts(answer, piece):
                yield {"candidates": [_candidate(choice, [part])], **so_far}
        for piece in choice.pieces:
            yield {"candidates": [_candidate(choice, [{"text": piece}])], **so_far}
        for number, call in enumerate(choice.calls):
            yield {"candidates": [_candidate(choice, [_call(choice, call, number)])], **so_far}
        end = {"text": "", **({} if choice.calls else _signature(choice))}
        yield {"candidates": [_candidate(choice, [end], is_last=True)], **tail}
    if not answer.choices:
        yield {"candidates": [], **tail}


def _candidate(choice: Choice, parts: list[Event], *, is_last: bool = False) -> Event:
    candidate: Event = {"content": {"parts": parts, "role": "model"}, "index": choice.index}
    if is_last:
        candidate["finishReason"] = "MAX_TOKENS" if choice.finish == "length" else "STOP"
    return candidate


def _merged(choice: Choice) -> Event | None:
    """The text as one part, signed where there was thought and no call carries the signature."""
    if not choice.pieces and choice.calls:
        return None
    return {"text": choice.text, **({} if choice.calls else _signature(choice))}


def _thoughts(answer: Answer, text: str) -> list[Event]:
    is_shown = thinking_config(answer.request.body).get("includeThoughts") is True
    return [{"text": text, "thought": True}] if text and is_shown else []


def _signature(choice: Choice) -> Event:
    return {"thoughtSignature": seal(THOUGHT, choice.thinking)} if choice.thoughts else {}


def _call(choice: Choice, call: Call, number: int) -> Event:
    try:
        arguments: Any = msgspec.json.decode(call.text)
    except msgspec.DecodeError:  # cut off by the token limit
        arguments = {}
    part: Event = {"functionCall": {"id": call.number, "name": call.name, "args": arguments}}
    # Of several calls at once only the first carries the signature, as Google documents.
    return {**part, **_signature(choice)} if number == 0 else part


def _tail(answer: Answer) -> Event:
    return {"usageMetadata": _usage(answer), "modelVersion": answer.model, "responseId": answer.number}


def _usage(answer: Answer) -> Event:
    usage = answer.usage
    found: Event = {
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": usage.completion - usage.reasoning,
        "totalTokenCount": usage.prompt + usage.completion,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt}],
    }
    if usage.cached:
        found["cachedContentTokenCount"] = usage.cached
        found["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.cached}]
    if usage.reasoning:
        found["thoughtsTokenCount"] = usage.reasoning
    return found


def _usage_so_far(answer: Answer) -> Event:
    """The usage that chunks before the last report: the prompt is known by then, the answer is not."""
    prompt = answer.usage.prompt
    return {"promptTokenCount": prompt, "totalTokenCount": prompt}
