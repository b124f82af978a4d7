"""Custom tools where all tools take JSON: declared as functions, called as functions, and mapped back."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.wire.conversation import Conversation, ForeignTool, Reply, Text, Tool, ToolCall
from hypereal.wire.custom_tools import CustomCalls, as_function, custom_names, unwrap, wrap
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Finished, Started, fold, unfold

GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
PATCH = Tool(name="patch", description="Edits files", is_custom=True, grammar=GRAMMAR)
TEXTS = st.text()


def reply_of(*blocks: Text | ToolCall) -> Reply:
    return Reply(id="a", model="m", blocks=blocks, stop="tool_calls")


def test_only_custom_tools_are_named() -> None:
    tools = (PATCH, Tool(name="f"), ForeignTool(origin="gemini", kind="x", raw=b"{}"))
    assert custom_names(Conversation(tools=tools)) == {"patch"}


def test_a_custom_tool_becomes_a_function_of_one_string() -> None:
    function = as_function(PATCH)
    assert not function.is_custom
    assert function.description == "Edits files\n\nThe input must match this lark grammar:\nstart: /x/"
    assert function.schema["required"] == ["input"]


@pytest.mark.parametrize("grammar", [None, {"type": "text"}, "odd"])
def test_a_tool_without_a_grammar_says_nothing_of_one(grammar: object) -> None:
    assert as_function(Tool(name="t", description="d", is_custom=True, grammar=grammar)).description == "d"


@settings(deadline=None)
@given(TEXTS)
def test_what_is_wrapped_is_unwrapped(text: str) -> None:
    assert unwrap(wrap(text)) == text


@pytest.mark.parametrize("arguments", ["", "{}", '{"input": 5}', "*** Begin", "[" * 50_000])
def test_arguments_of_another_shape_are_the_input(arguments: str) -> None:
    assert unwrap(arguments) == arguments


@settings(deadline=None)
@given(TEXTS)
def test_calls_of_custom_tools_are_mapped_back(text: str) -> None:
    call = ToolCall(id="c", name="patch", arguments=wrap(text))
    others = (Text("x"), ToolCall(id="d", name="f", arguments=wrap(text)))
    custom = msgspec.structs.replace(call, arguments=text, is_custom=True)
    names = frozenset({"patch"})
    assert CustomCalls(names).restore(reply_of(call, *others)) == reply_of(custom, *others)
    calls = CustomCalls(names)
    events = [told for event in unfold(reply_of(call, *others)) for told in calls.arrange(event)]
    assert fold(events) == reply_of(custom, *others)


def test_the_input_is_told_in_one_piece() -> None:
    calls = CustomCalls(frozenset({"patch"}))
    call = ToolCall(id="c", name="patch", arguments="")
    events: list[Event] = [Started("a", "m"), BlockStarted(0, call), Delta(0, '{"inp'), Delta(0, 'ut":"x"}')]
    events += [BlockStopped(0), Finished("tool_calls")]
    assert [told for event in events for told in calls.arrange(event)] == [
        Started("a", "m"),
        BlockStarted(0, msgspec.structs.replace(call, is_custom=True)),
        Delta(0, "x"),
        BlockStopped(0),
        Finished("tool_calls"),
    ]
