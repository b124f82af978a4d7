"""Answers, whole and as streams: the same whichever way they come and go."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.kit.money import Micro
from hypereal.kit.sse import split_events
from hypereal.wire.anthropic import CODEC
from hypereal.wire.anthropic.thinking import read_redacted, with_call_tokens
from hypereal.wire.anthropic.usage import render_usage
from hypereal.wire.base import Garbage, Usage
from hypereal.wire.conversation import Block, Foreign, Media, Opaque, Reply, Text, Thinking, ToolCall
from hypereal.wire.events import (
    BlockStarted,
    BlockStopped,
    Delta,
    Event,
    Failed,
    Finished,
    Started,
    fold,
    unfold,
)
from tests.wire.anthropic.asking import STOP, accepted, block, body_of, compact, end, event, payload, start, text_block
from tests.wire.anthropic.strategies import REPLIES
from tests.wire.test_parsing import nested

ENVELOPE = accepted(body_of())


def written(events: Iterable[Event], usage: Usage | None = None) -> bytes:
    writer = CODEC.writer(ENVELOPE)
    return b"".join([*map(writer.write, events), writer.end(usage or Usage(), Micro(0))])


def read(stream: bytes) -> list[Event]:
    reader = CODEC.reader()
    events, rest = split_events(stream)
    assert not rest
    return [told for one in events for told in reader.read(one)] + reader.end()


def known_again(reply: Reply) -> Reply:
    """A reply as a client's next request tells it: the tokens of calls put back, those of others unsealed."""
    blocks: list[Block] = []
    for one in reply.blocks:
        if isinstance(one, Thinking) and one.opaque is not None:
            redacted = read_redacted(one.opaque.data).opaque
            sealed = redacted if redacted is not None and redacted.origin != "anthropic" else one.opaque
            opaque = sealed if sealed.origin else None
            blocks.append(Thinking(text=one.text, opaque=opaque))
        else:
            blocks.append(one)
    return msgspec.structs.replace(reply, blocks=with_call_tokens(blocks))


def data_of(stream: bytes) -> Iterator[dict[str, Any]]:
    for line in stream.splitlines():
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


@settings(deadline=None, max_examples=60)
@given(REPLIES)
def test_a_reply_that_is_written_and_read_is_the_same(reply: Reply) -> None:
    assert reply.usage is not None
    assert known_again(CODEC.read_reply(CODEC.write_reply(reply, ENVELOPE, reply.usage))) == reply


@settings(deadline=None, max_examples=60)
@given(REPLIES)
def test_a_stream_that_is_written_and_read_folds_to_the_same(reply: Reply) -> None:
    again = fold(read(written(unfold(reply), reply.usage)))
    assert isinstance(again, Reply)
    assert known_again(again) == reply


@settings(deadline=None, max_examples=60)
@given(REPLIES, st.randoms(use_true_random=False))
def test_overlapping_blocks_are_told_one_after_another(reply: Reply, random: Any) -> None:
    lives: dict[int, list[Event]] = {}
    first, *told, last = unfold(reply)
    for one in told:
        assert isinstance(one, BlockStarted | Delta | BlockStopped)
        lives.setdefault(one.index, []).append(one)
    mixed: list[Event] = [life.pop(0) for life in lives.values()]
    while lives := {index: life for index, life in lives.items() if life}:
        mixed.append(lives[random.choice(list(lives))].pop(0))
    stream = written([first, *mixed, last], reply.usage)
    depth = 0
    for data in data_of(stream):
        depth += {"content_block_start": 1, "content_block_stop": -1}.get(data["type"], 0)
        assert depth in (0, 1)
    again = fold(read(stream))
    assert isinstance(again, Reply)
    assert known_again(again) == reply


WHOLE_BLOCKS: list[dict[str, Any]] = [
    {"type": "text", "text": "Hello", "citations": None},
    {"type": "thinking", "thinking": "hmm", "signature": "c2ln"},
    {"type": "thinking", "thinking": "", "signature": "c2ln"},
    {"type": "thinking", "thinking": "unsigned", "signature": ""},
    {"type": "redacted_thinking", "data": "ZGF0YQ=="},
    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, 2]}},
    {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"url": "y"}]},
    {"type": "compaction", "content": "in short"},
]


def _streamed(index: int, whole: dict[str, Any]) -> list[dict[str, Any]]:
    """A block of a whole answer as Anthropic streams it."""
    kind = whole["type"]
    if kind == "text":
        halves = whole["text"][:2], whole["text"][2:]
        return block(index, {**whole, "text": ""}, *({"type": "text_delta", "text": half} for half in halves))
    if kind == "thinking":
        thought = {"type": "thinking_delta", "thinking": whole["thinking"]}
        signed = {"type": "signature_delta", "signature": whole["signature"]}
        return block(index, {**whole, "thinking": "", "signature": ""}, thought, signed)
    if kind in ("tool_use", "server_tool_use"):
        given = compact(whole["input"]).decode() if whole["input"] else ""
        parts = ({"type": "input_json_delta", "partial_json": part} for part in ("", given[:4], given[4:]))
        return block(index, {**whole, "input": {}}, *parts)
    if kind == "compaction":
        return block(index, {**whole, "content": None}, {"type": "compaction_delta", "content": whole["content"]})
    return block(index, whole)


