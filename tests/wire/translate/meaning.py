"""What a conversation or an answer comes to, without what formats say in different ways."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from hypereal.kit.sse import split_events
from hypereal.wire import CODECS
from hypereal.wire.base import Endpoint, Envelope, Family, Kind
from hypereal.wire.codec import EventReader
from hypereal.wire.conversation import (
    Aim,
    Block,
    Conversation,
    Media,
    Message,
    Reply,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from hypereal.wire.events import Event

AIM = Aim(model="upstream-model", max_output_tokens=8192, default_output_tokens=4096)
ASKED = Conversation(messages=(Message("user", (Text("Hi"),)),), max_tokens=1000)
NAMES = tuple(CODECS)
PAIRS = tuple((client, upstream) for client in CODECS for upstream in CODECS)


def raw_fields(fields: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
    """A body's fields as a dialect has parsed them."""
    return msgspec.json.decode(msgspec.json.encode(fields), type=dict[str, msgspec.Raw])


def envelope_of(name: str, conversation: Conversation = ASKED, **fields: Any) -> Envelope:
    """The parsed request of a client that speaks `name`."""
    written = CODECS[name].write_request(conversation, AIM).fields | fields
    written.setdefault("model", AIM.model)
    return Envelope(
        endpoint=Endpoint(path="/", kind=Kind.CHAT, dialect=name, family=Family.OPENAI),
        model=AIM.model,
        stream=conversation.stream,
        max_output_tokens=conversation.max_tokens,
        choices=1,
        shows_usage=True,
        input_estimate=1,
        body=msgspec.json.encode(written),
        fields=raw_fields(written),
        request_id="r1",
        at=1_700_000_000,
    )


def read_all(reader: EventReader, payload: bytes) -> list[Event]:
    """Everything that a stream says."""
    events, rest = split_events(payload)
    assert not rest.strip(), rest
    return [*(told for event in events for told in reader.read(event)), *reader.end()]


def joined(blocks: Iterable[Block], kind: type[Text | Thinking]) -> str:
    return "".join(block.text for block in blocks if isinstance(block, kind))


def called(blocks: Iterable[Block]) -> list[tuple[str, Any]]:
    return [(block.name, json.loads(block.arguments or "{}")) for block in blocks if isinstance(block, ToolCall)]


def meaning(reply: Any) -> dict[str, Any]:
    """What an answer says; a stream's `Failed` fails here."""
    assert isinstance(reply, Reply), reply
    return {
        "text": joined(reply.blocks, Text),
        "thinking": joined(reply.blocks, Thinking),
        "calls": called(reply.blocks),
        "stop": "end" if reply.stop in ("stop_sequence", "pause") else reply.stop,
    }


def asking(conversation: Conversation) -> dict[str, Any]:
    """What a request asks: its prose, its calls with the result of each, its files, its tools."""
    blocks = [block for message in conversation.messages for block in message.blocks]
    results = {block.call_id: joined(block.content, Text) for block in blocks if isinstance(block, ToolResult)}
    made = [block for block in blocks if isinstance(block, ToolCall)]
    return {
        "system": joined(conversation.system, Text),
        "said": [(message.role, text) for message in conversation.messages if (text := joined(message.blocks, Text))],
        "calls": [(call.name, json.loads(call.arguments or "{}"), results.get(call.id, "no result")) for call in made],
        "files": [(block.kind, block.data) for block in blocks if isinstance(block, Media)],
        "tools": [(tool.name, tool.description, tool.schema) for tool in conversation.tools if isinstance(tool, Tool)],
        "choice": conversation.tool_choice,
        "schema": conversation.output.schema if conversation.output is not None else None,
        "limits": (conversation.max_tokens, conversation.temperature, conversation.stop),
    }
