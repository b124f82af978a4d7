"""The response object: what every answer says of itself and of the request that it answers.

The fields are those that the `openai` package's `Response` and the Open Responses specification require; what the
client asked is echoed, what it left out has the API's default.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.errors import HyperealError
from hypereal.wire.base import Envelope, Usage
from hypereal.wire.fields import NULL, UNREADABLE, Fields
from hypereal.wire.openai_responses.history import PREVIOUS
from hypereal.wire.openai_responses.usage import render_usage

ID_PREFIX = "resp_"
_DEFAULTS: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    PREVIOUS: None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "top_logprobs": 0,
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "tool_choice": "auto",
    "truncation": "disabled",
    "user": None,
    "metadata": {},
    "tools": [],
    "text": {"format": {"type": "text"}},
    "reasoning": {"effort": None, "summary": None},
}
_ECHOED = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in _DEFAULTS.items()}
_COMPLETED = frozenset({"tools", "text", "reasoning"})
"""Fields of which an answer shows more than was given."""
_FUNCTION = {"description": None, "parameters": None, "strict": None}
"""What a function tool always has in an answer."""
# The error codes that `response.error.code` knows and Codex acts on: it gives up at once for want of quota.
_ERROR_CODES = {400: "invalid_prompt", 402: "insufficient_quota", 429: "rate_limit_exceeded"}

_decode = msgspec.json.decode


def own_id(given: str, request_id: str) -> str:
    """The id of an answer that is told to a client of this format: the upstream's, if it is one of this format.

    Answers are stored by their ids, and other formats' ids are not always unique: some upstreams give all the same.
    """
    return given if given.startswith(ID_PREFIX) else ID_PREFIX + request_id


def _given(fields: Fields, name: str) -> Any:
    """A field's value, None where it is absent or too odd to be read (it was the upstream's to judge)."""
    try:
        return _decode(fields[name]) if name in fields else None
    except UNREADABLE:
        return None


def _shown(fields: Fields, name: str) -> Any:
    """What an answer shows of a field that was given: with the parts that an answer always has."""
    match _given(fields, name):
        case list(tools) if name == "tools":
            return [
                {**_FUNCTION, **tool} if isinstance(tool, dict) and tool.get("type") == "function" else tool
                for tool in tools
            ]
        case dict(given) if name != "tools":
            return {**_DEFAULTS[name], **given}
        case _:
            return _DEFAULTS[name]


def echo(envelope: Envelope) -> bytes:
    """The part of a response object that repeats the request: its fields in JSON, up to the closing brace."""
    fields = envelope.fields
    given = {name: fields[name] for name in fields.keys() & _ECHOED.keys() if fields[name] != NULL}
    for name in given.keys() & _COMPLETED:
        given[name] = msgspec.Raw(msgspec.json.encode(_shown(fields, name)))
    if envelope.went_on_from is not None:
        given[PREVIOUS] = msgspec.Raw(msgspec.json.encode(envelope.went_on_from))
    return msgspec.json.encode({**_ECHOED, **given})[1:]


def response_object(
    echoed: bytes,
    *,
    id: str,  # noqa: A002 - the format's word
    model: str,
    created_at: int,
    status: str = "in_progress",
    output: list[Any] | None = None,
    usage: Usage | None = None,
    incomplete: str | None = None,
    error: dict[str, Any] | None = None,
) -> bytes:
    """A response object in JSON; `incomplete` is the reason of an answer that was cut short."""
    told = {
        "id": id,
        "object": "response",
        "created_at": created_at,
        "completed_at": None,
        "status": status,
        "error": error,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "model": model,
        "output": output or [],
        "usage": render_usage(usage) if usage is not None else None,
    }
    return b"%b,%b" % (msgspec.json.encode(told)[:-1], echoed)


def error_object(message: str, error: HyperealError | None = None) -> dict[str, Any]:
    """The `error` of a failed response; without `error`, of one that failed at its upstream."""
    code = _ERROR_CODES.get(error.status, "server_error") if error is not None else "server_error"
    return {"code": code, "message": message}
