"""Answers in Anthropic's documented wire format: the texts and token counts of `openai_format`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.openai_format import TEXT, WORDS, compact

USAGE: Mapping[str, Any] = {
    "input_tokens": 100,
    "cache_read_input_tokens": 20,
    "cache_creation_input_tokens": 0,
    "output_tokens": 40,
    "output_tokens_details": {"thinking_tokens": 10},
}


def _message(
    model: str, content: list[Any], usage: Mapping[str, Any] | None, stop_reason: str | None
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": "msg_upstream",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
    }
    body |= {"stop_reason": stop_reason, "stop_sequence": None}
    return body if usage is None else {**body, "usage": dict(usage)}


def answer(
    path: str, model: str, *, text: str = TEXT, usage: Mapping[str, Any] | None = USAGE, padding: str = ""
) -> dict[str, Any]:
    """A whole message."""
    return _message(model, [{"type": "text", "text": text + padding}], usage, "end_turn")


def event(value: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), compact(value))


def events(
    path: str, model: str, *, usage: Mapping[str, Any] | None = USAGE, words: tuple[str, ...] = WORDS
) -> list[bytes]:
    """A stream's events in order: start and ping, one block of text, why it stopped, the terminal event."""
    started = None if usage is None else {**usage, "output_tokens": 1, "output_tokens_details": None}
    stopped = None if usage is None else {name: usage[name] for name in usage if name.startswith("output")}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}}
    return [
        event({"type": "message_start", "message": _message(model, [], started, None)}),
        event({"type": "ping"}),
        event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        *(
            event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}})
            for word in words
        ),
        event({"type": "content_block_stop", "index": 0}),
        event(delta if stopped is None else {**delta, "usage": stopped}),
        event({"type": "message_stop"}),
    ]


def error(status: int, message: str) -> dict[str, Any]:
    kind = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_upstream"}


def error_event(message: str) -> bytes:
    return event({"type": "error", "error": {"type": "overloaded_error", "message": message}})
