"""Custom tools for upstreams that know only functions, and their calls on the way back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from hypereal.wire.conversation import Conversation, ForeignTool, Message, Reply, Text, Tool, ToolCall, ToolResult
from hypereal.wire.custom_tools import CustomCalls, as_functions, custom_names, free_text, restore
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Finished, Started, fold, unfold

PATCH = Tool(name="patch", description="Edits", is_custom=True, grammar={"syntax": "lark"})
NAMES = frozenset({"patch"})


def test_a_custom_tool_its_calls_and_results_become_a_functions() -> None:
    plain = ToolCall(id="b", name="f", arguments="{}")
    foreign = ForeignTool(origin="openai_responses", kind="web_search", raw=b"{}")
    asked = Conversation(
        tools=(PATCH, Tool(name="f"), foreign),
        messages=(
            Message("assistant", (ToolCall(id="a", name="patch", arguments='say "x"', is_custom=True), plain)),
            Message("user", (ToolResult(call_id="a", content=(Text("ok"),), is_custom=True), Text("Go on"))),
        ),
    )
    assert custom_names(asked) == NAMES
    passed = as_functions(asked)
    tool, *others = passed.tools
    assert isinstance(tool, Tool)
    assert not custom_names(passed)
    assert tool.schema["required"] == ["input"]
    assert "lark" in tool.description
    assert others == [Tool(name="f"), foreign]
    assert passed.messages == (
        Message("assistant", (ToolCall(id="a", name="patch", arguments='{"input":"say \\"x\\""}'), plain)),
        Message("user", (ToolResult(call_id="a", content=(Text("ok"),)), Text("Go on"))),
    )
    bare = as_functions(Conversation(tools=(Tool(name="p", is_custom=True),))).tools[0]
    assert isinstance(bare, Tool)
    assert bare.description == ""


@given(text=st.text())
def test_free_text_survives_its_wrapping(text: str) -> None:
    assert free_text(json.dumps({"input": text})) == text


def test_what_a_model_wrote_bare_is_its_own_text() -> None:
    for bare in ("*** Begin Patch", '{"input": 5}', '{"patch": "x"}', "[" * 100_000, ""):
        assert free_text(bare) == bare


def test_calls_are_restored_by_name_in_the_whole_and_in_a_stream() -> None:
    wrapped = ToolCall(id="a", name="patch", arguments='{"input": "free"}')
    custom = ToolCall(id="c", name="patch", arguments="already", is_custom=True)
    other = ToolCall(id="b", name="f", arguments='{"input": "x"}')
    reply = Reply(id="r", model="m", blocks=(Text("Hi"), wrapped, other, custom), stop="tool_calls")
    restored = restore(reply, NAMES)
    assert restored.blocks == (
        Text("Hi"),
        ToolCall(id="a", name="patch", arguments="free", is_custom=True),
        other,
        custom,
    )
    assert fold(CustomCalls(NAMES).restore(list(unfold(reply)))) == restored


def test_the_text_of_a_custom_call_is_told_when_it_is_whole() -> None:
    calls = CustomCalls(NAMES)
    begun = ToolCall(id="a", name="patch", arguments="")
    told = [
        calls.restore([event])
        for event in (
            Started("r", "m"),
            BlockStarted(0, begun),
            Delta(0, '{"inp'),
            Delta(0, 'ut":"é"}'),
            BlockStopped(0),
            Finished("tool_calls"),
        )
    ]
    assert told == [
        [Started("r", "m")],
        [BlockStarted(0, ToolCall(id="a", name="patch", arguments="", is_custom=True))],
        [],
        [],
        [Delta(0, "é"), BlockStopped(0)],
        [Finished("tool_calls")],
    ]
