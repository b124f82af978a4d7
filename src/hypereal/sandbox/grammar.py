"""How a format frames its streams and words its refusals; what delivery and faults need to know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from hypereal.sandbox.request import BadRequest

Event = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """One format. `refuse` makes the body of an error, which is also the event that ends a stream in an error.

    `done` follows the last event; `is_end` knows the event that says that the answer is whole. `without_usage` takes
    the usage out of a body or an event, None for an event that was nothing else. `broken` is an event that is not JSON.
    """

    refuse: Callable[[BadRequest], Event]
    frame: Callable[[Event], bytes]
    broken: bytes
    without_usage: Callable[[Event], Event | None]
    is_end: Callable[[Event], bool] = lambda _: False
    done: bytes = b""
    opening: bytes = b""
    separator: bytes = b""
    comment: bytes = b": keep-alive\n\n"
    media_type: str = "text/event-stream; charset=utf-8"


def frame_data(event: Event) -> bytes:
    """An event of which only the data is sent."""
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


def frame_typed(event: Event) -> bytes:
    """An event that is named by its `type`."""
    return f"event: {event['type']}\ndata: ".encode() + msgspec.json.encode(event) + b"\n\n"


_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
_ERROR_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


def openai_refusal(refusal: BadRequest) -> Event:
    """An error object as OpenAI writes it, in every format of its own."""
    kind = _ERROR_TYPES.get(refusal.status, "server_error" if refusal.status >= 500 else "invalid_request_error")
    code = refusal.code or _ERROR_CODES.get(refusal.status)
    return {"error": {"message": refusal.message, "type": kind, "param": refusal.param, "code": code}}
