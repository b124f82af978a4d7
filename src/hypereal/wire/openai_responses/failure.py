"""The end of a stream that broke, told so that every client stops and shows the message.

The API itself ends such a stream with two events, and clients need both: OpenAI's SDKs raise at `error` (when it has an
`error` object) and only note a `response.failed`; Codex reads only `response.failed`, and so do clients that wait for
the response to be terminal.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.errors import HyperealError
from hypereal.wire.base import Envelope
from hypereal.wire.openai_responses.response import echo, error_object, response_object


def typed_event(kind: str, data: bytes) -> bytes:
    """One event of the API: its type stands before its data as well as in it."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def failure_events(
    envelope: Envelope,
    message: str,
    *,
    id: str,  # noqa: A002 - the format's word
    model: str,
    sequence: int,
    error: HyperealError | None = None,
    output: list[Any] | None = None,
) -> bytes:
    """`error`, then `response.failed` of the response `id`; `sequence` is the first of their two numbers."""
    said = error_object(message, error)
    flat = {"code": said["code"], "message": message, "param": None}
    event = {"type": "error", **flat, "error": {"type": getattr(error, "type", "server_error"), **flat}}
    failed = response_object(
        echo(envelope), id=id, model=model, created_at=envelope.at, status="failed", output=output, error=said
    )
    closing = {"type": "response.failed", "response": msgspec.Raw(failed), "sequence_number": sequence + 1}
    return typed_event("error", msgspec.json.encode({**event, "sequence_number": sequence})) + typed_event(
        "response.failed", msgspec.json.encode(closing)
    )
