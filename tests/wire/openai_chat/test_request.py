"""A client's request as a conversation: every role and part, the old spellings, and what is refused or left out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hypereal.errors import InvalidRequest
from hypereal.wire import CODECS
from hypereal.wire.conversation import (
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
from hypereal.wire.opaque import seal
from tests.wire.test_parsing import nested

CHAT = CODECS["openai_chat"]
HI = {"role": "user", "content": "Hi"}
FUNCTION = {"type": "function", "function": {"name": "f", "description": "does", "parameters": {"type": "object"}}}


def read(*messages: Any, **fields: Any) -> Conversation:
    body = {"model": "m", "messages": list(messages) or [HI], **fields}
    return CHAT.read_request(msgspec.json.decode(msgspec.json.encode(body), type=dict[str, msgspec.Raw]))


def blocks_of(*messages: Any) -> list[Any]:
    return [block for message in read(*messages).messages for block in message.blocks]


def refused(*messages: Any, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(*messages, **fields)
    return caught.value


def test_what_leads_is_the_system_and_what_comes_later_stays_in_its_place() -> None:
    conversation = read(
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]},
        HI,
        {"role": "developer", "content": "Be brave."},
    )
    assert conversation.system == (Text("Be brief."), Text("Be kind.", {"type": "ephemeral"}))
    assert conversation.messages == (
        Message("user", (Text("Hi"),)),
        Message("system", (Text("Be brave."),)),
    )


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"type": "text", "text": "a"}, Text("a")),
        ({"type": "input_text", "text": "a"}, Text("a")),
        ("a", Text("a")),
        ({"type": "refusal", "refusal": "No."}, Text("No.")),
        ({"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, Thinking(text="Hm")),
        (
            {"type": "image_url", "image_url": {"url": "https://a.test/i.png", "detail": "low"}},
            Media(kind="image", url="https://a.test/i.png", detail="low"),
        ),
        ({"type": "image_url", "image_url": "https://a.test/i"}, Media(kind="image", url="https://a.test/i")),
        (
            {"type": "image_url", "image_url": {"url": "data:image/webp;base64,UklG"}},
            Media(kind="image", media_type="image/webp", data="UklG"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg/>"}},
            Media(kind="image", url="data:image/svg+xml,<svg/>"),
        ),
        (
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
            Media(kind="video", media_type="video/mp4", data="AAAA"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "mp3"}},
            Media(kind="audio", media_type="audio/mpeg", data="UklG"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "flac"}},
            Media(kind="audio", media_type="audio/flac", data="UklG"),
        ),
        ({"type": "input_audio", "input_audio": {"data": "UklG"}}, Media(kind="audio", data="UklG")),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}},
            Media(kind="file", media_type="application/pdf", data="JVBE", name="a.pdf"),
        ),
        ({"type": "file", "file": {"file_data": "JVBE"}}, Media(kind="file", data="JVBE")),
        ({"type": "file", "file": {"file_id": "file-1"}}, Media(kind="file", file_id="file-1", origin="openai_chat")),
    ],
)
def test_a_part_is_read(part: Any, block: Any) -> None:
    assert blocks_of({"role": "user", "content": [part]}) == [block]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "hologram", "data": {"a": [1, None]}},
        {"type": "image_url"},
        {"type": "image_url", "image_url": {"url": 5}},
        {"type": "input_audio", "input_audio": {"format": "wav"}},
        {"type": "file", "file": {"filename": "a"}},
    ],
)
def test_a_part_that_nobody_else_knows_is_kept_for_its_own_kind(part: dict[str, Any]) -> None:
    (block,) = blocks_of({"role": "user", "content": [part]})
    assert block == Foreign(origin="openai_chat", kind=part["type"], raw=msgspec.json.encode(part))


@pytest.mark.parametrize("content", ["", None, [], [""], [{"type": "text"}], [{"type": "refusal"}]])
def test_a_message_that_says_nothing_is_left_out(content: Any) -> None:
    assert read({"role": "user", "content": content}, {"role": "assistant", "content": content}).messages == ()


def test_calls_and_their_results() -> None:
    conversation = read(
        HI,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                {"id": "b", "type": "custom", "custom": {"name": "g", "input": "free text"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "one"},
        {"role": "tool", "tool_call_id": "b", "name": "g", "content": [{"type": "text", "text": "two"}, {"type": "x"}]},
        {"role": "user", "content": "Go on"},
    )
    assert conversation.messages[1:] == (
        Message(
            "assistant",
            (
                ToolCall(id="a", name="f", arguments='{"x":1}'),
                ToolCall(id="b", name="g", arguments="free text", is_custom=True),
            ),
        ),
        Message(
            "user",
            (
                ToolResult(call_id="a", content=(Text("one"),)),
                ToolResult(call_id="b", content=(Text("two"),), name="g", is_custom=True),
                Text("Go on"),
            ),
        ),
    )


def test_the_old_spelling_of_a_call_and_its_result() -> None:
    conversation = read(
        HI,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "one"},
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    )
    assert conversation.tools == (Tool(name="f", schema={"type": "object"}),)
    assert conversation.tool_choice == ToolChoice("one", "f")
    call, result = (message.blocks[0] for message in conversation.messages[1:])
    assert call == ToolCall(id="call_0", name="f", arguments="{}")
    assert result == ToolResult(call_id="call_0", name="f", content=(Text("one"),))


def test_a_thought_signature_of_google_is_its_own_wherever_it_goes() -> None:
    extra = {"google": {"thought_signature": "c2ln"}}
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    sealed = {"google": {"thought_signature": seal(Opaque("anthropic", "sig"), "openai_chat")}}
    for given, opaque in (
        (extra, Opaque("gemini", "c2ln")),
        (sealed, Opaque("anthropic", "sig")),
        ({"google": 5}, None),
        (None, None),
    ):
        (block,) = blocks_of({"role": "assistant", "tool_calls": [{**call, "extra_content": given}]})
        assert block.opaque == opaque


def test_reasoning_is_read_wherever_clients_put_it() -> None:
    sealed = seal(Opaque("anthropic", "EqQB"), "openai_chat")
    own = {"type": "reasoning.summary", "summary": "In short", "format": "openai-responses-v1", "index": 1}
    found = blocks_of(
        {"role": "assistant", "reasoning_content": "A", "content": "x"},
        {"role": "assistant", "reasoning": "B", "content": "x"},
        {
            "role": "assistant",
            "content": "x",
            "reasoning": "Cc",
            "reasoning_details": [{"type": "reasoning.text", "text": "C", "signature": sealed}, own, {"type": "?"}, 5],
        },
        {"role": "assistant", "reasoning_details": [{"type": "reasoning.encrypted", "data": sealed}], "reasoning": "D"},
        {"role": "assistant", "reasoning_details": "?", "content": "x"},
    )
    assert [block for block in found if isinstance(block, Thinking)] == [
        Thinking(text="A", opaque=Opaque("openai_chat", "reasoning_content")),
        Thinking(text="B", opaque=Opaque("openai_chat", "reasoning")),
        Thinking(text="C", opaque=Opaque("anthropic", "EqQB")),
        Thinking(
            text="In short",
            opaque=Opaque("openai_chat", '{"format":"openai-responses-v1","type":"reasoning.summary"}'),
        ),
        Thinking(text="D", opaque=Opaque("openai_chat", "reasoning")),
        Thinking(opaque=Opaque("anthropic", "EqQB")),
    ]


def test_a_refusal_is_what_the_assistant_said() -> None:
    assert blocks_of({"role": "assistant", "content": None, "refusal": "No."}) == [Text("No.")]


def test_tools_of_every_kind() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a/"}}
    conversation = read(
        tools=[
            {**FUNCTION, "cache_control": {"type": "ephemeral"}},
            {"type": "function", "name": "flat", "strict": True},
            {"type": "custom", "custom": {"name": "patch", "format": grammar}},
            {"type": "web_search", "filters": {}},
        ]
    )
    assert conversation.tools == (
        Tool(name="f", description="does", schema={"type": "object"}, cache={"type": "ephemeral"}),
        Tool(name="flat", strict=True),
        Tool(name="patch", is_custom=True, grammar=grammar),
        ForeignTool(origin="openai_chat", kind="web_search", raw=b'{"type":"web_search","filters":{}}'),
    )


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        (None, None),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ("any", ToolChoice("required")),
        ({"type": "required"}, ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("one", "f")),
        ({"type": "function", "name": "f"}, ToolChoice("one", "f")),
        ({"type": "custom", "custom": {"name": "g"}}, ToolChoice("one", "g")),
    ],
)
def test_a_choice_of_tools(given: Any, choice: ToolChoice | None) -> None:
    assert read(tools=[FUNCTION], tool_choice=given).tool_choice == choice


def test_only_the_allowed_tools_are_offered() -> None:
    other = {"type": "function", "function": {"name": "g"}}
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}, 5]}
    conversation = read(tools=[FUNCTION, other], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert conversation.tools == (Tool(name="g"),)
    assert conversation.tool_choice == ToolChoice("required")
    flat = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}
    assert read(tools=[FUNCTION, other], tool_choice=flat).tool_choice == ToolChoice("auto")


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({}, None),
        ({"reasoning_effort": "high", "reasoning": {"effort": "low"}}, Reasoning(effort="high")),
        ({"reasoning_effort": "none"}, Reasoning(is_enabled=False)),
        ({"reasoning": {"effort": "low"}}, Reasoning(effort="low")),
        ({"reasoning": {"max_tokens": 2000, "exclude": True}}, Reasoning(budget_tokens=2000, shows=False)),
        ({"reasoning": {"enabled": False, "max_tokens": True}}, Reasoning(is_enabled=False)),
        ({"thinking": {"type": "disabled"}}, Reasoning(is_enabled=False)),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Reasoning(budget_tokens=1024)),
        ({"thinking": {"type": "adaptive"}}, Reasoning(is_adaptive=True)),
    ],
)
def test_how_much_to_think(fields: dict[str, Any], reasoning: Reasoning | None) -> None:
    assert read(**fields).reasoning == reasoning


def test_the_form_of_the_answer() -> None:
    schema = {"type": "object"}
    full = {"name": "n", "description": "d", "schema": schema, "strict": True}
    assert read(response_format={"type": "text"}).output is None
    assert read(response_format={"type": "json_object"}).output == OutputFormat()
    assert read(response_format={"type": "json_schema", "json_schema": full}).output == OutputFormat(
        schema=schema, name="n", description="d", strict=True
    )


def test_options_are_read() -> None:
    conversation = read(
        max_tokens=5,
        max_completion_tokens=7,
        temperature=1.5,
        top_p=0.5,
        top_k=3,
        stop="END",
        seed=-1,
        presence_penalty=1,
        frequency_penalty=-1,
        safety_identifier="u",
        service_tier="flex",
        verbosity="low",
        prompt_cache_key="k",
        parallel_tool_calls=False,
        stream=True,
    )
    assert (conversation.max_tokens, conversation.temperature, conversation.top_p) == (7, 1.5, 0.5)
    assert (conversation.top_k, conversation.stop, conversation.seed) == (3, ("END",), -1)
    assert (conversation.presence_penalty, conversation.frequency_penalty) == (1, -1)
    assert (conversation.user, conversation.service_tier, conversation.verbosity) == ("u", "flex", "low")
    assert (conversation.cache_key, conversation.parallel_tool_calls, conversation.stream) == ("k", False, True)
    assert read(stop=["a", "", "b"]).stop == ("a", "b")


def test_what_has_no_place_is_named() -> None:
    conversation = read(
        {"role": "user", "name": "Ann", "content": "Hi"},
        {"role": "assistant", "audio": {"id": "audio_1"}},
        n=2,
        logit_bias={"5": 1},
        logprobs=True,
        modalities=["text", "audio"],
        audio={"voice": "alloy"},
        prediction={"type": "content"},
        web_search_options={},
        future_field={"a": 1},
        metadata={"a": "b"},
        store=True,
    )
    assert conversation.dropped == (
        *("audio", "future_field", "logit_bias", "logprobs", "modalities", "n", "prediction", "web_search_options"),
        "name",
    )


def test_what_says_nothing_is_not_named() -> None:
    assert read(n=1, logprobs=False, top_logprobs=None, modalities=["text"], logit_bias={}).dropped == ()


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([5], "messages[0] must be an object"),
        ([HI, {"role": "king", "content": "x"}], "messages[1].role must be one of"),
        ([{"content": "x"}], "messages[0].role must be one of"),
        ([{"role": ["user"]}], "messages[0].role must be one of"),
        ([{"role": "user", "content": 5}], "messages[0].content must be a string or an array"),
        ([{"role": "user", "content": [5]}], "messages[0].content holds a part without a type"),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id must be a string"),
        ([{"role": "assistant", "tool_calls": [{"id": "a"}]}], "messages[0].tool_calls holds a call without a name"),
        ([{"role": "assistant", "tool_calls": [5]}], "messages[0].tool_calls holds a call without a name"),
    ],
)
def test_a_message_that_cannot_be_understood_is_refused(messages: list[Any], said: str) -> None:
    refusal = refused(*messages)
    assert refusal.message.startswith(said)
    assert refusal.param == "messages"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", {}),
        ("tools", [5]),
        ("tools", [{"type": "function"}]),
        ("tools", [{"type": 5}]),
        ("functions", "f"),
        ("tool_choice", "maybe"),
        ("tool_choice", {"type": "function"}),
        ("tool_choice", 5),
        ("function_call", "maybe"),
        ("response_format", {"type": "yaml"}),
        ("response_format", 5),
        ("response_format", {"type": "json_schema"}),
        ("stop", 5),
        ("stop", ["a", 5]),
        ("temperature", "hot"),
        ("max_tokens", 0),
        ("reasoning_effort", 5),
    ],
)
def test_a_field_that_cannot_be_understood_is_refused_by_name(field: str, value: Any) -> None:
    assert refused(**{field: value}).param == field


def test_endless_nesting_is_refused() -> None:
    fields = {"messages": msgspec.Raw(b'[{"role":"user","content":' + nested(200_000) + b"}]")}
    with pytest.raises(InvalidRequest):
        CHAT.read_request(fields)
    with pytest.raises(InvalidRequest) as caught:
        CHAT.read_request({"messages": msgspec.Raw(b'[{"role":"user"}]'), "tools": msgspec.Raw(nested(200_000))})
    assert caught.value.param == "tools"
