"""Streams of Chat Completions as upstreams write them, and as clients are shown them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hypereal.kit.money import ZERO
from hypereal.kit.sse import read_data
from hypereal.wire import CODECS
from hypereal.wire.base import Usage
from hypereal.wire.conversation import Media, Opaque, Reply, Text, Thinking, ToolCall
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Failed, Finished, Started, fold
from hypereal.wire.opaque import seal
from tests.wire.openai_chat.asking import ENVELOPE
from tests.wire.streams import CORPUS, DONE_EVENT, Stream, compact, event
from tests.wire.translate.meaning import read_all

CHAT = CODECS["openai_chat"]


def delta(finish: Any = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return event(compact({"id": "c1", "model": "m", "choices": [choice]}))


def call(arguments: Any = "", **fields: Any) -> dict[str, Any]:
    name = fields.pop("name", None)
    function = {"arguments": arguments} | ({"name": name} if name is not None else {})
    return {"function": function, **fields}


def told(*chunks: bytes) -> list[Event]:
    return read_all(CHAT.reader(), b"".join(chunks))


def folded(*chunks: bytes) -> Reply:
    reply = fold(told(*chunks, DONE_EVENT))
    assert isinstance(reply, Reply), reply
    return reply


@pytest.mark.parametrize("stream", CORPUS, ids=lambda stream: stream.name)
def test_the_streams_of_providers_are_read(stream: Stream) -> None:
    reply = fold(read_all(CHAT.reader(), stream.payload))
    assert isinstance(reply, Reply)
    (block,) = reply.blocks
    assert isinstance(block, Text)
    assert len(block.text.encode()) == stream.text_bytes
    assert reply.usage == stream.usage


def test_each_kind_of_delta_begins_a_block_and_ends_the_one_before() -> None:
    assert told(
        delta(role="assistant", content=""),
        delta(reasoning_content="Hm"),
        delta(content="Yes"),
        delta(tool_calls=[call("{}", index=0, id="a", name="f")]),
        delta("tool_calls"),
        DONE_EVENT,
    ) == [
        Started("c1", "m"),
        BlockStarted(0, Thinking()),
        Delta(0, "Hm"),
        BlockStopped(0, Opaque("openai_chat", "reasoning_content")),
        BlockStarted(1, Text("")),
        Delta(1, "Yes"),
        BlockStopped(1),
        BlockStarted(2, ToolCall(id="a", name="f", arguments="")),
        Delta(2, "{}"),
        BlockStopped(2),
        Finished("tool_calls"),
    ]


CALLS = {
    "as the reference has it": [
        [call(index=0, id="a", name="f")],
        [call('{"x":', index=0)],
        [call("1}", index=0)],
        [call(index=1, id="b", name="g")],
        [call("{}", index=1)],
    ],
    "interleaved": [
        [call('{"x"', index=0, id="a", name="f"), call("", index=1, id="b", name="g")],
        [call("{}", index=1)],
        [call(":1}", index=0)],
    ],
    "id and name in every delta": [
        [call('{"x":', index=0, id="a", name="f")],
        [call("1}", index=0, id="a", name="f")],
        [call("{}", index=1, id="b", name="g")],
    ],
    "without numbers": [[call('{"x":1}', id="a", name="f")], [call("{}", id="b", name="g")]],
    "without numbers, in pieces": [
        [call('{"x":', id="a", name="f")],
        [call("1}")],
        [call("{", id="b", name="g")],
        [call("}", id="b")],
    ],
    "all of the same number": [[call('{"x":1}', index=0, id="a", name="f")], [call("{}", index=0, id="b", name="g")]],
    "blanks after whole arguments": [
        [call('{"x":1}', index=0, id="a", name="f")],
        [call("{}", index=1, id="b", name="g")],
        [call("  ", index=0), {"index": 0}],
    ],
    "arguments before the name": [
        [call('{"x"', index=0, id="a")],
        [call(":1}", index=0, name="f"), call({}, index=1, id="b", name="g")],
    ],
    "null arguments": [
        [call('{"x":1}', index=0, id="a", name="f")],
        [call(None, index=1, id="b", name="g")],
        [call("{}", index=1)],
    ],
}


@pytest.mark.parametrize("shape", CALLS)
def test_parallel_calls_however_they_come(shape: str) -> None:
    reply = folded(*(delta(tool_calls=calls) for calls in CALLS[shape]), delta("stop"))
    assert reply.blocks == (
        ToolCall(id="a", name="f", arguments='{"x":1}'),
        ToolCall(id="b", name="g", arguments="{}"),
    )
    assert reply.stop == "tool_calls"


def test_calls_without_ids_are_named_and_those_without_a_name_are_none() -> None:
    reply = folded(
        delta(tool_calls=[call("{}", index=0, name="f")]),
        delta(tool_calls=[call("{}", index=1)]),
        delta(tool_calls=[call("", index=2, name="g")]),
    )
    assert [block.id for block in reply.blocks if isinstance(block, ToolCall)] == ["call_c1_0", "call_c1_2"]


def test_a_call_in_the_old_spelling() -> None:
    reply = folded(
        delta(function_call={"name": "f", "arguments": '{"x"'}),
        delta(function_call={"arguments": ":1}"}),
        delta("function_call"),
    )
    assert reply.blocks == (ToolCall(id="call_c1_0", name="f", arguments='{"x":1}'),)


def test_a_custom_call_is_open_until_the_end() -> None:
    custom = [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "g", "input": "{}"}}]
    reply = folded(
        delta(tool_calls=custom), delta(content="Text"), delta(tool_calls=[{"index": 0, "custom": {"input": "!"}}])
    )
    assert reply.blocks == (ToolCall(id="a", name="g", arguments="{}!", is_custom=True), Text("Text"))


def test_a_calls_token_is_kept() -> None:
    extra = {"google": {"thought_signature": "c2ln"}}
    reply = folded(delta(tool_calls=[call("{}", index=0, id="a", name="f", extra_content=extra)]))
    (block,) = reply.blocks
    assert isinstance(block, ToolCall)
    assert block.opaque == Opaque("openai_chat", '{"google":{"thought_signature":"c2ln"}}')


REASONING: dict[str, list[dict[str, Any]]] = {
    "a field only": [{"reasoning": "A"}, {"reasoning": "B"}],
    "text and signature in details": [
        {"reasoning_details": [{"type": "reasoning.text", "text": "A", "format": "f", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "B", "signature": "", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.text", "signature": "sig", "index": 0}]},
    ],
    "both": [
        {"reasoning": "A", "reasoning_details": [{"type": "reasoning.text", "text": "A", "index": 0}]},
        {"reasoning": "B", "reasoning_details": [{"type": "reasoning.text", "text": "B", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.text", "signature": "sig", "index": 0}]},
        {"reasoning": "C", "reasoning_details": [{"type": "reasoning.summary", "summary": "C", "index": 1}]},
        {"reasoning": "D", "reasoning_details": [{"type": "reasoning.summary", "summary": "D", "index": 2}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "index": 0}]},
    ],
    "encrypted only": [{"reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAA"}, {"type": "?"}]}],
}
AS_WHOLE: dict[str, dict[str, Any]] = {
    "a field only": {"reasoning": "AB"},
    "text and signature in details": {
        "reasoning_details": [{"type": "reasoning.text", "text": "AB", "signature": "sig", "format": "f", "index": 0}]
    },
    "both": {
        "reasoning": "ABCD",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "AB", "signature": "sig", "index": 0},
            {"type": "reasoning.summary", "summary": "C", "index": 1},
            {"type": "reasoning.summary", "summary": "D", "index": 2},
            {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "index": 0},
        ],
    },
    "encrypted only": {"reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAA"}]},
}


@pytest.mark.parametrize("shape", REASONING)
def test_reasoning_in_a_stream_is_that_of_the_whole_answer(shape: str) -> None:
    streamed = folded(*(delta(**fields) for fields in REASONING[shape]), delta(content="x"), delta("stop"))
    message = {"content": "x", **AS_WHOLE[shape]}
    whole = {"id": "c1", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}]}
    assert streamed == CHAT.read_reply(json.dumps(whole).encode())


def test_thinking_after_text_is_a_block_of_its_own() -> None:
    reply = folded(delta(content="A"), delta(reasoning="B"), delta(content=[{"thinking": "C"}, {"text": "D"}]))
    assert [type(block).__name__ for block in reply.blocks] == ["Text", "Thinking", "Text"]


def test_images_and_refusals() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://a.test/i"}}
    reply = folded(delta(content="See"), delta(images=[image, 5]), delta(refusal="No."), delta("stop"))
    assert reply.blocks == (Text("See"), Media(kind="image", url="https://a.test/i"), Text("No."))
    assert reply.stop == "refusal"


def test_a_second_answer_is_not_mixed_into_the_first() -> None:
    other = event(compact({"id": "c1", "choices": [{"index": 1, "delta": {"content": "Other"}}]}))
    assert folded(delta(content="One"), other, delta("stop")).blocks == (Text("One"),)


def test_an_upstream_that_forgets_its_last_event_has_finished_when_it_said_why() -> None:
    assert told(delta(content="x"), delta("stop"))[-1] == Finished("end")
    assert isinstance(fold(told(delta(content="x"))), Failed)
    assert told(DONE_EVENT) == [Started("", ""), Finished("end")]


@pytest.mark.parametrize(
    ("chunk", "said"),
    [
        (event(b'{"error":{"message":"overloaded"}}'), "overloaded"),
        (event(b'{"choices":[{"finish_reason":"error","error":{"message":"broke"}}]}'), "broke"),
        (event(b'{"choices":[{"finish_reason":"error"}]}'), "the upstream gave up"),
        (event(b'{"choices":5}'), "malformed event"),
        (event(b"<html>"), "malformed event"),
    ],
)
def test_an_upstream_that_gives_up_says_so_once(chunk: bytes, said: str) -> None:
    *_, last = told(delta(content="x"), chunk, delta(content="y"), DONE_EVENT)
    assert isinstance(last, Failed)
    assert last.message.startswith(said)


def test_comments_say_nothing() -> None:
    assert CHAT.reader().read(b": ping\n\n") == []


def shown(*events: Event) -> list[dict[str, Any]]:
    """The chunks of a client's stream, without its beginning and its end."""
    writer = CHAT.writer(ENVELOPE)
    begun = writer.write(Started("c1", 'null, "model": 5%'))
    written = b"".join(map(writer.write, events))
    chunks = [json.loads(data) for data in read_data(begun + written)]
    assert all(chunk["model"] == 'null, "model": 5%' for chunk in chunks)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    deltas: list[dict[str, Any]] = [chunk["choices"][0]["delta"] for chunk in chunks[1:]]
    return deltas