def test_a_stream_folds_to_the_answer_that_it_would_have_been_whole() -> None:
    usage = {"input_tokens": 20, "output_tokens": 13, "cache_read_input_tokens": 2}
    whole = {"id": "msg_1", "type": "message", "model": "claude-up", "content": WHOLE_BLOCKS}
    reply = CODEC.read_reply(compact({**whole, "stop_reason": "pause_turn", "usage": usage}))
    streamed = [one for index, shown in enumerate(WHOLE_BLOCKS) for one in _streamed(index, shown)]
    stream = payload(
        start({**usage, "output_tokens": 1}),
        {"type": "ping"},
        *streamed,
        end({"output_tokens": 13}, "pause_turn"),
        STOP,
    )
    assert fold(read(stream)) == reply
    assert fold(read(stream.replace(b"\n", b"\r\n"))) == reply
    assert reply.usage == Usage(input=20, cache_read=2, output=13)
    assert reply.blocks[3] == Thinking(text="unsigned")
    assert reply.blocks[7] == Foreign(origin="anthropic", kind="server_tool_use", raw=compact(WHOLE_BLOCKS[7]))


def test_a_foreign_block_is_byte_identical() -> None:
    raw = b'{ "type":"brand_new", "x":1.50 ,"y":"\\u00e9"}'
    body = b'{"content":[%b]}' % raw
    blocks = CODEC.read_reply(body).blocks
    assert blocks == (Foreign(origin="anthropic", kind="brand_new", raw=raw),)
    assert raw in CODEC.write_reply(CODEC.read_reply(body), ENVELOPE, Usage())
    assert raw in written([Started("a", "b"), BlockStarted(0, blocks[0]), BlockStopped(0), Finished("end")])


def test_what_came_whole_with_the_start_of_a_block_is_told() -> None:
    stream = payload(
        start(),
        *block(0, {"type": "text", "text": "Hi"}),
        *block(1, {"type": "thinking", "thinking": "hm", "signature": "c2ln"}),
        *block(2, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}),
        *block(3, {"type": "tool_use"}, {"type": "input_json_delta", "partial_json": "{}"}),
        *block(4, {"type": "tool_use", "input": None}),
        *block(5, {"type": "redacted_thinking"}),
        end(),
        STOP,
    )
    reply = fold(read(stream))
    assert isinstance(reply, Reply)
    assert reply.blocks == (
        Text("Hi"),
        Thinking(text="hm", opaque=Opaque("anthropic", "c2ln")),
        ToolCall(id="t", name="f", arguments='{"a":1}'),
        ToolCall(id="", name="", arguments="{}"),
        ToolCall(id="", name="", arguments="{}"),
        Thinking(opaque=Opaque("anthropic", "", "redacted_thinking")),
    )


def test_a_stream_without_its_last_event_is_whole_once_it_said_why_it_ended() -> None:
    unclosed = text_block(0, "Hi")[:-1]
    reply = fold(read(payload(start(), *unclosed, end(reason="max_tokens"))))
    assert isinstance(reply, Reply)
    assert (reply.blocks, reply.stop) == ((Text("Hi"),), "length")
    assert fold(read(payload(start(), *unclosed))) == Failed("the stream ended before the answer did")


def test_nothing_is_told_after_the_end() -> None:
    assert read(payload(STOP, STOP, end())) == [Finished("end")]
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert read(payload(error, STOP)) == [Failed("Overloaded")]


def test_events_that_say_nothing_say_nothing() -> None:
    odd: list[dict[str, Any]] = [
        {"type": "brand_new"},
        {"type": "ping"},
        {"type": "content_block_stop", "index": 7},
        {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 7},
    ]
    assert read(payload(*odd)) == []
    assert read(b": comment\n\n") == []


def test_a_message_start_may_be_bare() -> None:
    assert read(payload({"type": "message_start"})) == [Started("", "")]


@pytest.mark.parametrize(
    "stream",
    [
        b"data: <html>\n\n",
        b'data: {"no": "type"}\n\n',
        b'data: {"type": "error", "error": %b}\n\n' % nested(100_000),
        event({"type": "content_block_start", "index": 0}),
        event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": 5}}),
        payload(*text_block(0, "a")[:-1], *text_block(0, "b")),
        payload(*block(0, {"type": "server_tool_use"}, {"type": "x", "partial_json": "{"})[:-1], *text_block(0, "b")),
    ],
)
def test_events_of_another_shape_are_garbage(stream: bytes) -> None:
    with pytest.raises(Garbage):
        read(stream)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"content":[5]}',
        b'{"content":[{"type":"text","text":5}]}',
        b'{"content":%b}' % nested(10**5),
    ],
)
def test_answers_of_another_shape_are_garbage(body: bytes) -> None:
    with pytest.raises(Garbage):
        CODEC.read_reply(body)


