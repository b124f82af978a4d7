"""Conversations as requests: nothing stored, everything said, and what cannot be said named."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hypereal.wire.conversation import (
    Aim,
    Conversation,
    Foreign,
    ForeignTool,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from hypereal.wire.openai_responses import CODEC
from tests.wire.openai_responses.asking import AIM, sent

NAME = "openai_responses"
HELLO = (Message("user", (Text("Hi"),)),)


def dropped(*blocks: Any, role: Any = "assistant", **fields: Any) -> tuple[str, ...]:
    return CODEC.write_request(Conversation(messages=(Message(role, blocks),), **fields), AIM).dropped


def items_of(*messages: Message) -> list[Any]:
    items: list[Any] = sent(Conversation(messages=messages))["input"]
    return items


def test_the_least_request_stores_nothing() -> None:
    assert sent(Conversation(messages=HELLO)) == {
        "model": "up",
        "store": False,
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
    }


def test_every_option_is_said() -> None:
    body = sent(
        Conversation(
            system=(Text("one"), Text("two")),
            messages=HELLO,
            stream=True,
            max_tokens=50,
            temperature=0.0,
            top_p=0.5,
            parallel_tool_calls=False,
            reasoning=Reasoning(effort="low", shows=True),
            output=OutputFormat(),
            verbosity="high",
            user="u",
            service_tier="flex",
            cache_key="k",
        )
    )
    del body["input"], body["model"], body["store"]
    assert body == {
        "instructions": "one\n\ntwo",
        "stream": True,
        "max_output_tokens": 50,
        "temperature": 0.0,
        "top_p": 0.5,
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "text": {"format": {"type": "json_object"}, "verbosity": "high"},
        "safety_identifier": "u",
        "service_tier": "flex",
        "prompt_cache_key": "k",
    }


@pytest.mark.parametrize(("asked", "said"), [(None, None), (1, 16), (16, 16), (500, 500), (5000, 1000)])
def test_the_limit_is_one_that_the_model_takes(asked: int | None, said: int | None) -> None:
    assert sent(Conversation(messages=HELLO, max_tokens=asked)).get("max_output_tokens") == said
    assert Aim(model="up", max_output_tokens=1000, default_output_tokens=100) == AIM


@pytest.mark.parametrize(
    ("asked", "said", "included"),
    [
        (Reasoning(is_enabled=False, shows=True), {"effort": "none"}, False),
        (Reasoning(is_adaptive=True), None, True),
        (Reasoning(is_adaptive=True, shows=True), {"summary": "auto"}, True),
        (Reasoning(budget_tokens=8000), {"effort": "medium"}, True),
        (Reasoning(effort="xhigh", budget_tokens=1, shows=False), {"effort": "xhigh"}, True),
    ],
)
def test_reasoning_is_asked_for(asked: Reasoning, said: Any, included: bool) -> None:
    body = sent(Conversation(messages=HELLO, reasoning=asked))
    assert body.get("reasoning") == said
    assert ("include" in body) == included


def test_a_schema_is_said() -> None:
    schema = {"type": "object"}
    least = {"type": "json_schema", "name": "output", "schema": schema}
    assert sent(Conversation(messages=HELLO, output=OutputFormat(schema=schema)))["text"] == {"format": least}
    whole = OutputFormat(schema=schema, name="n", description="d", strict=False)
    format_said = sent(Conversation(messages=HELLO, output=whole))["text"]["format"]
    assert format_said == {**least, "name": "n", "description": "d", "strict": False}


def test_a_turn_is_said_item_by_item() -> None:
    web = Foreign(origin=NAME, kind="web_search_call", raw=b'{"type":"web_search_call" ,"id":"ws"}')
    assistant = Message(
        "assistant",
        (
            Thinking(text="hm", opaque=Opaque(NAME, "gAAA", "rs_1")),
            Thinking(opaque=Opaque(NAME, "gBBB")),
            web,
            Text("a"),
            Text("b"),
            ToolCall(id="c1", name="f", arguments="{}"),
            ToolCall(id="c2", name="patch", arguments="x", is_custom=True),
        ),
    )
    file = Media(kind="file", data="QUJD", name="a.pdf")
    user = Message(
        "user",
        (
            ToolResult(call_id="c1", content=(Text("one"),)),
            ToolResult(call_id="c2", content=(), is_custom=True),
            ToolResult(call_id="c3", content=(Text("a"), Media(kind="image", url="https://x"), file)),
            Text("go on"),
        ),
    )
    assert items_of(assistant, user, Message("system", (Text("later"),))) == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "gAAA",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "gBBB"},
        {"type": "web_search_call", "id": "ws"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}],
        },
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "x"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": ""},
        {
            "type": "function_call_output",
            "call_id": "c3",
            "output": [
                {"type": "input_text", "text": "a"},
                {"type": "input_image", "detail": "auto", "image_url": "https://x"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"},
            ],
        },
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go on"}]},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "later"}]},
    ]


def test_foreign_bytes_are_kept() -> None:
    raw = b'{"type":"web_search_call" ,  "id":"ws"}'
    block = Foreign(origin=NAME, kind="web_search_call", raw=raw)
    written = CODEC.write_request(Conversation(messages=(Message("assistant", (block,)),)), AIM)
    assert raw in msgspec.json.encode(written.fields)


def test_files_are_said() -> None:
    media = (
        Media(kind="image", media_type="image/webp", data="QUJD", detail="low"),
        Media(kind="image", data="QUJD"),
        Media(kind="image", file_id="file_1", origin=NAME),
        Media(kind="file", url="https://x/y.pdf", name="y.pdf", detail="high"),
        Media(kind="file", url="https://x/y.pdf"),
        Media(kind="file", media_type="text/plain", data="QUJD"),
        Media(kind="file", file_id="file_2", origin="openai_chat"),
        Media(kind="audio", media_type="audio/x-wav", data="QUJD"),
    )
    assert items_of(Message("user", media))[0]["content"] == [
        {"type": "input_image", "detail": "low", "image_url": "data:image/webp;base64,QUJD"},
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,QUJD"},
        {"type": "input_image", "detail": "auto", "file_id": "file_1"},
        {"type": "input_file", "file_url": "https://x/y.pdf", "filename": "y.pdf", "detail": "high"},
        {"type": "input_file", "file_url": "https://x/y.pdf"},
        {"type": "input_file", "filename": "file", "file_data": "data:text/plain;base64,QUJD"},
        {"type": "input_file", "file_id": "file_2"},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
    ]


def test_what_cannot_be_said_is_named() -> None:
    token = Opaque("anthropic", "signature")
    assert dropped(Thinking(text="x")) == ("thinking",)
    assert dropped(Thinking(text="x", opaque=token)) == ("thinking",)
    assert dropped(ToolCall(id="c", name="f", arguments="{}", opaque=token)) == ("thinking",)
    assert dropped(Foreign(origin="anthropic", kind="server_tool_use", raw=b"{}")) == ("server_tool_use",)
    assert dropped(Media(kind="image", url="https://x")) == ("image",)
    assert dropped(Media(kind="file", file_id="file_3", origin="anthropic"), role="user") == ("file",)
    assert dropped(Media(kind="video", url="https://x"), role="user") == ("video",)
    assert dropped(Media(kind="audio", url="https://x"), role="user") == ("audio",)
    spoken = Media(kind="audio", media_type="audio/wav", data="QUJD")
    assert dropped(ToolResult(call_id="c", content=(spoken,), is_error=True), role="user") == ("audio", "is_error")
    options: dict[str, Any] = {"top_k": 5, "seed": 0, "stop": ("x",), "presence_penalty": 0.5, "frequency_penalty": 0.1}
    assert dropped(Text("x"), **options) == ("frequency_penalty", "presence_penalty", "seed", "stop", "top_k")


def test_tools_are_said() -> None:
    tools = (
        Tool(name="f", description="d", schema={"type": "object"}, strict=True),
        Tool(name="g"),
        Tool(name="patch", is_custom=True, grammar={"type": "text"}),
        Tool(name="note", is_custom=True),
        ForeignTool(origin=NAME, kind="web_search", raw=b'{"type":"web_search"}'),
        ForeignTool(origin="gemini", kind="googleSearch", raw=b"{}"),
    )
    conversation = Conversation(messages=HELLO, tools=tools, tool_choice=ToolChoice("one", "patch"))
    empty = {"type": "object", "properties": {}}
    body = sent(conversation)
    assert body["tools"] == [
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
        {"type": "function", "name": "g", "description": "", "parameters": empty, "strict": False},
        {"type": "custom", "name": "patch", "description": "", "format": {"type": "text"}},
        {"type": "custom", "name": "note", "description": ""},
        {"type": "web_search"},
    ]
    assert body["tool_choice"] == {"type": "custom", "name": "patch"}
    assert CODEC.write_request(conversation, AIM).dropped == ("googleSearch",)


@pytest.mark.parametrize(
    ("tools", "choice", "said"),
    [
        ((Tool(name="f"),), ToolChoice("one", "f"), {"type": "function", "name": "f"}),
        ((Tool(name="f"),), ToolChoice("required"), "required"),
        ((), ToolChoice("required"), None),
        ((), ToolChoice("none"), "none"),
    ],
)
def test_a_choice_is_said_where_there_is_one(tools: Any, choice: ToolChoice, said: Any) -> None:
    assert sent(Conversation(messages=HELLO, tools=tools, tool_choice=choice)).get("tool_choice") == said
