"""Requests and chunks in Google's format for its tests."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from hypereal.errors import HyperealError
from hypereal.wire.base import Context, Dialect, Endpoint, Envelope, Family, Kind
from hypereal.wire.conversation import Aim
from hypereal.wire.gemini import GeminiCount, GeminiDialect

MODEL = "gemini-3-pro"
AIM = Aim(model=MODEL, max_output_tokens=65_536, default_output_tokens=8192)
OLDER_AIM = Aim(model="gemini-2.5-flash", max_output_tokens=65_536, default_output_tokens=8192)
CONTENTS = [{"role": "user", "parts": [{"text": "Hi"}]}]

WHOLE = Endpoint(path="/v1beta/models/{model}:generateContent", kind=Kind.CHAT, dialect="gemini", family=Family.GEMINI)
STREAM = Endpoint(
    path="/v1beta/models/{model}:streamGenerateContent",
    kind=Kind.CHAT,
    dialect="gemini",
    family=Family.GEMINI,
    stream_default=True,
)
COUNT = Endpoint(
    path="/v1beta/models/{model}:countTokens", kind=Kind.COUNT, dialect="gemini_count", family=Family.GEMINI
)
EITHER = Endpoint(path="/v1/gemini", kind=Kind.CHAT, dialect="gemini", family=Family.GEMINI)
IN_PATH = Context(model=MODEL)
WITH_EVENTS = Context(model=MODEL, query=b"alt=sse")

DIALECTS: dict[str, Dialect] = {"gemini": GeminiDialect(), "gemini_count": GeminiCount()}


def body_of(**fields: Any) -> bytes:
    """The smallest body with other fields; `...` takes one out."""
    merged = {"contents": CONTENTS, **fields}
    return json.dumps({name: value for name, value in merged.items() if value is not ...}).encode()


def parse(body: bytes, context: Context = IN_PATH, endpoint: Endpoint = WHOLE) -> Envelope | HyperealError:
    return DIALECTS[endpoint.dialect].parse(endpoint, body, context)


def accepted(body: bytes, context: Context = IN_PATH, endpoint: Endpoint = WHOLE) -> Envelope:
    envelope = parse(body, context, endpoint)
    assert isinstance(envelope, Envelope), envelope
    return envelope


def refused(body: bytes, context: Context = IN_PATH, endpoint: Endpoint = WHOLE) -> HyperealError:
    refusal = parse(body, context, endpoint)
    assert isinstance(refusal, HyperealError), refusal
    return refusal


def raw_fields(value: Any) -> dict[str, msgspec.Raw]:
    """The top-level fields of a body, as a codec gets them."""
    return msgspec.json.decode(msgspec.json.encode(value), type=dict[str, msgspec.Raw])


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def chunk(*parts: Any, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A whole answer, or a chunk of a stream."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": MODEL, "responseId": "r-1", **fields}


def event(value: Any, end: bytes = b"\r\n\r\n") -> bytes:
    return b"data: " + compact(value) + end
