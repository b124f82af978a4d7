"""Conversations of other clients, written for Anthropic: nothing in them that it would refuse."""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.wire.anthropic import CODEC
from hypereal.wire.anthropic.schema import accepted_schema
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
)
from hypereal.wire.fields import read_fields
from tests.wire.anthropic.strategies import conversations

AIM = Aim(model="claude-up", max_output_tokens=8192, default_output_tokens=4096)
ADAPTIVE = msgspec.structs.replace(AIM, thinks_adaptively=True)
HI = Message("user", (Text("Hi"),))
TOOL = Tool(name="f", schema={"type": "object"})


def asked(*blocks: Block) -> Message:
    return Message("user", blocks)


def said(*blocks: Block) -> Message:
    return Message("assistant", blocks)


def call(name: str, arguments: str = "{}", **fields: Any) -> ToolCall:
    return ToolCall(id=name, name="f", arguments=arguments, **fields)


def result(name: str, *content: Text | Media, **fields: Any) -> ToolResult:
    return ToolResult(call_id=name, content=content or (Text("ok"),), **fields)


def sent(*messages: Message, aim: Aim = AIM, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body as an upstream reads it, and what was left out."""
    written = CODEC.write_request(Conversation(messages=messages or (HI,), **fields), aim)
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(written.fields))
    return body, written.dropped


def turns(*messages: Message) -> list[tuple[str, list[Any]]]:
    body, _ = sent(*messages)
    return [(message["role"], message["content"]) for message in body["messages"]]


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


@settings(deadline=None, max_examples=60)
@given(conversations())
def test_a_conversation_that_is_written_and_read_is_the_same(conversation: Conversation) -> None:
    written = CODEC.write_request(conversation, ADAPTIVE)
    fields = read_fields(msgspec.json.encode(written.fields))
    assert isinstance(fields, dict)
    assert written.dropped == ()
    assert CODEC.read_request(fields) == conversation


ANY_BLOCKS = st.lists(
    st.sampled_from(
        [
            Text("x"),
            Text("  "),
            Thinking(text="hm"),
            Thinking(text="hm", opaque=Opaque("anthropic", "sig")),
            call("a"),
            call("b/b", "[1"),
            result("a"),
            result("b/b"),
            Media(kind="audio", data="AAAA"),
        ]
    ),
    max_size=4,
).map(tuple)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.builds(Message, st.sampled_from(["user", "assistant", "system"]), ANY_BLOCKS), max_size=6))
def test_whatever_was_said_the_rules_are_kept(messages: list[Message]) -> None:
    written = turns(*messages, HI)
    seen: set[str] = set()
    calls: list[str] = []
    for position, (role, blocks) in enumerate(written):
        assert role == ("user", "assistant")[position % 2]
        assert blocks
        kinds = [block["type"] for block in blocks]
        if role == "assistant":
            calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
            assert not seen & set(calls)
            assert len(calls) == len(set(calls))
            seen |= set(calls)
            assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", name) for name in calls)
        else:
            assert sorted(block["tool_use_id"] for block in blocks[: len(calls)]) == sorted(calls)
            assert "tool_result" not in kinds[len(calls) :]
            calls = []
        assert all(block["text"].strip() for block in blocks if block["type"] == "text")
    assert not calls


def test_the_limit_is_the_clients_within_the_models() -> None:
    assert sent()[0]["max_tokens"] == 4096
    assert sent(max_tokens=5)[0]["max_tokens"] == 5
    assert sent(max_tokens=10**6)[0]["max_tokens"] == 8192


def test_leading_system_messages_join_the_system_and_later_ones_are_said_by_the_user() -> None:
    body, _ = sent(
        Message("system", (Text("one"), Text(" "))),
        HI,
        Message("system", (Text("two"),)),
        system=(Text("zero", {"type": "ephemeral"}),),
    )
    assert body["system"] == [{**text("zero"), "cache_control": {"type": "ephemeral"}}, text("one")]
    assert body["messages"] == [{"role": "user", "content": [text("Hi"), text("two")]}]


def test_a_conversation_that_the_user_did_not_begin_is_begun() -> None:
    assert turns(said(Text("Hello ")))[0] == ("user", [text("Begin.")])
    assert turns(Message("system", (Text("only"),))) == [("user", [text("Begin.")])]


def test_the_beginning_of_an_answer_ends_without_white_space() -> None:
    assert turns(HI, said(Text("The answer is (  \n")))[-1] == ("assistant", [text("The answer is (")])


def test_results_come_first_and_in_the_message_after_their_calls() -> None:
    written = turns(HI, said(call("a")), said(call("b")), asked(Text("so"), result("b"), result("a")))
    assert [block["type"] for block in written[2][1]] == ["tool_result", "tool_result", "text"]
    assert [block["tool_use_id"] for block in written[2][1][:2]] == ["b", "a"]


def test_a_call_without_a_result_is_given_one_that_says_so() -> None:
    interrupted = {
        "type": "tool_result",
        "tool_use_id": "a",
        "is_error": True,
        "content": [text("The call was interrupted and has no result.")],
    }
    assert turns(HI, said(call("a")), asked(Text("go on")))[2] == ("user", [interrupted, text("go on")])
    assert turns(HI, said(call("a")))[2] == ("user", [interrupted])


def test_a_result_that_nobody_waits_for_becomes_prose() -> None:
    assert turns(asked(result("a", Text("found")))) == [("user", [text("found")])]
    assert turns(HI, said(call("a")), asked(result("a"), result("a", Text("again"))))[2][1][1] == text("again")
    assert turns(asked(ToolResult(call_id="a", content=()))) == [("user", [text("Begin.")])]


def test_an_id_that_is_used_again_is_made_unique() -> None:
    written = turns(HI, said(call("a")), asked(result("a")), said(call("a"), call("a")), asked(result("a", Text("2"))))
    assert [block["id"] for block in written[3][1]] == ["a_2", "a_3"]
    assert [block["tool_use_id"] for block in written[4][1]] == ["a_2", "a_3"]
    assert written[4][1][0]["content"] == [text("2")]


def test_an_id_of_other_characters_is_always_made_the_same_legal_one() -> None:
    for given_id in ("call:1", "", "é" * 100, "call/1"):
        written = turns(HI, said(call(given_id)), asked(result(given_id)))
        legal = written[1][1][0]["id"]
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", legal)
        assert written[2][1][0]["tool_use_id"] == legal
    assert turns(HI, said(call("call:1"))) == turns(HI, said(call("call:1")))


@pytest.mark.parametrize(
    ("made", "sent_input"),
    [
        (call("a", '{"x": 1}'), {"x": 1}),
        (call("a", " "), {}),
        (call("a", "[1]"), {"input": "[1]"}),
        (call("a", '{"x": '), {"input": '{"x": '}),
        (call("a", '{"x": 1}', is_custom=True), {"input": '{"x": 1}'}),
    ],
)
def test_arguments_are_an_object_whatever_they_were(made: ToolCall, sent_input: Any) -> None:
    assert turns(HI, said(made))[1][1][0]["input"] == sent_input


def test_only_anthropics_own_tokens_are_sent_back() -> None:
    body, dropped = sent(
        HI,
        said(
            Thinking(text="hm", opaque=Opaque("anthropic", "sig")),
            Thinking(opaque=Opaque("anthropic", "data", "redacted_thinking")),
            Thinking(text="theirs", opaque=Opaque("openai_responses", "enc")),
            Thinking(text="nobody's"),
            Text("so"),
        ),
        HI,
    )
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "data"},
        text("so"),
    ]
    assert dropped == ("thinking",)
    assert sent(HI, said(call("a", opaque=Opaque("gemini", "sig"))))[1] == ("thinking",)
    assert sent(asked(Thinking(text="x", opaque=Opaque("anthropic", "sig"))))[1] == ("thinking",)


def test_foreign_blocks_and_tools_go_home_untouched_and_nowhere_else() -> None:
    own = Foreign(origin="anthropic", kind="server_tool_use", raw=b'{"type":"server_tool_use","x":1.50}')
    theirs = Foreign(origin="gemini", kind="executableCode", raw=b"{}")
    tools = (
        ForeignTool(origin="anthropic", kind="web_search_20250305", raw=b'{"type":"web_search_20250305"}'),
        ForeignTool(origin="openai_responses", kind="file_search", raw=b"{}"),
    )
    written = CODEC.write_request(Conversation(messages=(HI, said(own, theirs, Text("x"))), tools=tools), AIM)
    body = msgspec.json.encode(written.fields)
    assert own.raw in body
    assert b'"tools":[{"type":"web_search_20250305"}]' in body
    assert written.dropped == ("executableCode", "file_search")


PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
NOTE = base64.b64encode("né".encode()).decode()


@pytest.mark.parametrize(
    ("media", "shown"),
    [
        (Media(kind="image", media_type="image/png", data="AAAA"), {"type": "image", "source": PNG}),
        (
            Media(kind="file", media_type="text/csv", data=NOTE, name="n.csv"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "né"},
                "title": "n.csv",
            },
        ),
        (
            Media(kind="file", url="https://x.test/a.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
        ),
        (Media(kind="image", file_id="file_1"), {"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
    ],
)
def test_media_that_anthropic_takes(media: Media, shown: Any) -> None:
    assert turns(asked(media)) == [("user", [shown])]


@pytest.mark.parametrize(
    ("media", "name"),
    [
        (Media(kind="audio", media_type="audio/wav", data="AAAA"), "audio"),
        (Media(kind="video", url="https://x.test/v.mp4"), "video"),
        (Media(kind="image", media_type="image/tiff", data="AAAA"), "image"),
        (Media(kind="image", url="gs://bucket/a"), "image"),
        (Media(kind="image"), "image"),
        (Media(kind="file", file_id="file-openai"), "file"),
        (Media(kind="file", media_type="application/zip", data="AAAA"), "file"),
        (Media(kind="file", data="AAAA"), "file"),
        (Media(kind="file", media_type="text/plain", data="/w=="), "file"),
        (Media(kind="file", media_type="text/plain", data="A"), "file"),
        (Media(kind="file", media_type="text/plain", data="é"), "file"),
    ],
)
def test_media_that_it_does_not_take_is_named(media: Media, name: str) -> None:
    body, dropped = sent(asked(Text("see"), media))
    assert body["messages"][0]["content"] == [text("see")]
    assert dropped == (name,)


def test_what_stands_in_the_wrong_mouth_is_named() -> None:
    picture = Media(kind="image", media_type="image/png", data="AAAA")
    body, dropped = sent(HI, said(picture, result("a"), Text("x")), asked(call("b"), Text("y")))
    assert [message["content"] for message in body["messages"]] == [[text("Hi")], [text("x")], [text("y")]]
    assert dropped == ("image", "tool_result", "tool_call")


def test_tools_have_the_schema_of_an_object() -> None:
    tools = (
        Tool(name="bare"),
        Tool(name="untyped", schema={"properties": {}}, description="d"),
        Tool(name="either", schema={"type": "object", "anyOf": [{}], "properties": {}}, cache={"type": "ephemeral"}),
        Tool(name="free", is_custom=True, strict=True, grammar={"type": "grammar"}),
    )
    body, dropped = sent(tools=tools)
    free = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    empty = {"type": "object", "properties": {}}
    assert body["tools"] == [
        {"name": "bare", "input_schema": empty},
        {"name": "untyped", "input_schema": empty, "description": "d"},
        {"name": "either", "input_schema": empty, "cache_control": {"type": "ephemeral"}},
        {"name": "free", "input_schema": free},
    ]
    assert dropped == ()


@pytest.mark.parametrize(
    ("choice", "parallel", "shown"),
    [
        (None, None, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), True, {"type": "any", "disable_parallel_tool_use": False}),
        (ToolChoice("one", "f"), None, {"type": "tool", "name": "f"}),
    ],
)
def test_the_choice_of_tools(choice: ToolChoice | None, parallel: bool | None, shown: Any) -> None:
    assert sent(tools=(TOOL,), tool_choice=choice, parallel_tool_calls=parallel)[0].get("tool_choice") == shown


def test_a_choice_among_no_tools_is_not_sent() -> None:
    body, dropped = sent(tool_choice=ToolChoice("required"), parallel_tool_calls=False)
    assert "tool_choice" not in body
    assert dropped == ("tool_choice",)


@pytest.mark.parametrize(
    ("reasoning", "limit", "thinking"),
    [
        (None, None, None),
        (Reasoning(is_enabled=False), None, {"type": "disabled"}),
        (Reasoning(effort="none"), None, {"type": "disabled"}),
        (Reasoning(budget_tokens=2000), 5000, {"type": "enabled", "budget_tokens": 2000}),
        (Reasoning(budget_tokens=5), 5000, {"type": "enabled", "budget_tokens": 1024}),
        (Reasoning(effort="high"), 8000, {"type": "enabled", "budget_tokens": 6000}),
        (
            Reasoning(effort="low", shows=True),
            8000,
            {"type": "enabled", "budget_tokens": 2048, "display": "summarized"},
        ),
        (Reasoning(is_adaptive=True), 4000, {"type": "enabled", "budget_tokens": 3000}),
    ],
)
def test_a_budget_leaves_room_for_the_answer(reasoning: Any, limit: Any, thinking: Any) -> None:
    body, dropped = sent(reasoning=reasoning, max_tokens=limit)
    assert body.get("thinking") == thinking
    assert "output_config" not in body
    assert dropped == ()


def test_a_limit_with_no_room_to_think_is_kept_and_thinking_left_out() -> None:
    body, dropped = sent(reasoning=Reasoning(effort="high"), max_tokens=1200)
    assert body["max_tokens"] == 1200
    assert "thinking" not in body
    assert dropped == ("thinking",)


@pytest.mark.parametrize(
    ("reasoning", "thinking", "effort"),
    [
        (Reasoning(effort="minimal"), {"type": "adaptive"}, "low"),
        (Reasoning(effort="xhigh", shows=False), {"type": "adaptive", "display": "omitted"}, "xhigh"),
        (Reasoning(effort="brand_new"), {"type": "adaptive"}, None),
        (Reasoning(budget_tokens=8000), {"type": "adaptive"}, "medium"),
        (Reasoning(budget_tokens=0), {"type": "disabled"}, None),
        (Reasoning(is_adaptive=True), {"type": "adaptive"}, None),
    ],
)
def test_a_model_that_thinks_adaptively_is_given_an_effort(reasoning: Any, thinking: Any, effort: Any) -> None:
    body, _ = sent(aim=ADAPTIVE, reasoning=reasoning)
    assert body["thinking"] == thinking
    assert body.get("output_config", {}).get("effort") == effort


def test_a_call_that_must_be_made_is_made_without_thinking() -> None:
    for aim in (AIM, ADAPTIVE):
        body, dropped = sent(
            aim=aim, reasoning=Reasoning(effort="low"), tools=(TOOL,), tool_choice=ToolChoice("required")
        )
        assert "thinking" not in body
        assert dropped == ("thinking",)


def test_a_turn_that_began_without_thinking_goes_on_without() -> None:
    unthinking = (HI, said(Text("hm"), call("a")), asked(result("a")), said(call("b")), asked(result("b")))
    body, dropped = sent(*unthinking, reasoning=Reasoning(effort="low"))
    assert "thinking" not in body
    assert dropped == ("thinking",)
    signed = Thinking(text="hm", opaque=Opaque("anthropic", "sig"))
    thinking = (HI, said(signed, call("a")), asked(result("a")), said(call("b")), asked(result("b")))
    assert "thinking" in sent(*thinking, reasoning=Reasoning(effort="low"))[0]
    assert "thinking" in sent(*unthinking, said(Text("x")), HI, reasoning=Reasoning(effort="low"))[0]
    assert "thinking" in sent(*unthinking, aim=ADAPTIVE, reasoning=Reasoning(effort="low"))[0]
    own = Foreign(origin="anthropic", kind="server_tool_use", raw=b'{"type":"server_tool_use"}')
    assert "thinking" not in sent(HI, said(own, call("a")), asked(result("a")), reasoning=Reasoning(effort="low"))[0]


@pytest.mark.parametrize(
    ("given_fields", "sampling", "dropped"),
    [
        ({"temperature": 0.5, "top_k": 5}, {"temperature": 0.5, "top_k": 5}, ()),
        ({"temperature": 1.5}, {"temperature": 1}, ("temperature",)),
        ({"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ("top_p",)),
        ({"temperature": 0.5, "top_p": 1.0}, {"temperature": 0.5}, ()),
        ({"top_p": 0.5}, {"top_p": 0.5}, ()),
        ({"temperature": 1.0, "reasoning": Reasoning(effort="low")}, {}, ()),
        ({"temperature": 0.5, "reasoning": Reasoning(effort="low")}, {}, ("temperature",)),
        ({"top_p": 0.96, "reasoning": Reasoning(effort="low")}, {"top_p": 0.96}, ()),
        ({"top_p": 0.9, "top_k": 5, "reasoning": Reasoning(effort="low")}, {}, ("top_p", "top_k")),
        ({"temperature": 0.5, "reasoning": Reasoning(is_enabled=False)}, {"temperature": 0.5}, ()),
    ],
)
def test_sampling_is_what_anthropic_takes(given_fields: Any, sampling: Any, dropped: Any) -> None:
    body, left_out = sent(**given_fields)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == sampling
    assert left_out == dropped


def test_what_has_no_equivalent_is_named() -> None:
    body, dropped = sent(
        output=OutputFormat(),
        seed=0,
        presence_penalty=0.5,
        frequency_penalty=0.5,
        verbosity="low",
        service_tier="flex",
        stop=("END", "\n"),
        cache_key="k",
    )
    assert body == {
        "model": "claude-up",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [text("Hi")]}],
        "stop_sequences": ["END"],
    }
    assert set(dropped) == {
        "output",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "verbosity",
        "service_tier",
        "stop",
    }


def test_the_schema_of_an_output_is_closed_and_what_is_refused_is_told_in_prose() -> None:
    schema = {
        "type": "object",
        "$defs": {"odd": True, "word": {"type": "string", "minLength": 2, "format": "x", "description": "A word"}},
        "properties": {
            "list": {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 3},
            "either": {"oneOf": [{"type": "string", "format": "date"}, {"$ref": "#/$defs/word"}, True]},
            "many": {"type": "array", "minItems": 2},
        },
    }
    assert accepted_schema(schema) == {
        "type": "object",
        "additionalProperties": False,
        "$defs": {
            "odd": True,
            "word": {"type": "string", "description": "A word\n\n{minLength: 2, format: x}"},
        },
        "properties": {
            "list": {
                "type": "array",
                "items": {"type": "object", "additionalProperties": False},
                "minItems": 1,
                "description": "{maxItems: 3}",
            },
            "either": {"anyOf": [{"type": "string", "format": "date"}, {"$ref": "#/$defs/word"}, True]},
            "many": {"type": "array", "description": "{minItems: 2}"},
        },
    }


def test_a_schema_without_end_is_followed_only_so_far() -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(5000):
        schema = {"type": "array", "items": schema}
    assert accepted_schema(schema)["items"]["type"] == "array"
