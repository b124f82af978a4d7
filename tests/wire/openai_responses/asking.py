"""Requests and upstream streams of the Responses API, for its tests."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from hypereal.errors import HyperealError
from hypereal.kit.sse import split_events
from hypereal.wire.base import BARE, Context, Endpoint, Envelope, Family, Kind
from hypereal.wire.conversation import Aim, Conversation
from hypereal.wire.events import Event
from hypereal.wire.openai_responses import CODEC, HEADERS, CompactDialect, CountDialect, ResponsesDialect

ANSWERS = Endpoint(
    path="/v1/responses", kind=Kind.CHAT, dialect="openai_responses", family=Family.OPENAI, headers=HEADERS
)
COMPACTS = Endpoint(
    path="/v1/responses/compact", kind=Kind.CHAT, dialect="openai_responses_compact", family=Family.OPENAI
)
COUNTS = Endpoint(
    path="/v1/responses/input_tokens", kind=Kind.COUNT, dialect="openai_responses_count", family=Family.OPENAI
)
DIALECTS: dict[str, ResponsesDialect] = {
    ANSWERS.path: ResponsesDialect(),
    COMPACTS.path: CompactDialect(),
    COUNTS.path: CountDialect(),
}
AIM = Aim(model="up", max_output_tokens=1000, default_output_tokens=100)
COUNTED: dict[str, Any] = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
    "output_tokens": 13,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 33,
}


def body_of(**fields: Any) -> bytes:
    """The smallest body with other fields; `...` takes one out."""
    merged = {"model": "m", "input": "Hi", **fields}
    return json.dumps({name: value for name, value in merged.items() if value is not ...}).encode()


def parse(endpoint: Endpoint = ANSWERS, context: Context = BARE, **fields: Any) -> Envelope | HyperealError:
    return DIALECTS[endpoint.path].parse(endpoint, body_of(**fields), context)


def accepted(endpoint: Endpoint = ANSWERS, context: Context = BARE, **fields: Any) -> Envelope:
    envelope = parse(endpoint, context, **fields)
    assert isinstance(envelope, Envelope), envelope
    envelope.request_id = "req_1"
    envelope.at = 1_700_000_000
    return envelope


def refused(endpoint: Endpoint = ANSWERS, **fields: Any) -> HyperealError:
    refusal = parse(endpoint, **fields)
    assert isinstance(refusal, HyperealError), refusal
    return refusal


def conversation_of(**fields: Any) -> Conversation:
    return CODEC.read_request(accepted(**fields).fields)


def sent(conversation: Conversation) -> dict[str, Any]:
    """What an upstream is sent for a conversation."""
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(CODEC.write_request(conversation, AIM).fields))
    return decoded


def read_back(conversation: Conversation) -> Conversation:
    """What a request says that was written for a conversation."""
    body = msgspec.json.encode(CODEC.write_request(conversation, AIM).fields)
    return CODEC.read_request(msgspec.json.decode(body, type=dict[str, msgspec.Raw]))


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"), ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def events_in(payload: bytes) -> list[dict[str, Any]]:
    """The data of the events of a stream; each must be named by its own type."""
    told = []
    for whole in split_events(payload)[0]:
        kind, data = whole.decode().split("\n", 1)
        told.append(json.loads(data.removeprefix("data: ")))
        assert kind == "event: " + told[-1]["type"]
    return told


def read_events(payload: bytes) -> list[Event]:
    reader = CODEC.reader()
    read = [told for whole in split_events(payload)[0] for told in reader.read(whole)]
    return read + reader.end()


def message(*texts: str, name: str = "msg_1") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"id": name, "type": "message", "status": "completed", "role": "assistant", "content": content}


def response(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    told = {"id": "resp_1", "object": "response", "model": "up", "status": "completed", "output": list(output)}
    return {**told, "error": None, "incomplete_details": None, "usage": COUNTED, **fields}


def begun(**fields: Any) -> bytes:
    """The two events that every stream begins with."""
    first = response(status="in_progress", usage=None, **fields)
    return event("response.created", response=first) + event("response.in_progress", response=first)
