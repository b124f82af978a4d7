"""Answers of the Responses API as OpenAI documents it: the texts and token counts of `openai_format`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.openai_format import CREATED, TEXT, WORDS, compact

USAGE: Mapping[str, Any] = {
    "input_tokens": 120,
    "input_tokens_details": {"cached_tokens": 20},
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 10},
    "total_tokens": 160,
}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def _item(text: str | None) -> dict[str, Any]:
    """The message; with no text yet while it is in progress."""
    status, content = ("in_progress", []) if text is None else ("completed", [_part(text)])
    return {"id": "msg_upstream", "type": "message", "status": status, "role": "assistant", "content": content}


def _response(model: str, status: str, output: list[Any], usage: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    body = {"id": f"resp_{name}", "object": "response", "created_at": CREATED, "status": status, "model": model}
    body |= {"error": None, "incomplete_details": None, "output": output, "parallel_tool_calls": True, "tools": []}
    return {**body, "usage": None if usage is None else dict(usage)}


def answer(
    path: str,
    model: str,
    *,
    text: str = TEXT,
    usage: Mapping[str, Any] | None = USAGE,
    padding: str = "",
    name: str = "upstream",
) -> dict[str, Any]:
    """A completed response with one message; a shorter history, where that is asked for."""
    if path.endswith("/compact"):
        output = [{"type": "compaction", "id": "cmp_1", "encrypted_content": "c2hvcnRlcg=="}]
        return {"id": f"resp_{name}", "object": "response.compaction", "created_at": CREATED, "output": output} | (
            {} if usage is None else {"usage": dict(usage)}
        )
    return _response(model, "completed", [_item(text + padding)], usage, name)


def event(value: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), compact(value))


def events(
    path: str,
    model: str,
    *,
    usage: Mapping[str, Any] | None = USAGE,
    words: tuple[str, ...] = WORDS,
    name: str = "upstream",
) -> list[bytes]:
    """A stream's events in order: the response begins, one message of text, the response is complete."""
    text = "".join(words)
    place = {"item_id": "msg_upstream", "output_index": 0, "content_index": 0}
    begun = _response(model, "in_progress", [], None, name)
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": _item(None)},
        {"type": "response.content_part.added", **place, "part": _part("")},
        *({"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in words),
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": _part(text)},
        {"type": "response.output_item.done", "output_index": 0, "item": _item(text)},
        {"type": "response.completed", "response": _response(model, "completed", [_item(text)], usage, name)},
    ]
    return [event({**value, "sequence_number": number}) for number, value in enumerate(told)]


def error(status: int, message: str) -> dict[str, Any]:
    kind = {400: "invalid_request_error", 429: "rate_limit_error"}.get(status, "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def error_event(message: str) -> bytes:
    return event({"type": "error", "message": message, "code": "server_error", "param": None, "sequence_number": 9})