def test_reasons_that_are_not_known_are_an_end() -> None:
    for reason, stop in {"brand_new": "end", None: "end", "model_context_window_exceeded": "length"}.items():
        assert CODEC.read_reply(compact({"content": [], "stop_reason": reason})).stop == stop


def shown(*blocks: Any, **fields: Any) -> dict[str, Any]:
    reply = Reply(**{"id": "chatcmpl-1", "model": "up", "blocks": blocks, "stop": "end", **fields})
    answer: dict[str, Any] = json.loads(CODEC.write_reply(reply, ENVELOPE, Usage(input=3, output=4)))
    return answer


def test_a_reply_has_the_shape_that_clients_read() -> None:
    assert shown(Text("Hi"), ToolCall(id="call/1", name="f", arguments="not json"), stop="tool_calls") == {
        "id": "msg_chatcmpl-1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [
            {"type": "text", "text": "Hi", "citations": None},
            {
                "type": "tool_use",
                "id": "call_1_e80fc002",
                "name": "f",
                "input": {"input": "not json"},
                "caller": {"type": "direct"},
            },
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": render_usage(Usage(input=3, output=4)),
    }


def test_a_reply_without_an_id_is_named_after_the_request() -> None:
    envelope = msgspec.structs.replace(ENVELOPE, request_id="req-9", model=None)
    reply = Reply(id="", model="up", blocks=(), stop="end")
    answer = json.loads(CODEC.write_reply(reply, envelope, Usage()))
    assert (answer["id"], answer["model"]) == ("msg_req-9", "up")


NOT_TOLD = (
    Media(kind="image", data="AAAA", media_type="image/png"),
    Foreign(origin="gemini", kind="executableCode", raw=b"{}"),
    Text(""),
    Thinking(),
)


def test_what_this_format_has_no_place_for_is_left_out() -> None:
    assert shown(*NOT_TOLD)["content"] == []
    reply = Reply(id="1", model="up", blocks=NOT_TOLD, stop="end")
    kinds = [data["type"] for data in data_of(written(unfold(reply)))]
    assert kinds == ["message_start", "message_delta", "message_stop"]


def test_reasoning_that_nobody_signed_is_known_again_and_not_taken_for_anthropics() -> None:
    (block_shown,) = shown(Thinking(text="hm"))["content"]
    assert block_shown["signature"]
    request = body_of(messages=[{"role": "assistant", "content": [block_shown]}])
    assert CODEC.read_request(accepted(request).fields).messages[0].blocks == (Thinking(text="hm"),)


def test_the_token_of_a_call_comes_back_to_its_call() -> None:
    call = ToolCall(id="call:1", name="f", arguments="{}", opaque=Opaque("gemini", "sig"))
    whole = shown(call)["content"]
    streamed = [
        data["content_block"]
        for data in data_of(written(unfold(Reply(id="1", model="m", blocks=(call,), stop="tool_calls"))))
        if data["type"] == "content_block_start"
    ]
    for content in (whole, streamed):
        request = body_of(messages=[{"role": "assistant", "content": content}])
        (again,) = CODEC.read_request(accepted(request).fields).messages[0].blocks
        assert isinstance(again, ToolCall)
        assert (again.opaque, again.arguments) == (call.opaque, "{}")
        assert re.fullmatch("call_1_[0-9a-f]{8}", again.id)


def test_a_stream_has_the_grammar_that_clients_read() -> None:
    reply = Reply(id="1", model="up", blocks=(Text("Hé\n"),), stop="length", stop_sequence="x")
    stream = written(unfold(reply), Usage(input=3, cache_read=1, output=4))
    names = re.findall(rb"event: (\w+)\n", stream)
    told = list(data_of(stream))
    assert [name.decode() for name in names] == [data["type"] for data in told]
    assert told[1:] == [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "", "citations": None}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hé\n"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "max_tokens", "stop_sequence": "x"},
            "usage": render_usage(Usage(input=3, cache_read=1, output=4)),
        },
        {"type": "message_stop"},
    ]


def test_the_start_tells_the_input_or_what_it_likely_is() -> None:
    first = next(data_of(written([Started("1", "up", Usage(input=9)), Finished("end")])))
    assert first["message"]["usage"]["input_tokens"] == 9
    first = next(data_of(written([Started("1", "up"), Finished("end")])))
    assert first["message"]["usage"]["input_tokens"] > 0


def test_a_failure_is_left_to_who_ends_the_stream() -> None:
    assert CODEC.writer(ENVELOPE).write(Failed("Overloaded")) == b""


def test_many_deltas_of_one_block_are_told_one_by_one_and_empty_ones_not() -> None:
    writer = CODEC.writer(ENVELOPE)
    told = [writer.write(one) for one in (BlockStarted(0, Text("")), Delta(0, ""), Delta(0, "a"), Delta(0, "b"))]
    assert [stream.count(b"content_block_delta\n") for stream in told] == [0, 0, 1, 1]
    assert writer.write(Delta(0, "")) == b""
