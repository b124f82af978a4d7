"""Answers in Google's format, in and out, whole and as they come."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.money import Micro
from hypereal.kit.sse import split_events
from hypereal.wire.base import Answer, Garbage, Usage
from hypereal.wire.conversation import (
    Conversation,
    Foreign,
    Media,
    Message,
    Opaque,
    Reply,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Failed, Finished, Started, fold, unfold
from hypereal.wire.gemini import CODEC, GeminiStream
from hypereal.wire.gemini.signatures import UNSIGNED
from hypereal.wire.opaque import SEAL, seal
from tests.wire.gemini.asking import AIM, MODEL, STREAM, WITH_EVENTS, accepted, body_of, chunk, compact, event
from tests.wire.gemini.canonical import PATIENT, REPLIES, conversations
from tests.wire.test_parsing import JSON_VALUES, nested

EVENTS = accepted(body_of(), WITH_EVENTS, STREAM)
ARRAY = accepted(body_of(), endpoint=STREAM)
WHOLE = accepted(body_of())
NO_USAGE = Usage()


def read_stream(events: Iterable[bytes]) -> Reply | Failed:
    reader = CODEC.reader()
    told = [one for sse in events for one in reader.read(sse)]
    return fold([*told, *reader.end()])


def write_stream(events: Iterable[Event], usage: Usage = NO_USAGE) -> list[bytes]:
    """The events that a client gets, one by one."""
    writer = CODEC.writer(EVENTS)
    payload = b"".join(map(writer.write, events)) + writer.end(usage, Micro(0))
    whole, rest = split_events(payload)
    assert not rest
    return whole


def chunks_of(events: Iterable[Event], usage: Usage = NO_USAGE) -> list[Any]:
    return [json.loads(one.removeprefix(b"data: ")) for one in write_stream(events, usage)]


def parts_of(*events: Event) -> list[Any]:
    chunks = chunks_of([Started("r-1", "m"), *events, Finished("end")])
    return [part for one in chunks[:-1] for part in one["candidates"][0]["content"]["parts"]]


def block(
    content: Text | Thinking | ToolCall | Media | Foreign, *deltas: str, opaque: Opaque | None = None
) -> list[Event]:
    return [BlockStarted(0, content), *(Delta(0, delta) for delta in deltas), BlockStopped(0, opaque)]


class TestReading:
    def test_a_stream_as_google_writes_it(self) -> None:
        call = {"functionCall": {"name": "f", "args": {"a": 1}}}
        stream = [
            chunk({"text": "Let me ", "thought": True}, usageMetadata={"trafficType": "ON_DEMAND"}),
            chunk({"text": "see", "thought": True}),
            chunk({"text": "I "}),
            chunk({"text": "look"}),
            chunk({**call, "thoughtSignature": "s1"}, call),
            chunk({"text": ""}, finish="STOP", usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": 7}),
        ]
        assert read_stream(map(event, stream)) == Reply(
            id="r-1",
            model=MODEL,
            blocks=(
                Thinking(text="Let me see"),
                Text("I look"),
                ToolCall(id="call_r-1_0", name="f", arguments='{"a":1}', opaque=Opaque("gemini", "s1")),
                ToolCall(id="call_r-1_1", name="f", arguments='{"a":1}'),
            ),
            stop="tool_calls",
            usage=Usage(input=5, output=7),
        )

    def test_events_come_as_soon_as_they_can(self) -> None:
        reader = CODEC.reader()
        assert reader.read(event(chunk({"text": "a"}))) == [
            Started("r-1", MODEL),
            BlockStarted(0, Text("")),
            Delta(0, "a"),
        ]
        assert reader.read(event(chunk({"text": "b"}))) == [Delta(0, "b")]
        assert reader.read(b": hello\n\n") == reader.read(b"data: \n\n") == []
        signed = chunk({"text": "c", "thoughtSignature": "s"}, finish="STOP")
        assert reader.read(event(signed)) == [
            Delta(0, "c"),
            BlockStopped(0),
            BlockStarted(1, Thinking()),
            BlockStopped(1, Opaque("gemini", "s")),
        ]
        assert reader.end() == [Finished("end")]

    @pytest.mark.parametrize(
        ("parts", "blocks"),
        [
            (
                [{"text": "a", "thought": True}, {"text": "", "thought": True, "thoughtSignature": "s"}],
                (Thinking(text="a", opaque=Opaque("gemini", "s")),),
            ),
            ([{"text": "", "thought": True, "thoughtSignature": "s"}], (Thinking(opaque=Opaque("gemini", "s")),)),
            (
                [{"text": "a", "thought": True}, {"text": "", "thoughtSignature": "s"}],
                (Thinking(text="a"), Thinking(opaque=Opaque("gemini", "s"))),
            ),
            (
                [{"inlineData": {"mimeType": "image/png", "data": "A"}, "thoughtSignature": "s"}],
                (Media(kind="image", media_type="image/png", data="A"), Thinking(opaque=Opaque("gemini", "s"))),
            ),
            ([{"fileData": {"fileUri": "https://x/a.wav"}}], (Media(kind="audio", url="https://x/a.wav"),)),
            ([{"inlineData": {}}, {"fileData": {}}], (Media(kind="file", data=""), Media(kind="file", url=""))),
            (
                [{"thoughtSignature": "s"}, {}, {"text": None, "functionCall": None}],
                (Thinking(opaque=Opaque("gemini", "s")),),
            ),
            (
                [{"text": "a"}, {"codeExecutionResult": {"output": "1"}, "thoughtSignature": "s"}, {"text": "b"}],
                (
                    Text("a"),
                    Foreign(
                        origin="gemini",
                        kind="codeExecutionResult",
                        raw=b'{"codeExecutionResult":{"output":"1"},"thoughtSignature":"s"}',
                    ),
                    Text("b"),
                ),
            ),
            ([{"functionCall": {"id": "own"}}], (ToolCall(id="own", name="", arguments="{}"),)),
            (
                [{"functionCall": {"name": "f"}, "thoughtSignature": UNSIGNED}],
                (ToolCall(id="call_r-1_0", name="f", arguments="{}"),),
            ),
        ],
    )
    def test_parts(self, parts: list[Any], blocks: tuple[Any, ...]) -> None:
        reply = CODEC.read_reply(compact(chunk(*parts, finish="MAX_TOKENS")))
        assert reply == Reply(id="r-1", model=MODEL, blocks=blocks, stop="length")
        one_by_one = [*(event(chunk(part)) for part in parts), event(chunk(finish="MAX_TOKENS"))]
        assert read_stream(one_by_one) == reply

    def test_calls_without_an_answers_id_are_numbered(self) -> None:
        body = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}]}
        assert CODEC.read_reply(compact(body)).blocks == (ToolCall(id="call_0", name="f", arguments="{}"),)

    def test_of_several_candidates_the_first_is_the_answer(self) -> None:
        other = {"index": 1, "content": {"parts": [{"text": "no"}, {"x": 1}]}, "finishReason": "MAX_TOKENS"}
        first = {"index": 0, "content": {"parts": [{"text": "yes"}]}, "finishReason": "STOP"}
        reply = CODEC.read_reply(compact({"candidates": [other, first]}))
        assert (reply.blocks, reply.stop) == ((Text("yes"),), "end")

    @pytest.mark.parametrize(
        ("body", "stop"),
        [
            ({"promptFeedback": {"blockReason": "OTHER"}}, "refusal"),
            ({"candidates": [{"finishReason": "SAFETY"}]}, "refusal"),
            ({"candidates": [{"finishReason": "IMAGE_RECITATION"}]}, "refusal"),
            ({"candidates": [{"finishReason": "CONTINUATION"}]}, "pause"),
            ({"candidates": [{"finishReason": "NEW_REASON"}]}, "end"),
        ],
    )
    def test_why_an_answer_ended(self, body: dict[str, Any], stop: Stop) -> None:
        assert CODEC.read_reply(compact(body)) == Reply(id="", model="", blocks=(), stop=stop)

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"error": {"message": "Oh no"}}, "Oh no"),
            ({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "print(x"}]}, "print"),
            ({"candidates": [{"finishReason": "UNEXPECTED_TOOL_CALL"}]}, "UNEXPECTED_TOOL_CALL"),
            (chunk({"text": "a"}), "ended before"),
            (chunk({"text": "a"}, finish="FINISH_REASON_UNSPECIFIED"), "ended before"),
            ({}, "ended before"),
        ],
    )
    def test_what_came_to_nothing_is_no_answer(self, body: dict[str, Any], message: str) -> None:
        with pytest.raises(Garbage, match=message):
            CODEC.read_reply(compact(body))
        told = read_stream([event(chunk({"text": "a"})), event(body)])
        assert isinstance(told, Failed)
        assert message in told.message

    @pytest.mark.parametrize("body", [b"", b"[]", b'{"candidates": 5}', b'{"x": ' + nested(200_000) + b"}"])
    def test_what_is_no_answer_is_garbage(self, body: bytes) -> None:
        with pytest.raises(Garbage):
            CODEC.read_reply(body)
        with pytest.raises(Garbage):
            CODEC.reader().read(b"data: " + (body or b"{") + b"\n\n")

    def test_usage_of_an_unknown_shape_is_no_usage(self) -> None:
        assert CODEC.read_reply(compact(chunk({"text": "a"}, finish="STOP", usageMetadata=5))).usage is None

    def test_usage_that_counts_nothing_does_not_unsay_what_was_counted(self) -> None:
        counted = event(chunk({"text": "a"}, finish="STOP", usageMetadata={"promptTokenCount": 5}))
        reply = read_stream([counted, event({"usageMetadata": {"trafficType": "x"}})])
        assert isinstance(reply, Reply)
        assert reply.usage == Usage(input=5)


class TestWriting:
    def test_a_chunk_is_what_google_would_write(self) -> None:
        chunks = chunks_of(
            [Started("r-1", "m"), *block(Text(""), "Hi", ""), Finished("length")],
            Usage(input=5, cache_read=2, output=3),
        )
        about = {"modelVersion": "m", "responseId": "r-1"}
        assert chunks == [
            {"candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"}, "index": 0}], **about},
            {
                "candidates": [
                    {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}
                ],
                "usageMetadata": {
                    "promptTokenCount": 7,
                    "candidatesTokenCount": 3,
                    "cachedContentTokenCount": 2,
                    "totalTokenCount": 10,
                },
                **about,
            },
        ]

    @pytest.mark.parametrize(
        ("stop", "reason"),
        [("end", "STOP"), ("tool_calls", "STOP"), ("stop_sequence", "STOP"), ("refusal", "SAFETY"), ("pause", "OTHER")],
    )
    def test_why_an_answer_ended(self, stop: Stop, reason: str) -> None:
        assert chunks_of([Started("r", "m"), Finished(stop)])[0]["candidates"][0]["finishReason"] == reason

    def test_a_call_is_told_whole(self) -> None:
        call = ToolCall(id="c", name="f", arguments="")
        parts = parts_of(*block(call, '{"a":\n', " 1}", opaque=Opaque("gemini", "s")), *block(call), *block(call))
        assert parts == [
            {"functionCall": {"id": "c", "name": "f", "args": {"a": 1}}, "thoughtSignature": "s"},
            {"functionCall": {"id": "c", "name": "f", "args": {}}},
            {"functionCall": {"id": "c", "name": "f", "args": {}}},
        ]

    def test_a_call_of_another_provider_gets_googles_word_for_no_signature(self) -> None:
        call = ToolCall(id="c", name="f", arguments="")
        parts = parts_of(*block(call), *block(call, "cut {"))
        assert [part.get("thoughtSignature") for part in parts] == [UNSIGNED, None]
        assert parts[1]["functionCall"]["args"] == {"input": "cut {"}
        reply = Reply(id="r", model="", blocks=(call, call), stop="tool_calls")
        body = json.loads(CODEC.write_reply(reply, WHOLE, NO_USAGE))
        assert [one.get("thoughtSignature") for one in body["candidates"][0]["content"]["parts"]] == [UNSIGNED, None]
        assert body["modelVersion"] == MODEL

    def test_tokens_of_others_are_sealed_and_come_home(self) -> None:
        token = Opaque("anthropic", "theirs", "t1")
        parts = parts_of(
            *block(Thinking(), "Hm", opaque=token),
            *block(Thinking(opaque=token)),
            *block(ToolCall(id="c", name="f", arguments="", opaque=token), "{}"),
            *block(Thinking(), "no token"),
        )
        sealed = {"thoughtSignature": seal(token, "gemini")}
        assert parts == [
            {"text": "Hm", "thought": True},
            {"text": "", "thought": True, **sealed},
            {"text": "", **sealed},
            {"functionCall": {"id": "c", "name": "f", "args": {}}, **sealed},
            {"text": "no token", "thought": True},
        ]
        fields = msgspec.json.decode(compact({"contents": [{"role": "model", "parts": parts[1:]}]}))
        conversation = CODEC.read_request(
            {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
        )
        thinking, bare, call, _ = conversation.messages[0].blocks
        assert isinstance(thinking, Thinking)
        assert isinstance(bare, Thinking)
        assert isinstance(call, ToolCall)
        assert thinking.opaque == bare.opaque == call.opaque == token
        assert SEAL not in msgspec.json.encode(CODEC.write_request(conversation, AIM).fields).decode()

    def test_whole_blocks(self) -> None:
        picture = Media(kind="image", media_type="image/png", data="A")
        own = Foreign(origin="gemini", kind="x", raw=b'{"x":\n1}')
        parts = parts_of(
            *block(picture),
            *block(own),
            *block(Foreign(origin="anthropic", kind="x", raw=b'{"x":1}')),
            *block(Media(kind="file", file_id="file-1")),
        )
        assert parts == [{"inlineData": {"mimeType": "image/png", "data": "A"}}, {"x": 1}]

    def test_a_whole_answer_holds_no_results(self) -> None:
        reply = Reply(id="r", model="m", blocks=(ToolResult(call_id="c", content=()),), stop="end")
        assert CODEC.read_reply(CODEC.write_reply(reply, WHOLE, NO_USAGE)).blocks == ()

    def test_blocks_that_overlap_are_told_one_after_another(self) -> None:
        calls = [ToolCall(id=str(n), name="f", arguments="") for n in range(2)]
        parts = parts_of(
            BlockStarted(0, calls[0]),
            BlockStarted(1, calls[1]),
            Delta(1, '{"b":1}'),
            Delta(0, '{"a":1}'),
            BlockStopped(1),
            BlockStopped(0),
            BlockStarted(2, Text("")),
            BlockStarted(3, Text("")),
            Delta(3, "d"),
            Delta(2, "c"),
        )
        assert [part["functionCall"]["args"] for part in parts[:2]] == [{"a": 1}, {"b": 1}]
        assert parts[2:] == [{"text": "c"}, {"text": "d"}]

    def test_an_array_is_made_of_the_events_by_the_clients_own_stream(self) -> None:
        writer, stream = CODEC.writer(ARRAY), GeminiStream(as_array=True)
        told = [Started("r", "m"), *block(Text(""), "a", "b"), Failed("told by the stream")]
        seen = b"".join(stream.edit(one) + stream.ping for event in told if (one := writer.write(event)))
        end = stream.close(writer.end(NO_USAGE, Micro(0)), Answer(), NO_USAGE, Micro(0))
        assert len(json.loads(seen + end)) == 3


@PATIENT
@given(st.lists(JSON_VALUES, max_size=2), JSON_VALUES)
def test_no_part_is_a_crash(parts: list[Any], value: Any) -> None:
    kinds = ("text", "functionCall", "inlineData", "fileData", "x")
    body = chunk(*parts, *({kind: value} for kind in kinds), finish="STOP")
    with contextlib.suppress(Garbage):
        assert isinstance(CODEC.read_reply(compact(body)), Reply)


@PATIENT
@given(REPLIES)
def test_a_whole_answer_is_read_back_as_it_was(reply: Reply) -> None:
    assert reply.usage is not None
    assert CODEC.read_reply(CODEC.write_reply(reply, WHOLE, reply.usage)) == reply


@PATIENT
@given(REPLIES)
def test_a_stream_is_read_back_as_the_answer_it_was(reply: Reply) -> None:
    assert reply.usage is not None
    stream = write_stream(unfold(reply), reply.usage)
    assert read_stream(stream) == reply


@PATIENT
@given(REPLIES, st.randoms(use_true_random=False))
def test_a_stream_in_pieces_is_the_same_answer(reply: Reply, random: Any) -> None:
    assert reply.usage is not None
    events: list[Event] = []
    for one in unfold(reply):
        if isinstance(one, Delta) and len(one.text) > 1:
            at = random.randrange(len(one.text))
            events += (Delta(one.index, one.text[:at]), Delta(one.index, one.text[at:]))
        else:
            events.append(one)
    assert read_stream(write_stream(events, reply.usage)) == reply


@PATIENT
@given(conversations())
def test_a_conversation_is_read_back_as_it_was(conversation: Conversation) -> None:
    body = CODEC.write_request(conversation, AIM)
    assert body.dropped == ()
    fields = msgspec.json.decode(msgspec.json.encode(body.fields), type=dict[str, msgspec.Raw])
    assert CODEC.read_request(fields) == conversation


def test_an_answer_of_googles_goes_back_as_it_came() -> None:
    """Through a client of another format, which keeps the canonical blocks."""
    call = {"id": "c", "name": "f", "args": {"a": 1}}
    parts = [
        {"text": "Hm", "thought": True, "thoughtSignature": "s0"},
        {"text": "I look", "thoughtSignature": "s1"},
        {"executableCode": {"code": "1"}},
        {"functionCall": call, "thoughtSignature": "s2"},
        {"functionCall": {**call, "id": "d"}},
    ]
    reply = CODEC.read_reply(compact(chunk(*parts, finish="STOP")))
    body = CODEC.write_request(Conversation(messages=(Message("assistant", reply.blocks),)), AIM)
    assert json.loads(msgspec.json.encode(body.fields["contents"])) == [{"role": "model", "parts": parts}]
    assert body.dropped == ()
