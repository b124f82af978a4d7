"""Requests of Anthropic's clients, read for an upstream of another format."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypereal.errors import InvalidRequest
from hypereal.wire.anthropic import CODEC
from hypereal.wire.conversation import (
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
from hypereal.wire.opaque import seal
from tests.wire.anthropic.asking import body_of, compact
from tests.wire.test_parsing import JSON_VALUES, nested


def read(body: bytes | None = None, **fields: Any) -> Conversation:
    given_fields = read_fields(body if body is not None else body_of(**fields))
    assert isinstance(given_fields, dict)
    return CODEC.read_request(given_fields)


def blocks_of(*content: Any, role: str = "user") -> tuple[Block, ...]:
    (message,) = read(messages=[{"role": role, "content": list(content)}]).messages
    return message.blocks


CLAUDE_CODE: dict[str, Any] = {
    "stream": True,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.329.abc"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
    ],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]},
        {"role": "system", "content": "Be brief."},
        {"role": "system", "output_config": {"effort": "low"}},
    ],
    "tools": [
        {"name": "Bash", "description": "Runs", "input_schema": {"type": "object"}, "input_examples": [{}]},
        {"name": "mcp__x", "input_schema": {"type": "object"}, "defer_loading": True, "eager_input_streaming": True},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
    ],
    "metadata": {"user_id": json.dumps({"device_id": "d" * 64, "session_id": "s"})},
    "thinking": {"type": "adaptive", "display": "omitted"},
    "context_management": {"edits": []},
    "output_config": {"effort": "high", "task_budget": {"type": "tokens", "total": 5}},
}


def test_what_claude_code_sends_is_read_whole() -> None:
    assert read(**CLAUDE_CODE) == Conversation(
        system=(Text("You are Claude Code.", {"type": "ephemeral"}),),
        messages=(Message("user", (Text("Hi", {"type": "ephemeral"}),)), Message("system", (Text("Be brief."),))),
        tools=(
            Tool(name="Bash", description="Runs", schema={"type": "object"}),
            Tool(name="mcp__x", schema={"type": "object"}),
            ForeignTool(
                origin="anthropic",
                kind="web_search_20250305",
                raw=json.dumps(CLAUDE_CODE["tools"][2]).encode(),
            ),
        ),
        reasoning=Reasoning(is_adaptive=True, effort="high", shows=False),
        stream=True,
        max_tokens=100,
        dropped=("context_management", "output_config"),
    )


def test_the_plain_fields_are_read() -> None:
    conversation = read(
        system="Be kind.",
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["END"],
        metadata={"user_id": "u-1"},
        service_tier="standard_only",
    )
    assert conversation == Conversation(
        system=(Text("Be kind."),),
        messages=(Message("user", (Text("Hi"),)),),
        max_tokens=100,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop=("END",),
        user="u-1",
        service_tier="default",
    )


def test_nulls_say_nothing() -> None:
    names = ("system", "tools", "tool_choice", "thinking", "output_config", "output_format", "metadata", "speed")
    assert read(**dict.fromkeys(names), stop_sequences=None, temperature=None) == read()


def test_only_the_first_system_block_may_be_the_volatile_one() -> None:
    later = [{"type": "text", "text": "a"}, {"type": "text", "text": "x-anthropic-billing-header: b"}]
    assert len(read(system=later).system) == 2


@pytest.mark.parametrize(
    ("thinking", "effort", "reasoning"),
    [
        (None, None, None),
        (None, "low", Reasoning(effort="low")),
        ({"type": "enabled", "budget_tokens": 2048}, None, Reasoning(budget_tokens=2048)),
        (
            {"type": "enabled", "budget_tokens": 9, "display": "summarized"},
            None,
            Reasoning(budget_tokens=9, shows=True),
        ),
        ({"type": "adaptive"}, "max", Reasoning(is_adaptive=True, effort="max")),
        ({"type": "between_tools"}, None, Reasoning(is_adaptive=True)),
        ({"type": "disabled"}, "low", Reasoning(is_enabled=False, effort="low")),
    ],
)
def test_how_much_to_think(thinking: Any, effort: Any, reasoning: Reasoning | None) -> None:
    conversation = read(thinking=thinking, output_config={"effort": effort})
    assert conversation.reasoning == reasoning
    assert conversation.dropped == ()


def test_a_way_to_think_that_is_not_known_is_named() -> None:
    assert read(thinking={"type": "brand_new"}).dropped == ("thinking",)


@pytest.mark.parametrize(
    ("given_choice", "choice", "parallel"),
    [
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required"), False),
        ({"type": "tool", "name": "f", "disable_parallel_tool_use": False}, ToolChoice("one", "f"), True),
        ({"type": "none"}, ToolChoice("none"), None),
    ],
)
def test_the_choice_of_tools(given_choice: Any, choice: ToolChoice, parallel: bool | None) -> None:
    conversation = read(tool_choice=given_choice)
    assert (conversation.tool_choice, conversation.parallel_tool_calls) == (choice, parallel)


def test_what_is_not_known_is_named_and_what_matters_to_nobody_else_is_not() -> None:
    conversation = read(
        tool_choice={"type": "brand_new"},
        service_tier="brand_new",
        output_format={"type": "brand_new"},
        container="c",
        hypereal={},
        intent="x",
        betas=["b"],
        cache_control={"type": "ephemeral"},
        brand_new=1,
    )
    assert sorted(conversation.dropped) == ["brand_new", "container", "output_format", "service_tier", "tool_choice"]


@pytest.mark.parametrize("name", ["output_format", "output_config"])
def test_an_output_of_a_schema_in_both_spellings(name: str) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    fields: dict[str, Any] = {name: wanted if name == "output_format" else {"format": wanted}}
    assert read(**fields).output == OutputFormat(schema={"type": "object"})


def test_images_and_files_in_every_form() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
    assert blocks_of(
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a"}, "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": pdf, "title": "T", "context": "C", "citations": {"enabled": True}},
        {"type": "document", "source": {"type": "url", "url": "https://x.test/b.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_2"}},
    ) == (
        Media(kind="image", media_type="image/png", data="AAAA"),
        Media(kind="image", url="https://x.test/a", cache={"type": "ephemeral"}),
        Media(kind="image", file_id="file_1"),
        Text("C"),
        Media(kind="file", media_type="application/pdf", data="AAAA", name="T"),
        Media(kind="file", media_type="application/pdf", url="https://x.test/b.pdf"),
        Media(kind="file", file_id="file_2"),
    )


def test_documents_of_text_and_search_results_become_prose() -> None:
    text = {"type": "text", "text": "inner"}
    assert blocks_of(
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "D"}, "title": "T"},
        {"type": "document", "source": {"type": "text"}},
        {"type": "document", "source": {"type": "content", "content": [text]}, "context": "C"},
        {"type": "search_result", "title": "T", "source": "https://x.test", "content": [text]},
        {"type": "search_result", "content": []},
    ) == (
        *(Text("T"), Text("D"), Text(""), Text("C"), Text("inner")),
        *(Text("T https://x.test"), Text("inner")),
    )


def test_calls_and_their_results() -> None:
    raw = b'{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{ "a":1.50 }}]}'
    (message,) = read(b'{"messages":[%b]}' % raw).messages
    assert message.blocks == (ToolCall(id="t", name="f", arguments='{ "a":1.50 }'),)
    assert blocks_of({"type": "tool_use", "id": "t", "name": "f", "input": None}, role="assistant") == (
        ToolCall(id="t", name="f", arguments="{}"),
    )
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    content = [{"type": "text", "text": "ok"}, image, {"type": "tool_reference", "tool_name": "Bash"}]
    assert blocks_of(
        {"type": "tool_result", "tool_use_id": "t", "content": "done", "is_error": True},
        {"type": "tool_result", "tool_use_id": "u", "content": content, "cache_control": {"type": "ephemeral"}},
        {"type": "tool_result", "tool_use_id": "v"},
    ) == (
        ToolResult(call_id="t", content=(Text("done"),), is_error=True),
        ToolResult(
            call_id="u",
            content=(Text("ok"), Media(kind="image", media_type="image/png", data="AAAA"), Text("Bash")),
            cache={"type": "ephemeral"},
        ),
        ToolResult(call_id="v", content=()),
    )


def test_what_a_result_can_not_hold_is_named() -> None:
    content = [{"type": "browser_state"}, {"type": "thinking", "thinking": "x"}]
    messages = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": content}]}]
    assert read(messages=messages).dropped == ("browser_state", "tool_result.content")


def test_thinking_carries_its_token_and_a_sealed_one_its_own_origin() -> None:
    theirs = Opaque("openai_responses", "enc", "rs_1")
    assert blocks_of(
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "thinking", "thinking": "ho", "signature": seal(theirs, "anthropic")},
        {"type": "thinking", "thinking": "hu"},
        {"type": "redacted_thinking", "data": "ZGF0"},
        {"type": "redacted_thinking", "data": seal(theirs, "anthropic")},
        role="assistant",
    ) == (
        Thinking(text="hm", opaque=Opaque("anthropic", "c2ln")),
        Thinking(text="ho", opaque=theirs),
        Thinking(text="hu"),
        Thinking(opaque=Opaque("anthropic", "ZGF0", "redacted_thinking")),
        Thinking(opaque=theirs),
    )


def test_blocks_that_only_anthropic_knows_stay_as_they_came() -> None:
    raw = b'{"type":"server_tool_use", "id":"s","x":1.50}'
    (message,) = read(b'{"messages":[{"role":"assistant","content":[%b]}]}' % raw).messages
    assert message.blocks == (Foreign(origin="anthropic", kind="server_tool_use", raw=raw),)


def test_citations_are_named() -> None:
    cited = [{"role": "assistant", "content": [{"type": "text", "text": "x", "citations": [{"type": "y"}]}]}]
    assert read(messages=cited).dropped == ("citations",)


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"messages": [5]}, "messages", "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages", "role must be"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages", "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages", "type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages", "text"),
        ({"messages": ...}, "messages", "non-empty"),
        ({"system": 5}, "system", "system"),
        ({"tools": [{"description": "x"}]}, "tools", "name"),
        ({"tools": {}}, "tools", "array"),
        ({"thinking": "yes"}, "thinking", "thinking"),
        ({"output_config": {"effort": 5}}, "output_config", "effort"),
        ({"temperature": "hot"}, "temperature", "number"),
        ({"stop_sequences": "END"}, "stop_sequences", "array"),
        ({"metadata": {"user_id": 5}}, "metadata", "user_id"),
    ],
)
def test_a_refusal_names_the_field(fields: dict[str, Any], param: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(**fields)
    assert refusal.value.param == param
    assert says in refusal.value.message


def test_results_within_results_without_end_are_refused() -> None:
    content: Any = "x"
    for _ in range(400):
        content = [{"type": "tool_result", "tool_use_id": "t", "content": content}]
    with pytest.raises(InvalidRequest):
        read(compact({"messages": [{"role": "user", "content": content}]}))
    bomb = b'{"messages":[{"role":"user","content":%b}]}' % nested(600)
    with pytest.raises(InvalidRequest):
        read(bomb)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["messages", "system", "tools", "tool_choice", "thinking", "output_config", "metadata", "x"]),
        JSON_VALUES | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": JSON_VALUES}), max_size=2),
        max_size=4,
    )
)
def test_any_value_is_read_or_refused(fields: dict[str, Any]) -> None:
    refusal: InvalidRequest | None = None
    try:
        read(compact({"messages": [{"role": "user", "content": "x"}], **fields}))
    except InvalidRequest as raised:
        refusal = raised
    assert refusal is None or refusal.param


def test_base64_of_text_is_left_as_it_is() -> None:
    data = base64.b64encode("é".encode()).decode()
    source = {"type": "base64", "media_type": "text/plain", "data": data}
    assert blocks_of({"type": "document", "source": source}) == (
        Media(kind="file", media_type="text/plain", data=data),
    )
