"""OpenAI's response on the wire: the whole object, the typed events of a stream, and a conversation made compact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypereal.sandbox.answers import Answer, Call, Usage
from hypereal.sandbox.grammar import Event, Grammar, frame_typed, openai_refusal
from hypereal.sandbox.request import BadRequest
from hypereal.sandbox.responses_items import COMPACTION, REASONING
from hypereal.sandbox.seals import seal

_ENDS = ("response.completed", "response.incomplete")
_ECHOED: dict[str, Any] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What a response says of its request, with what holds where the request says nothing."""
_FUNCTION: dict[str, Any] = {"description": None, "parameters": None, "strict": True}
"""The same for each of its functions."""


def _without_usage(event: Event) -> Event:
    if event.get("object") in ("response", "response.compaction"):
        return {**event, "usage": None}
    response = event.get("response")
    return {**event, "response": {**response, "usage": None}} if isinstance(response, dict) else event


RESPONSES = Grammar(
    refuse=openai_refusal,
    frame=frame_typed,
    broken=b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"te\n\n',
    without_usage=_without_usage,
    is_end=lambda event: event["type"] in _ENDS,
)


def responses_body(answer: Answer) -> Event:
    """The body of an answer that is not streamed."""
    return _response(answer, _status(answer), [item["done"] for item in _items(answer)])


def responses_events(answer: Answer) -> Iterator[Event]:
    """The events of a stream, numbered in order."""
    for number, event in enumerate(_events(answer)):
        yield {**event, "sequence_number": number}


def responses_failure(answer: Answer, refusal: BadRequest, number: int) -> Event:
    """The event that ends a stream in an error."""
    response = _response(answer, "failed", [])
    error = {"code": refusal.code or "server_error", "message": refusal.message}
    return {"type": "response.failed", "response": {**response, "error": error}, "sequence_number": number}


def compact_body(answer: Answer) -> Event:
    """A conversation made compact: what the user said, and all of it as one sealed item."""
    said = [turn.text for turn in answer.request.conversation.turns if turn.role == "user" and turn.text]
    kept: list[Event] = [
        {
            "id": f"msg_{answer.number}{index:04d}",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_text", "text": text}],
        }
        for index, text in enumerate(said)
    ]
    return {
        "id": f"resp_{answer.number}",
        "object": "response.compaction",
        "created_at": answer.created,
        "output": [*kept, _compaction(answer)],
        "usage": responses_usage(answer.usage),
    }


