"""Answers in OpenAI's documented wire format, with known texts and token counts. Who sends them is elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

WORDS = ("The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", ".")
TEXT = "".join(WORDS)
USAGE: Mapping[str, Any] = {
    "prompt_tokens": 120,
    "completion_tokens": 40,
    "total_tokens": 160,
    "prompt_tokens_details": {"cached_tokens": 20},
    "completion_tokens_details": {"reasoning_tokens": 10},
}
NO_TOKENS: Mapping[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
EMBEDDING_USAGE: Mapping[str, Any] = {"prompt_tokens": 120, "total_tokens": 120}
CREATED = 1_700_000_000
DONE = b"data: [DONE]\n\n"


def compact(value: Any) -> bytes:
    """JSON without spaces, as most upstreams write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def answer(
    path: str, model: str, *, text: str = TEXT, usage: Mapping[str, Any] | None = USAGE, padding: str = ""
) -> dict[str, Any]:
    """The whole answer of `path`: a chat completion, a text completion or embeddings."""
    if path.endswith("/embeddings"):
        vector = {"object": "embedding", "index": 0, "embedding": [0.5, -0.5, 0.25]}
        return {"object": "list", "model": model, "data": [vector], "usage": dict(EMBEDDING_USAGE)}
    if path.endswith("/chat/completions"):
        kind = "chat.completion"
        choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text + padding}}
    else:
        kind, choice = "text_completion", {"index": 0, "text": text + padding}
    choice["finish_reason"] = "stop"
    body = {"id": "chatcmpl-upstream", "object": kind, "created": CREATED, "model": model, "choices": [choice]}
    return body if usage is None else {**body, "usage": dict(usage)}


def chunk(model: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """One `chat.completion.chunk`."""
    head = {"id": "chatcmpl-upstream", "object": "chat.completion.chunk", "created": CREATED, "model": model}
    return {**head, "choices": choices, **more}


def _delta(path: str, content: str) -> dict[str, Any]:
    return {"delta": {"content": content}} if path.endswith("/chat/completions") else {"text": content}


def event(value: Any) -> bytes:
    """`value` as a server-sent event."""
    return b"data: " + compact(value) + b"\n\n"


def events(
    path: str, model: str, *, usage: Mapping[str, Any] | None = USAGE, words: tuple[str, ...] = WORDS
) -> list[bytes]:
    """A stream's events in order, the terminal one included: role, words, finish, usage, `[DONE]`."""
    choices: list[dict[str, Any]] = [{"index": 0, **_delta(path, word), "finish_reason": None} for word in words]
    if path.endswith("/chat/completions"):
        choices.insert(0, {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None})
    choices.append({"index": 0, **_delta(path, ""), "finish_reason": "stop"})
    parts = [event(chunk(model, [choice])) for choice in choices]
    if usage is not None:
        parts.append(event(chunk(model, [], usage=dict(usage))))
    return [*parts, DONE]
