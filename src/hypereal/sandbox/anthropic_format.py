"""Anthropic's message on the wire: the whole body, the events of a stream, and errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from hypereal.sandbox.answers import Answer, Call, Usage
from hypereal.sandbox.anthropic_messages import REDACTED, THINKING
from hypereal.sandbox.grammar import Event, Grammar, frame_typed
from hypereal.sandbox.hints import stable_number
from hypereal.sandbox.request import BadRequest
from hypereal.sandbox.seals import seal

_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOP_REASONS = {"length": "max_tokens", "tool_calls": "tool_use"}
_PING: Event = {"type": "ping"}


def _refuse(refusal: BadRequest) -> Event:
    default = "api_error" if refusal.status >= 500 else "invalid_request_error"
    kind = refusal.code or _ERROR_TYPES.get(refusal.status, default)
    number = stable_number(refusal.message)
    return {"type": "error", "error": {"type": kind, "message": refusal.message}, "request_id": f"req_{number:022d}"}


def _without_usage(event: Event) -> Event:
    bare = {key: part for key, part in event.items() if key != "usage"}
    if event.get("type") == "message_start":
        bare["message"] = {key: part for key, part in event["message"].items() if key != "usage"}
    return bare


ANTHROPIC = Grammar(
    refuse=_refuse,
    frame=frame_typed,
    broken=b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"te\n\n',
    without_usage=_without_usage,
    is_end=lambda event: event["type"] == "message_stop",
)


def anthropic_body(answer: Answer) -> Event:
    """The body of an answer that is not streamed."""
    return {
        **_head(answer),
        "content": [_whole(block) for block in _blocks(answer)],
        "stop_reason": _stop_reason(answer),
        "stop_sequence": answer.first.stopped_by,
        "usage": _usage(answer.usage),
    }


def anthropic_events(answer: Answer) -> Iterator[Event]:
    """The events of a stream: the head with the usage of the prompt, each block, and the end with all of it."""
    usage = _usage(answer.usage)
    empty: Event = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": {**_head(answer), **empty}}
    for index, block in enumerate(_blocks(answer)):
        yield {"type": "content_block_start", "index": index, "content_block": block["start"]}
        if index == 0:
            yield _PING
        for delta in block["deltas"]:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    counted = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": _stop_reason(answer), "stop_sequence": answer.first.stopped_by},
        "usage": {name: usage[name] for name in counted},
    }
    yield {"type": "message_stop"}


def _head(answer: Answer) -> Event:
    return {
        "id": f"msg_01{answer.number[:22]}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "stop_details": None,
        "container": None,
    }


def _blocks(answer: Answer) -> list[dict[str, Any]]:
    """The blocks of content: how each starts in a stream, and the deltas that fill it."""
    choice = answer.first
    found = []
    if choice.thoughts:
        found.append(_redacted(choice.thinking) if answer.is_redacted else _thinking(answer))
    if choice.pieces:
        deltas = [{"type": "text_delta", "text": piece} for piece in choice.pieces]
        found.append({"start": {"type": "text", "text": "", "citations": None}, "deltas": deltas})
    return found + [_tool_use(call) for call in choice.calls]


def _thinking(answer: Answer) -> dict[str, Any]:
    asked = answer.request.body.get("thinking")
    is_omitted = isinstance(asked, dict) and asked.get("display") == "omitted"
    choice = answer.first
    shown = () if is_omitted else choice.thoughts
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in shown]
    signature = {"type": "signature_delta", "signature": seal(THINKING, choice.thinking)}
    return {"start": {"type": "thinking", "thinking": "", "signature": ""}, "deltas": [*deltas, signature]}


def _redacted(text: str) -> dict[str, Any]:
    return {"start": {"type": "redacted_thinking", "data": seal(REDACTED, text)}, "deltas": []}


def _tool_use(call: Call) -> dict[str, Any]:
    caller = {"type": "direct"}
    start = {"type": "tool_use", "id": f"toolu_01{call.number}", "name": call.name, "input": {}, "caller": caller}
    # Without arguments Anthropic still sends one empty delta.
    pieces = ["", *([] if call.text == "{}" else call.arguments)]
    return {"start": start, "deltas": [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]}


def _whole(block: dict[str, Any]) -> Event:
    """A block as its start and its deltas make it."""
    whole = dict(block["start"])
    arguments = ""
    for delta in block["deltas"]:
        match delta["type"]:
            case "text_delta":
                whole["text"] += delta["text"]
            case "thinking_delta":
                whole["thinking"] += delta["thinking"]
            case "signature_delta":
                whole["signature"] = delta["signature"]
            case _:
                arguments += delta["partial_json"]
    if arguments:
        whole["input"] = _arguments(arguments)
    return whole


def _arguments(text: str) -> Any:
    """Arguments as a value; none for those that the token limit cut off."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}


def _stop_reason(answer: Answer) -> str:
    choice = answer.first
    if choice.calls and choice.finish != "length":
        return "tool_use"
    return "stop_sequence" if choice.stopped_by is not None else _STOP_REASONS.get(choice.finish, "end_turn")


def _usage(usage: Usage) -> dict[str, Any]:
    cache = usage.cache
    return {
        "input_tokens": usage.prompt - cache.read - cache.written,
        "cache_creation_input_tokens": cache.written,
        "cache_read_input_tokens": cache.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": cache.written_5m,
            "ephemeral_1h_input_tokens": cache.written_1h,
        },
        "output_tokens": usage.completion,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "server_tool_use": None,
        "service_tier": "standard",
        "inference_geo": "global",
    }
