"""The shapes of errors: one `HyperealError`, rendered for the family of the route that it ends (api.md section 3)."""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.errors import HyperealError
from hypereal.kit.sse import data_event
from hypereal.wire.base import Family

# Names from Anthropic's and Google's own error references; both call any other fault of a client's an invalid request.
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_GEMINI_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def _is_clients(status: int) -> bool:
    return 400 <= status < 500


def _body(family: Family, error: HyperealError, request_id: str) -> dict[str, Any]:
    message = error.message
    if family is Family.NATIVE:
        param = {"param": error.param} if error.param else {}
        return {"error": message, "message": message, "code": error.code, **param, **error.fields}
    if family is Family.OPENAI:
        inner = {"type": error.type, "message": message, "code": error.code, "param": error.param}
        return {"error": {**inner, **error.fields}}
    if family is Family.ANTHROPIC:
        otherwise = "invalid_request_error" if _is_clients(error.status) else "api_error"
        kind = _ANTHROPIC_TYPES.get(error.status, otherwise)
        return {"type": "error", "error": {**error.fields, "type": kind, "message": message}, "request_id": request_id}
    otherwise = "INVALID_ARGUMENT" if _is_clients(error.status) else "UNKNOWN"
    status = _GEMINI_STATUSES.get(error.status, otherwise)
    # The code of an upstream's error, which is among the fields, is a word; Google's is the status.
    own = {"code": error.status, "message": message, "status": status, "type": error.type}
    return {"error": {**error.fields, **own}}


def render(family: Family, error: HyperealError, request_id: str) -> bytes:
    """The JSON body of an error answer."""
    return msgspec.json.encode(_body(family, error, request_id))


def render_event(family: Family, error: HyperealError, request_id: str) -> bytes:
    """The event that ends a stream which had already begun: the client must not take what it got for a success."""
    event = data_event(render(family, error, request_id))
    return b"event: error\n" + event if family is Family.ANTHROPIC else event