def test_text_is_shown_as_it_comes() -> None:
    assert shown(BlockStarted(0, Text("")), Delta(0, "He\n\n"), Delta(0, 'l"lo'), BlockStopped(0)) == [
        {"content": "He\n\n"},
        {"content": 'l"lo'},
    ]


def test_a_token_is_shown_with_the_whole_thought() -> None:
    opaque = Opaque("anthropic", "EqQB")
    assert shown(
        BlockStarted(0, Thinking()),
        Delta(0, "Let me"),
        Delta(0, " see"),
        BlockStopped(0, opaque),
        BlockStarted(1, Thinking()),
        BlockStopped(1),
    ) == [
        {"reasoning_content": "Let me"},
        {"reasoning_content": " see"},
        {
            "reasoning_details": [
                {
                    "type": "reasoning.text",
                    "text": "Let me see",
                    "signature": seal(opaque, "openai_chat"),
                    "index": 0,
                }
            ]
        },
    ]


def test_calls_are_numbered_and_may_overlap() -> None:
    assert shown(
        BlockStarted(0, ToolCall(id="a", name="f", arguments="")),
        BlockStarted(1, ToolCall(id="b", name="g", arguments="", is_custom=True)),
        Delta(0, "{"),
        Delta(1, "free"),
        Delta(0, "}"),
        BlockStopped(1),
        BlockStopped(0, Opaque("gemini", "c2ln")),
    ) == [
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "id": "b", "type": "custom", "custom": {"name": "g", "input": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]},
        {"tool_calls": [{"index": 1, "custom": {"input": "free"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        {"tool_calls": [{"index": 0, "extra_content": {"google": {"thought_signature": "c2ln"}}}]},
    ]


def test_overlapping_texts_are_put_in_order_and_files_shown_if_chat_can() -> None:
    image = Media(kind="image", url="https://a.test/i")
    assert shown(
        BlockStarted(0, Text("")),
        BlockStarted(1, Text("")),
        Delta(1, "two"),
        Delta(0, "one "),
        BlockStopped(1),
        BlockStopped(0),
        BlockStarted(2, image),
        BlockStopped(2),
        BlockStarted(3, Media(kind="audio", data="AAAA")),
        BlockStopped(3),
    ) == [
        {"content": "one "},
        {"content": "two"},
        {"images": [{"type": "image_url", "image_url": {"url": "https://a.test/i"}}]},
    ]


def test_the_end_is_said_once_with_the_definitive_usage() -> None:
    writer = CHAT.writer(ENVELOPE)
    writer.write(Started("c1", "m"))
    assert writer.write(Finished("length", usage=Usage(input=1, output=1))) == b""
    *chunks, done = read_data(writer.end(Usage(input=5, output=7), ZERO))
    finish, usage = map(json.loads, chunks)
    assert done == b"[DONE]"
    assert finish["choices"] == [{"index": 0, "delta": {}, "finish_reason": "length"}]
    assert usage["choices"] == []
    assert (usage["usage"]["prompt_tokens"], usage["usage"]["completion_tokens"]) == (5, 7)