def responses_usage(usage: Usage) -> Event:
    """Usage as this format reports it."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }


def _events(answer: Answer) -> Iterator[Event]:
    started = _response(answer, "in_progress", [])
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    items = _items(answer)
    for index, item in enumerate(items):
        yield {"type": "response.output_item.added", "output_index": index, "item": item["added"]}
        for event in item["events"]:
            yield {**event, "item_id": item["done"]["id"], "output_index": index}
        yield {"type": "response.output_item.done", "output_index": index, "item": item["done"]}
    status = _status(answer)
    yield {"type": f"response.{status}", "response": _response(answer, status, [item["done"] for item in items])}


def _response(answer: Answer, status: str, output: list[Event]) -> Event:
    body = answer.request.body
    is_over = status in ("completed", "incomplete")
    asked = body.get("reasoning") or {}
    text = body.get("text") or {}
    return {
        **{name: body[name] if body.get(name) is not None else default for name, default in _ECHOED.items()},
        "tools": [{**_FUNCTION, **tool} if tool["type"] == "function" else tool for tool in body.get("tools") or []],
        "id": f"resp_{answer.number}",
        "object": "response",
        "created_at": answer.created,
        "completed_at": answer.created if status == "completed" else None,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "model": answer.model,
        "output": output,
        "reasoning": {"effort": asked.get("effort"), "summary": asked.get("summary")},
        "service_tier": "default",
        "text": {"format": {"type": "text"}, **text},
        "usage": responses_usage(answer.usage) if is_over else None,
    }


def _status(answer: Answer) -> str:
    return "incomplete" if answer.first.finish == "length" else "completed"


def _items(answer: Answer) -> list[dict[str, Any]]:
    """The output: each item as it is added and as it is done, and the events between the two."""
    given = answer.request.body.get("input")
    last = given[-1] if isinstance(given, list) and given else {}
    if isinstance(last, dict) and last.get("type") == "compaction_trigger":
        whole = _compaction(answer)
        return [{"added": whole, "done": whole, "events": ()}]
    choice = answer.first
    found = [_reasoning(answer)] if answer.choices and answer.usage.reasoning else []
    if choice.pieces or (answer.choices and not choice.calls):
        found.append(_message(answer))
    return found + [_call(call, answer) for call in choice.calls]


def _compaction(answer: Answer) -> Event:
    token = seal(COMPACTION, answer.request.conversation.transcript[-4000:])
    return {"id": f"cmp_{answer.number}", "type": "compaction", "encrypted_content": token}


def _reasoning(answer: Answer) -> dict[str, Any]:
    body, choice = answer.request.body, answer.first
    item: Event = {"id": f"rs_{answer.number}", "type": "reasoning", "summary": []}
    done = dict(item)
    if "reasoning.encrypted_content" in (body.get("include") or ()):
        item["encrypted_content"] = done["encrypted_content"] = seal(REASONING, choice.thinking)
    if not (body.get("reasoning") or {}).get("summary"):
        return {"added": item, "done": done, "events": ()}
    part = {"type": "summary_text", "text": choice.thinking}
    return {"added": item, "done": {**done, "summary": [part]}, "events": list(_summary_events(choice.thoughts, part))}


def _summary_events(pieces: Any, part: Event) -> Iterator[Event]:
    kind, at = "response.reasoning_summary", {"summary_index": 0}
    yield {"type": f"{kind}_part.added", **at, "part": {"type": "summary_text", "text": ""}}
    for piece in pieces:
        yield {"type": f"{kind}_text.delta", **at, "delta": piece}
    yield {"type": f"{kind}_text.done", **at, "text": part["text"]}
    yield {"type": f"{kind}_part.done", **at, "part": part}


def _message(answer: Answer) -> dict[str, Any]:
    item = {"id": f"msg_{answer.number}", "type": "message", "role": "assistant"}
    part = {"type": "output_text", "text": answer.first.text, "annotations": [], "logprobs": []}
    status = "incomplete" if _status(answer) == "incomplete" and not answer.first.calls else "completed"
    return {
        "added": {**item, "status": "in_progress", "content": []},
        "done": {**item, "status": status, "content": [part]},
        "events": _text_events(answer, part),
    }


def _text_events(answer: Answer, part: Event) -> Iterator[Event]:
    at: Event = {"content_index": 0}
    yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
    for piece in answer.first.pieces:
        yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **at, "part": part}


def _call(call: Call, answer: Answer) -> dict[str, Any]:
    is_custom = call.tool.is_custom
    name = "input" if is_custom else "arguments"
    item: Event = {
        "id": f"{'ctc' if is_custom else 'fc'}_{call.number}",
        "type": "custom_tool_call" if is_custom else "function_call",
        "call_id": f"call_{call.number}",
        "name": call.name,
    }
    if call.tool.namespace:
        item["namespace"] = call.tool.namespace
    is_cut = answer.first.finish == "length" and call is answer.first.calls[-1]
    return {
        "added": {**item, name: "", "status": "in_progress"},
        "done": {**item, name: call.text, "status": "incomplete" if is_cut else "completed"},
        "events": _argument_events(call, name),
    }


def _argument_events(call: Call, name: str) -> Iterator[Event]:
    kind = "response.custom_tool_call_input" if call.tool.is_custom else "response.function_call_arguments"
    for piece in call.arguments:
        yield {"type": f"{kind}.delta", "delta": piece}
    yield {"type": f"{kind}.done", name: call.text}
