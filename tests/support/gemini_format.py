"""Answers in Google's documented wire format: the texts and token counts of `openai_format`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.openai_format import TEXT, WORDS, compact

USAGE: Mapping[str, Any] = {
    "promptTokenCount": 120,
    "cachedContentTokenCount": 20,
    "candidatesTokenCount": 30,
    "thoughtsTokenCount": 10,
    "totalTokenCount": 160,
}


def _chunk(model: str, text: str, finish: str | None = None, usage: Mapping[str, Any] | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    body: dict[str, Any] = {"candidates": [candidate], "modelVersion": model, "responseId": "upstream"}
    return body if usage is None else {**body, "usageMetadata": dict(usage)}


def answer(
    path: str, model: str, *, text: str = TEXT, usage: Mapping[str, Any] | None = USAGE, padding: str = ""
) -> dict[str, Any]:
    """A whole answer with one candidate."""
    return _chunk(model, text + padding, "STOP", usage)


def event(value: Mapping[str, Any]) -> bytes:
    """Google ends its lines with CRLF."""
    return b"data: " + compact(value) + b"\r\n\r\n"


def events(
    path: str, model: str, *, usage: Mapping[str, Any] | None = USAGE, words: tuple[str, ...] = WORDS
) -> list[bytes]:
    """A stream's chunks in order; the last one says why it stopped and what was used."""
    return [*(event(_chunk(model, word)) for word in words), event(_chunk(model, "", "STOP", usage))]


def error(status: int, message: str) -> dict[str, Any]:
    kind = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED"}.get(status, "INTERNAL")
    return {"error": {"code": status, "message": message, "status": kind}}


def error_event(message: str) -> bytes:
    return event(error(500, message))
