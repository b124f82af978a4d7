"""A conversation as an upstream's body: what chat says in its own way, and what it names instead."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from hypereal.wire import CODECS
from hypereal.wire.conversation import (
    Aim,
    Block,
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
    Written,
)

AIM = Aim(model="up", max_output_tokens=100, default_output_tokens=50)
CACHE = {"type": "ephemeral"}
PNG = Media(kind="image", media_type="image/png", data="iVBO")
PNG_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}


def write(*messages: Message, **fields: Any) -> Written:
    return CODECS["openai_chat"].write_request(Conversation(messages=messages, **fields), AIM)


def messages_of(*messages: Message, **fields: Any) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = write(*messages, **fields).fields["messages"]
    return written


def user(*blocks: Block) -> Message:
    return Message("user", blocks)


def assistant(*blocks: Block) -> Message:
    return Message("assistant", blocks)


def test_the_system_is_one_message_and_a_later_one_stays_in_its_place() -> None:
    written = messages_of(
        user(Text("Hi")), Message("system", (Text("Now be brief."),)), system=(Text("Be kind."), Text("Be true."))
    )
    assert written == [
        {"role": "system", "content": "Be kind.\n\nBe true."},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Now be brief."},
    ]


def test_results_stand_first_and_their_images_follow_under_their_name() -> None:
    written = messages_of(
        user(
            Text("What is it?"),
            ToolResult(call_id="a", content=(Text("one"), Text("two"))),
            ToolResult(call_id="b", content=(PNG,)),
        )
    )
    assert written == [
        {"role": "tool", "tool_call_id": "a", "content": "one\n\ntwo"},
        {"role": "tool", "tool_call_id": "b", "content": "(see the attachment below)"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Attached to the result of b:"},
                PNG_PART,
                {"type": "text", "text": "What is it?"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("text", "content"), [("no such file", "Error: no such file"), ("Error 5", "Error 5"), ("", "Error: ")]
)
def test_a_failed_result_says_so(text: str, content: str) -> None:
    (written,) = messages_of(user(ToolResult(call_id="a", content=(Text(text),) if text else (), is_error=True)))
    assert written["content"] == content


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (PNG, PNG_PART),
        (
            Media(kind="image", url="https://a.test/i", detail="high"),
            {"type": "image_url", "image_url": {"url": "https://a.test/i", "detail": "high"}},
        ),
        (
            Media(kind="video", data="AAAA"),
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        ),
        (
            Media(kind="audio", media_type="audio/mpeg", data="SUQz"),
            {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        ),
        (
            Media(kind="file", media_type="application/pdf", data="JVBE"),
            {
                "type": "file",
                "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"},
            },
        ),
        (
            Media(kind="file", data="AAAA", name="a.bin"),
            {"type": "file", "file": {"filename": "a.bin", "file_data": "data:application/octet-stream;base64,AAAA"}},
        ),
        (
            Media(kind="file", media_type="text/plain", data="/w=="),
            {"type": "file", "file": {"filename": "document", "file_data": "data:text/plain;base64,/w=="}},
        ),
        (
            Media(kind="file", file_id="file-1", origin="openai_responses"),
            {"type": "file", "file": {"file_id": "file-1"}},
        ),
    ],
)
def test_a_file_is_written(media: Media, part: dict[str, Any]) -> None:
    (written,) = messages_of(user(media))
    assert written["content"] == [part]


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="image", file_id="file_1", origin="anthropic"),
        Media(kind="video", file_id="files/1", origin="gemini"),
        Media(kind="audio", media_type="audio/flac", data="ZkxhQw=="),
        Media(kind="audio", url="https://a.test/a.mp3"),
        Media(kind="file", url="https://a.test/a.pdf"),
        Media(kind="file", file_id="file_1"),
    ],
)
def test_a_file_that_chat_cannot_hold_is_named(media: Media) -> None:
    written = write(user(Text("Hi"), media))
    assert written.fields["messages"] == [{"role": "user", "content": "Hi"}]
    assert written.dropped == (media.kind,)


def test_a_text_document_becomes_text_also_in_a_result() -> None:
    document = Media(kind="file", media_type="text/markdown", data=base64.b64encode("# Größe".encode()).decode())
    assert messages_of(user(document)) == [{"role": "user", "content": "# Größe"}]
    (written,) = messages_of(user(ToolResult(call_id="a", content=(document,))))
    assert written == {"role": "tool", "tool_call_id": "a", "content": "# Größe"}


def test_an_assistants_texts_run_together_before_its_calls() -> None:
    call = ToolCall(id="a", name="f", arguments="{}")
    custom = ToolCall(id="b", name="g", arguments="free", is_custom=True)
    assert messages_of(assistant(Text("One "), call, Text("two"), custom)) == [
        {
            "role": "assistant",
            "content": "One two",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "b", "type": "custom", "custom": {"name": "g", "input": "free"}},
            ],
        }
    ]


def test_reasoning_goes_back_as_it_came() -> None:
    detail = '{"format":"anthropic-claude-v1","signature":"EqQB","type":"reasoning.text"}'
    summary = '{"format":"openai-responses-v1","type":"reasoning.summary"}'
    encrypted = '{"data":"gAAA","id":"rs_1","type":"reasoning.encrypted"}'
    own = [("A", "reasoning"), ("B", detail), ("C", summary), ("", encrypted), ("D", "token"), ("", "token")]
    thoughts = [Thinking(text=text, opaque=Opaque("openai_chat", data)) for text, data in own]
    (written,) = messages_of(assistant(*thoughts))
    assert written == {
        "role": "assistant",
        "content": None,
        "reasoning": "A",
        "reasoning_content": "BCD",
        "reasoning_details": [
            {"format": "anthropic-claude-v1", "signature": "EqQB", "type": "reasoning.text", "text": "B", "index": 1},
            {"format": "openai-responses-v1", "type": "reasoning.summary", "summary": "C", "index": 2},
            {"data": "gAAA", "id": "rs_1", "type": "reasoning.encrypted", "index": 3},
            {"type": "reasoning.text", "text": "D", "signature": "token", "index": 4},
            {"type": "reasoning.encrypted", "data": "token", "index": 5},
        ],
    }


def test_reasoning_of_others_is_left_out_and_an_empty_message_with_it() -> None:
    foreign = Thinking(text="Hm", opaque=Opaque("anthropic", "EqQB"))
    written = write(assistant(foreign, Thinking(text="Nobody's")), user(Text("Hi")))
    assert written.fields["messages"] == [{"role": "user", "content": "Hi"}]
    assert written.dropped == ("thinking",)


def test_a_calls_token_goes_back_to_whom_it_came_from() -> None:
    extra = '{"vertex":{"thought_signature":"c2ln"}}'
    own = ToolCall(id="a", name="f", arguments="{}", opaque=Opaque("openai_chat", extra))
    google = ToolCall(id="b", name="f", arguments="{}", opaque=Opaque("openai_chat", "{broken"))
    other = ToolCall(id="c", name="f", arguments="{}", opaque=Opaque("gemini", "c2ln"))
    written = write(assistant(own, google, other))
    (message,) = written.fields["messages"]
    assert [call.get("extra_content") for call in message["tool_calls"]] == [
        {"vertex": {"thought_signature": "c2ln"}},
        {"google": {"thought_signature": "{broken"}},
        None,
    ]
    assert written.dropped == ("thinking",)


def test_what_only_its_own_format_knows_returns_there() -> None:
    own = Foreign(origin="openai_chat", kind="hologram", raw=b'{"type":"hologram","x":1}')
    written = write(
        user(own, Foreign(origin="anthropic", kind="search_result", raw=b"{}"), Thinking(text="?")),
        assistant(
            PNG,
            Foreign(origin="anthropic", kind="server_tool_use", raw=b"{}"),
            ToolResult(call_id="a", content=()),
            Text("ok"),
        ),
        user(ToolCall(id="x", name="f", arguments="{}")),
    )
    assert written.fields["messages"] == [
        {"role": "user", "content": [{"type": "hologram", "x": 1}]},
        {"role": "assistant", "content": "ok"},
    ]
    assert written.dropped == ("image", "search_result", "server_tool_use", "thinking", "tool_call", "tool_result")


def test_tools_and_the_choice_among_them() -> None:
    grammar = {"type": "text"}
    written = write(
        user(Text("Hi")),
        tools=(
            Tool(name="f", description="does", schema={"type": "object"}, strict=True, cache=CACHE),
            Tool(name="g", is_custom=True, grammar=grammar),
            Tool(name="h", is_custom=True),
            ForeignTool(origin="openai_chat", kind="x", raw=b'{"type":"x"}'),
            ForeignTool(origin="anthropic", kind="web_search_20260209", raw=b"{}"),
        ),
        tool_choice=ToolChoice("one", "g"),
        parallel_tool_calls=False,
    )
    assert written.fields["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "does", "parameters": {"type": "object"}, "strict": True},
        },
        {"type": "custom", "custom": {"name": "g", "format": grammar}},
        {"type": "custom", "custom": {"name": "h"}},
        {"type": "x"},
    ]
    assert written.fields["tool_choice"] == {"type": "custom", "custom": {"name": "g"}}
    assert written.fields["parallel_tool_calls"] is False
    assert written.dropped == ("cache_control", "web_search_20260209")
    one = write(user(Text("Hi")), tools=(Tool(name="f"),), tool_choice=ToolChoice("one", "f"))
    assert one.fields["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    required = write(user(Text("Hi")), tools=(Tool(name="f"),), tool_choice=ToolChoice("required"))
    assert required.fields["tool_choice"] == "required"


def test_without_tools_nothing_is_said_about_them() -> None:
    written = write(user(Text("Hi")), tool_choice=ToolChoice("auto"), parallel_tool_calls=True)
    assert written.fields.keys() == {"model", "messages", "stream"}


def test_options_are_written() -> None:
    written = write(
        user(Text("Hi", CACHE)),
        max_tokens=1000,
        temperature=0.5,
        top_p=0.5,
        top_k=5,
        stop=("a", "b", "c", "d", "e"),
        seed=1,
        presence_penalty=0.5,
        frequency_penalty=0.5,
        user="x" * 65,
        service_tier="standard_only",
        verbosity="low",
        cache_key="k",
        stream=True,
    )
    assert written.fields == {
        "model": "up",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.5,
        "stop": ["a", "b", "c", "d"],
        "seed": 1,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.5,
        "verbosity": "low",
        "prompt_cache_key": "k",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert written.dropped == ("cache_control", "service_tier", "stop", "top_k")


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (None, None),
        (Reasoning(is_enabled=False), "none"),
        (Reasoning(is_adaptive=True), None),
        (Reasoning(effort="xhigh"), "xhigh"),
        (Reasoning(budget_tokens=8192), "medium"),
        (Reasoning(budget_tokens=500_000), "max"),
    ],
)
def test_how_much_to_think(reasoning: Reasoning | None, effort: str | None) -> None:
    assert write(user(Text("Hi")), reasoning=reasoning).fields.get("reasoning_effort") == effort


def test_the_form_of_the_answer() -> None:
    assert write(user(Text("Hi")), output=OutputFormat()).fields["response_format"] == {"type": "json_object"}
    output = OutputFormat(schema={"type": "object"}, strict=True)
    assert write(user(Text("Hi")), output=output).fields["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
    }
