"""Clients' requests as conversations: what real clients send, and what is said of what has no place."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from hypereal.errors import InvalidRequest
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
from hypereal.wire.openai_responses import CODEC
from hypereal.wire.openai_responses.items import LONGEST_TOOL_NAME, flat_name
from tests.wire.openai_responses.asking import accepted, conversation_of

NAME = "openai_responses"
USER = {"role": "user", "content": "Hi"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}', "id": "fc_1"}


def messages_of(*items: Any) -> tuple[Message, ...]:
    return conversation_of(input=list(items)).messages


def problem_of(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        CODEC.read_request(accepted(**fields).fields)
    return refusal.value


def test_a_string_is_what_the_user_says() -> None:
    assert conversation_of(input="Hé") == Conversation(messages=(Message("user", (Text("Hé"),)),))


def test_what_comes_before_the_first_turn_is_the_system() -> None:
    items = [{"role": "developer", "content": "two"}, {"role": "system", "content": "three"}, USER]
    later = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "later"}]}
    conversation = conversation_of(instructions="one", input=[*items, later])
    assert conversation.system == (Text("one"), Text("two"), Text("three"))
    assert conversation.messages == (Message("user", (Text("Hi"),)), Message("system", (Text("later"),)))


def test_items_of_one_turn_of_the_assistant_are_one_message() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}, {"text": "b"}]}
    thought |= {"content": [{"type": "reasoning_text", "text": "c"}], "encrypted_content": "gAAA"}
    said = {
        "role": "assistant",
        "content": [{"type": "output_text", "text": "x"}, {"type": "refusal", "refusal": "no"}],
    }
    custom = {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "*** Begin"}
    shell = {"type": "local_shell_call", "id": "lsh_1", "call_id": "c3", "action": {"type": "exec"}}
    results = [
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "ok"}]},
        {"type": "local_shell_call_output", "id": "lsh_1", "output": "x"},
        {"type": "function_call_output", "call_id": "c4", "name": "f", "output": ""},
    ]
    assistant, results_read, user = messages_of(thought, said, CALL, custom, shell, *results, USER)
    assert assistant == Message(
        "assistant",
        (
            Thinking(text="a\n\nb\n\nc", opaque=Opaque(NAME, "gAAA", "rs_1")),
            Text("x"),
            Text("no"),
            ToolCall(id="c1", name="f", arguments='{"a":1}'),
            ToolCall(id="c2", name="patch", arguments="*** Begin", is_custom=True),
            Foreign(origin=NAME, kind="local_shell_call", raw=json.dumps(shell).encode()),
        ),
    )
    assert results_read == Message(
        "user",
        (
            ToolResult(call_id="c1", content=(Text("done"),)),
            ToolResult(call_id="c2", content=(Text("ok"),), is_custom=True),
            Foreign(origin=NAME, kind="local_shell_call_output", raw=json.dumps(results[2]).encode()),
            ToolResult(call_id="c4", content=(), name="f"),
        ),
    )
    assert user == Message("user", (Text("Hi"),))


def test_a_token_of_another_format_comes_home() -> None:
    thinking = Opaque("anthropic", "signature", "b1")
    signature = Opaque("gemini", "thought")
    items = [
        {"type": "reasoning", "summary": [], "encrypted_content": seal(thinking, NAME)},
        CALL,
        {"type": "reasoning", "summary": [], "encrypted_content": seal(signature, NAME) + ".c1"},
    ]
    (message,) = messages_of(*items)
    assert message.blocks == (
        Thinking(opaque=thinking),
        ToolCall(id="c1", name="f", arguments='{"a":1}', opaque=signature),
    )


def test_reasoning_that_leads_to_nothing_is_left_out() -> None:
    """What Codex sends after two attempts that broke off."""
    lost = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA"}
    assert messages_of(USER, lost, lost) == (Message("user", (Text("Hi"),)),)
    conversation = conversation_of(input=[USER, lost, {"role": "assistant", "content": "x"}, lost, USER])
    assert [len(message.blocks) for message in conversation.messages] == [1, 2, 1]
    assert conversation.dropped == ("reasoning",)


def test_files_are_read() -> None:
    content = [
        {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "high"},
        {"type": "input_image", "image_url": "https://x/y.png"},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"},
        {"type": "input_file", "file_data": "QUJD"},
        {"type": "input_file", "file_url": "https://x/y.pdf", "detail": "low"},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "flac"}},
        {"type": "input_video", "video_url": "https://x/y.mp4"},
        {"type": "input_image", "image_url": "data:text/plain,hello"},
    ]
    (message,) = messages_of({"role": "user", "content": content})
    assert message.blocks == (
        Media(kind="image", media_type="image/png", data="QUJD", detail="high"),
        Media(kind="image", url="https://x/y.png"),
        Media(kind="image", file_id="file_1", origin=NAME),
        Media(kind="file", media_type="application/pdf", data="QUJD", name="a.pdf"),
        Media(kind="file", data="QUJD"),
        Media(kind="file", url="https://x/y.pdf", detail="low"),
        Media(kind="audio", media_type="audio/mpeg", data="QUJD"),
        Media(kind="audio", media_type="audio/flac", data="QUJD"),
        Media(kind="video", url="https://x/y.mp4"),
        Media(kind="image", url="data:text/plain,hello"),
    )


def test_what_has_no_place_is_named() -> None:
    items = [
        USER,
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_2"},
        {"role": "user", "content": [{"type": "input_image"}, {"type": "hologram"}, {"type": "input_file"}]},
        {"role": "assistant", "content": [{"type": "output_audio"}]},
    ]
    conversation = conversation_of(
        input=items,
        tool_choice={"type": "web_search"},
        max_tool_calls=3,
        truncation="auto",
        top_logprobs=2,
        logit_bias={},
        previous_response_id=None,
    )
    named = "hologram input_file input_image item_reference logit_bias max_tool_calls output_audio tool_choice"
    assert conversation.dropped == (*named.split(), "top_logprobs", "truncation")


def test_what_changes_nothing_is_not_named() -> None:
    silent = {"metadata": {"a": "b"}, "store": False, "include": ["x"], "client_metadata": {}, "stream_options": {}}
    assert conversation_of(truncation="disabled", background=False, top_logprobs=0, **silent).dropped == ()


def test_every_option_is_read() -> None:
    conversation = conversation_of(
        stream=True,
        max_output_tokens=50,
        temperature=0.5,
        top_p=0.9,
        presence_penalty=1,
        frequency_penalty=-1,
        parallel_tool_calls=False,
        reasoning={"effort": "high", "summary": "auto", "context": "all_turns"},
        text={"format": {"type": "json_object"}, "verbosity": "low"},
        safety_identifier="s",
        user="u",
        service_tier="flex",
        prompt_cache_key="k",
    )
    assert conversation == Conversation(
        messages=(Message("user", (Text("Hi"),)),),
        stream=True,
        max_tokens=50,
        temperature=0.5,
        top_p=0.9,
        presence_penalty=1,
        frequency_penalty=-1,
        parallel_tool_calls=False,
        reasoning=Reasoning(effort="high", shows=True),
        output=OutputFormat(),
        verbosity="low",
        user="s",
        service_tier="flex",
        cache_key="k",
    )
    assert conversation_of(user="u").user == "u"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, None),
        ({}, None),
        ({"context": "auto"}, None),
        ({"effort": "none", "summary": "auto"}, Reasoning(is_enabled=False)),
        ({"effort": "minimal"}, Reasoning(effort="minimal")),
        ({"summary": "detailed"}, Reasoning(is_adaptive=True, shows=True)),
        ({"effort": None, "generate_summary": "auto"}, Reasoning(is_adaptive=True, shows=True)),
        ({"effort": "low", "summary": "none"}, Reasoning(effort="low", shows=False)),
    ],
)
def test_reasoning_is_read(given: Any, read: Reasoning | None) -> None:
    assert conversation_of(reasoning=given).reasoning == read


def test_a_schema_is_read() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"type": "json_schema", "name": "n", "description": "d", "schema": schema, "strict": True}
    expected = OutputFormat(schema=schema, name="n", description="d", strict=True)
    assert conversation_of(text={"format": form}).output == expected
    assert conversation_of(text={"format": {"type": "text"}}).output is None


FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
SPACE = {
    "type": "namespace",
    "name": "mcp__memory",
    "description": "Memory",
    "tools": [{"type": "function", "name": "recall", "parameters": {}}, {"type": "custom", "name": "note"}],
}


def test_tools_are_read_and_those_of_a_namespace_are_flat() -> None:
    custom = {"type": "custom", "name": "patch", "description": None, "format": GRAMMAR}
    search = {"type": "web_search", "search_context_size": "low"}
    inner = {**SPACE, "tools": [*SPACE["tools"], {"type": "namespace", "name": "deeper"}]}
    tools = conversation_of(tools=[FUNCTION, custom, search, inner]).tools
    assert tools == (
        Tool(name="f", description="d", schema={"type": "object"}, strict=True),
        Tool(name="patch", is_custom=True, grammar=GRAMMAR),
        ForeignTool(origin=NAME, kind="web_search", raw=json.dumps(search).encode()),
        Tool(name="mcp__memory__recall", schema={}),
        Tool(name="mcp__memory__note", is_custom=True),
        ForeignTool(origin=NAME, kind="namespace", raw=b'{"type": "namespace", "name": "deeper"}'),
    )


def test_tools_inside_the_input_are_lifted() -> None:
    items = [{"type": "additional_tools", "role": "developer", "tools": [FUNCTION]}, {"type": "additional_tools"}, USER]
    conversation = conversation_of(input=items, tools=[SPACE])
    assert [tool.name for tool in conversation.tools if isinstance(tool, Tool)] == [
        "mcp__memory__recall",
        "mcp__memory__note",
        "f",
    ]
    assert conversation.messages == (Message("user", (Text("Hi"),)),)


def test_a_call_in_a_namespace_has_the_flat_name_of_its_tool() -> None:
    call = {**CALL, "namespace": "mcp__memory", "name": "recall"}
    result = {
        "type": "function_call_output",
        "call_id": "c1",
        "namespace": "mcp__memory",
        "name": "recall",
        "output": "x",
    }
    assistant, user = messages_of(call, result)
    assert assistant.blocks == (ToolCall(id="c1", name="mcp__memory__recall", arguments='{"a":1}'),)
    assert user.blocks == (ToolResult(call_id="c1", content=(Text("x"),), name="mcp__memory__recall"),)


def test_a_flat_name_is_short_and_its_own() -> None:
    assert flat_name("mcp__x__", "f") == "mcp__x__f"
    first, second = flat_name("n" * 60, "f" * 60), flat_name("n" * 60, "f" * 61)
    assert len(first) == len(second) == LONGEST_TOOL_NAME
    assert first != second


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, None),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("one", "f")),
        ({"type": "custom", "name": "patch"}, ToolChoice("one", "patch")),
        ({"type": "function", "namespace": "a", "name": "f"}, ToolChoice("one", "a__f")),
    ],
)
def test_a_choice_is_read(given: Any, read: ToolChoice | None) -> None:
    conversation = conversation_of(tool_choice=given)
    assert (conversation.tool_choice, conversation.dropped) == (read, ())


@pytest.mark.parametrize(("mode", "read"), [("auto", "auto"), ("required", "required"), (None, "auto")])
def test_only_the_allowed_tools_are_offered(mode: Any, read: Any) -> None:
    search = {"type": "web_search"}
    choice = {"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": "f"}, search]}
    conversation = conversation_of(tools=[FUNCTION, {**FUNCTION, "name": "g"}, search], tool_choice=choice)
    assert conversation.tool_choice == ToolChoice(read)
    assert [getattr(tool, "name", "") for tool in conversation.tools] == ["f", ""]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [], "prompt": {"id": "p"}}, "input"),
        ({"input": ..., "prompt": {"id": "p"}}, "input"),
        ({"input": [USER, 5]}, "input[1]"),
        ({"input": [USER, {"role": "user", "content": 5}]}, "input[1]"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "message", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": {}}]}, "input[0]"),
        ({"input": [{"type": "reasoning", "summary": "x"}]}, "input[0]"),
        ({"instructions": ["x"]}, "instructions"),
        ({"tools": {}}, "tools"),
        ({"tools": [5]}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools"),
        ({"tools": [{"type": "namespace", "name": "n"}]}, "tools"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"tool_choice": {}}, "tool_choice"),
        ({"reasoning": "high"}, "reasoning"),
        ({"text": "json"}, "text"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": "x"}, "top_p"),
        ({"parallel_tool_calls": "x"}, "parallel_tool_calls"),
        ({"service_tier": 1}, "service_tier"),
    ],
)
def test_every_refusal_names_its_field(fields: dict[str, Any], param: str) -> None:
    problem = problem_of(**fields)
    assert problem.param == param
    assert param.split("[", maxsplit=1)[0] in problem.message


def test_no_depth_is_fatal() -> None:
    deep = msgspec.Raw(b'[{"role":"user","content":' + b"[" * 50_000 + b"]" * 50_000 + b"}]")
    with pytest.raises(InvalidRequest):
        CODEC.read_request({"model": msgspec.Raw(b'"m"'), "input": deep})


def test_what_codex_sends_is_read() -> None:
    """The shapes of a turn of Codex 0.169, which has the system among its input."""
    conversation = conversation_of(
        input=[
            {
                "type": "message",
                "role": "developer",
                "id": "i1",
                "content": [{"type": "input_text", "text": "Be Codex"}],
            },
            {"type": "message", "role": "user", "id": "i2", "content": [{"type": "input_text", "text": "<env/>"}]},
            {"type": "message", "role": "user", "id": "i3", "content": [{"type": "input_text", "text": "run ls"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "gAAA"},
            {**CALL, "name": "exec_command", "id": "i4", "status": "completed"},
            {"type": "function_call_output", "id": "i5", "call_id": "c1", "output": "a\nb"},
        ],
        stream=True,
        store=False,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="thread",
        client_metadata={"x": "y"},
        reasoning={"summary": "auto"},
        tools=[FUNCTION, {"type": "custom", "name": "patch", "format": GRAMMAR}, {"type": "web_search"}, SPACE],
        tool_choice="auto",
        parallel_tool_calls=True,
    )
    assert conversation.dropped == ()
    assert conversation.system == (Text("Be Codex"),)
    assert [message.role for message in conversation.messages] == ["user", "user", "assistant", "user"]
    assert len(conversation.tools) == 5
