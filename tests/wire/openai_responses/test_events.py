"""Streams event by event: what is read of an upstream's, and the grammar of what a client is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hypereal.kit.money import Micro
from hypereal.wire.base import Garbage, Usage
from hypereal.wire.conversation import Foreign, Media, Opaque, Reply, Text, Thinking, ToolCall
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Failed, Finished, Started, fold
from hypereal.wire.opaque import seal
from hypereal.wire.openai_responses import CODEC
from tests.wire.openai_responses.asking import (
    COUNTED,
    accepted,
    begun,
    event,
    events_in,
    message,
    read_events,
    response,
)

NAME = "openai_responses"
USAGE = Usage(input=13, cache_read=4, cache_write=3, output=8, reasoning=5)
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": ""}


def added(place: int, item: dict[str, Any]) -> bytes:
    return event("response.output_item.added", output_index=place, item=item)


def done(place: int, item: dict[str, Any]) -> bytes:
    return event("response.output_item.done", output_index=place, item=item)


def text(place: int, delta: Any, part: int = 0) -> bytes:
    return event("response.output_text.delta", output_index=place, content_index=part, delta=delta)


def arguments(place: int, delta: str) -> bytes:
    return event("response.function_call_arguments.delta", output_index=place, delta=delta)


def completed(*output: dict[str, Any], **fields: Any) -> bytes:
    return event("response.completed", response=response(*output, **fields))


def amounts_to(payload: bytes) -> Reply:
    reply = fold(read_events(payload))
    assert isinstance(reply, Reply), reply
    return reply


def test_a_stream_is_read_as_it_comes() -> None:
    summary = {"type": "summary_text", "text": "one"}
    reasoned = {**REASONING, "summary": [summary, {**summary, "text": "two"}], "encrypted_content": "gAAA"}
    called = {**CALL, "arguments": '{"a":1}'}
    payload = (
        begun()
        + added(0, REASONING)
        + event("response.reasoning_summary_part.added", output_index=0, summary_index=0)
        + event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="one")
        + event("response.reasoning_summary_text.delta", output_index=0, summary_index=1, delta="two")
        + done(0, reasoned)
        + added(1, message())
        + event("response.content_part.added", output_index=1, content_index=0)
        + text(1, "Hel")
        + text(1, "lo")
        + event("response.output_text.done", output_index=1, content_index=0, text="Hello")
        + done(1, message("Hello"))
        + added(2, CALL)
        + arguments(2, '{"a"')
        + arguments(2, ":1}")
        + done(2, called)
    )
    expected: list[Event] = [
        Started("resp_1", "up"),
        BlockStarted(0, Thinking()),
        Delta(0, "one"),
        Delta(0, "\n\n"),
        Delta(0, "two"),
        BlockStopped(0, Opaque(NAME, "gAAA", "rs_1")),
        BlockStarted(1, Text("")),
        Delta(1, "Hel"),
        Delta(1, "lo"),
        BlockStopped(1),
        BlockStarted(2, ToolCall(id="c", name="f", arguments="")),
        Delta(2, '{"a"'),
        Delta(2, ":1}"),
        BlockStopped(2),
        Finished("tool_calls", usage=USAGE),
    ]
    last = completed(reasoned, message("Hello"), called)
    assert read_events(payload + last) == expected
    assert fold(expected) == CODEC.read_reply(msgspec.json.encode(response(reasoned, message("Hello"), called)))


def test_line_ends_comments_and_odd_events_do_not_matter() -> None:
    payload = begun() + text(0, "x") + done(0, message("x")) + completed(message("x"))
    odd = b": ping\n\ndata: [DONE]\n\n" + event("keepalive") + event("response.new_thing", delta={"x": [1]}, item=5)
    # Not split by `split_events`, which would make LF of CRLF.
    reader = CODEC.reader()
    events = []
    for whole in (odd + payload + b"data: [DONE]\n\n").split(b"\n\n")[:-1]:
        events += reader.read(whole.replace(b"\n", b"\r\n") + b"\r\n\r\n")
    assert events == read_events(payload)


def test_nothing_is_read_after_the_end() -> None:
    payload = begun() + text(0, "x") + completed() + text(0, "y") + event("error", message="z") + b"data: <html>\n\n"
    assert read_events(payload)[-2:] == [BlockStopped(0), Finished("end", usage=USAGE)]
    payload = begun() + text(0, "x") + event("error", message="z") + text(0, "y") + completed()
    assert read_events(payload)[-2:] == [Delta(0, "x"), Failed("z")]


def test_parts_and_calls_may_overlap() -> None:
    second = {**CALL, "call_id": "d"}
    payload = begun() + added(0, CALL) + added(1, second) + arguments(1, "{}") + arguments(0, "[]")
    payload += (
        done(1, {**second, "arguments": "{}"}) + text(2, "a") + text(2, "b", 1) + done(0, {**CALL, "arguments": "[]"})
    )
    payload += done(2, message("a", "b")) + completed()
    assert amounts_to(payload).blocks == (
        ToolCall(id="c", name="f", arguments="[]"),
        ToolCall(id="d", name="f", arguments="{}"),
        Text("a"),
        Text("b"),
    )


def test_what_an_upstream_left_out_is_made_good() -> None:
    items = [message("Hello"), {**CALL, "arguments": "{}"}, {**REASONING, "summary": [{"text": "hm"}]}]
    only_done = b"".join(done(place, item) for place, item in enumerate(items))
    blocks = (Text("Hello"), ToolCall(id="c", name="f", arguments="{}"), Thinking(text="hm"))
    assert amounts_to(only_done + completed()).blocks == blocks
    assert amounts_to(completed(*items)).blocks == blocks
    assert amounts_to(completed(*items)).id == "resp_1"
    no_deltas = added(0, CALL) + done(0, items[1]) + completed()
    assert amounts_to(no_deltas).blocks == blocks[1:2]


def test_deltas_of_an_item_that_never_ends_are_kept() -> None:
    lost = arguments(5, "lost")
    reasoning = event("response.reasoning_text.delta", output_index=1, content_index=0, delta="hm")
    payload = begun() + text(0, "Hel") + text(0, None) + text(0, "") + text(0, "lo") + reasoning + lost
    assert amounts_to(payload + completed()).blocks == (Text("Hello"), Thinking(text="hm"))
    emptied = payload + done(0, message()) + event("response.output_item.done", output_index=1)
    assert amounts_to(emptied + completed()).blocks == (Text("Hello"), Thinking(text="hm"))


def test_deltas_may_come_in_several_lines() -> None:
    lines = text(0, "lo").replace(b',"delta"', b'\ndata: ,"delta"')
    reply = amounts_to(begun() + text(0, "Hel") + lines + done(0, message("Hello")) + completed())
    assert reply.blocks == (Text("Hello"),)


@pytest.mark.parametrize("kind", ["reasoning", "reasoning_text", "reasoning_summary", "reasoning_summary_text"])
def test_reasoning_is_read_in_every_spelling(kind: str) -> None:
    payload = begun() + b"".join(event(f"response.{kind}.delta", output_index=0, delta=text) for text in ("h", "m"))
    assert amounts_to(payload + completed()).blocks == (Thinking(text="hm"),)


def test_an_item_that_is_nothing_is_no_block() -> None:
    nothing = event("response.output_item.added", output_index=0, item=None)
    assert amounts_to(begun() + nothing + completed()).blocks == ()


def test_what_comes_whole_is_told_whole() -> None:
    web = {"type": "web_search_call", "id": "ws_1"}
    image = {"type": "image_generation_call", "id": "ig_1", "result": "QUJD"}
    payload = begun() + added(0, web) + done(0, web) + done(1, image) + completed()
    raw = b'{"type":"web_search_call","id":"ws_1"}'
    assert amounts_to(payload).blocks == (
        Foreign(origin=NAME, kind="web_search_call", raw=raw),
        Media(kind="image", media_type="image/png", data="QUJD"),
    )


def test_a_refusal_is_text_and_a_reason() -> None:
    said = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}
    streamed = begun() + event("response.refusal.delta", output_index=0, content_index=0, delta="no")
    for payload in (streamed + completed(), begun() + done(0, said) + completed()):
        reply = amounts_to(payload)
        assert (reply.blocks, reply.stop) == ((Text("no"),), "refusal")


@pytest.mark.parametrize(
    ("reason", "stop"), [("max_output_tokens", "length"), ("content_filter", "refusal"), (None, "length")]
)
def test_an_answer_may_be_cut_short(reason: str | None, stop: str) -> None:
    cut = response(status="incomplete", incomplete_details={"reason": reason}, usage=None)
    reply = amounts_to(begun() + event("response.incomplete", response=cut))
    assert (reply.stop, reply.usage) == (stop, None)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (event("error", code="server_error", message="broke"), "broke"),
        (event("error", error={"message": "nested"}), "nested"),
        (event("response.failed", response=response(error={"code": "c", "message": "no"})), "no"),
        (event("response.failed", response=None), "unnamed error"),
    ],
)
def test_an_upstream_may_give_up(failure: bytes, says: str) -> None:
    assert read_events(begun() + text(0, "x") + failure)[-1] == Failed(says)


@pytest.mark.parametrize(
    "payload",
    [
        b"data: <html>\n\n",
        b"data: [1]\n\n",
        event("response.output_item.done", output_index=0, item={"type": "function_call"}),
        event("response.completed", response=5),
        b'data: {"type":"x","a":' + b"[" * 100_000 + b"\n\n",
    ],
)
def test_what_is_no_event_is_garbage(payload: bytes) -> None:
    with pytest.raises(Garbage):
        read_events(payload)


def told(*events: Event, **fields: Any) -> list[dict[str, Any]]:
    writer = CODEC.writer(accepted(stream=True, **fields))
    return events_in(b"".join(map(writer.write, events)) + writer.end(USAGE, Micro(0)))


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [each["type"].removeprefix("response.") for each in events]


TOKEN = Opaque("anthropic", "signature")
EVERY_KIND: tuple[Event, ...] = (
    Started("resp_abc", "up"),
    BlockStarted(0, Thinking()),
    Delta(0, "h"),
    Delta(0, "m"),
    BlockStopped(0, TOKEN),
    BlockStarted(1, Text("")),
    Delta(1, "Hi"),
    BlockStopped(1),
    BlockStarted(2, ToolCall(id="c", name="f", arguments="")),
    Delta(2, "{}"),
    BlockStopped(2),
    BlockStarted(3, ToolCall(id="d", name="patch", arguments="", is_custom=True)),
    Delta(3, "x"),
    BlockStopped(3),
    Finished("tool_calls"),
)


def test_a_client_is_told_every_event_of_the_grammar() -> None:
    assert kinds(told(*EVERY_KIND)) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "completed",
    ]


def test_events_are_numbered_and_name_the_item_that_they_are_of() -> None:
    events = told(*EVERY_KIND)
    output = events[-1]["response"]["output"]
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    assert [item["id"] for item in output] == ["rs_abc_0", "msg_abc_1", "fc_abc_2", "ctc_abc_3"]
    assert [each["item"] for each in events if each["type"] == "response.output_item.done"] == output
    for each in events[2:-1]:
        assert each.get("item_id", each.get("item", {}).get("id")) == output[each["output_index"]]["id"]


def test_a_stream_begins_and_ends_with_the_response() -> None:
    events = told(*EVERY_KIND)
    first, last = events[0]["response"], events[-1]["response"]
    assert (first["id"], first["status"], first["output"], first["usage"]) == ("resp_abc", "in_progress", [], None)
    assert events[1]["response"] == first
    assert (last["id"], last["status"], last["usage"]) == ("resp_abc", "completed", COUNTED)
    assert last["output"][0]["encrypted_content"] == seal(TOKEN, NAME)


def test_a_delta_has_all_that_the_specification_requires() -> None:
    (delta,) = [each for each in told(*EVERY_KIND) if each["type"] == "response.output_text.delta"]
    assert delta == {
        "type": "response.output_text.delta",
        "item_id": "msg_abc_1",
        "output_index": 1,
        "content_index": 0,
        "delta": "Hi",
        "logprobs": [],
        "sequence_number": 11,
    }


def test_an_upstreams_own_id_may_hold_anything() -> None:
    odd = 'resp_50% "off" \\ %(id)b é'
    texts = [b"Hi", b"", b" there"]
    writer = CODEC.writer(accepted(stream=True))
    begun: list[Event] = [Started(odd, "m"), BlockStarted(0, Text("")), Delta(0, "Oh. ")]
    told_at_once = b"".join(map(writer.write, begun)) + writer.write_texts(0, texts)
    events = events_in(told_at_once + writer.write(BlockStopped(0)) + writer.end(USAGE, Micro(0)))
    assert {each["item_id"] for each in events if "item_id" in each} == {f"msg_{odd.removeprefix('resp_')}_0"}
    assert [each["delta"] for each in events if "delta" in each] == ["Oh. ", "Hi", " there"]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Oh. Hi there"


def test_the_numbers_of_a_long_stream_go_on() -> None:
    writer = CODEC.writer(accepted(stream=True))
    begun: list[Event] = [Started("a", "m"), BlockStarted(0, Text(""))]
    shown = b"".join(map(writer.write, begun)) + b"".join(writer.write_texts(0, [b"word"] * 300) for _ in range(4))
    assert [each["sequence_number"] for each in events_in(shown)] == list(range(4 + 1200))


def test_a_block_that_begins_with_text_grows_by_it() -> None:
    for block, kind in (
        (Text("Hi"), "output_text.delta"),
        (Thinking(text="Hi"), "reasoning_summary_text.delta"),
        (ToolCall(id="c", name="f", arguments="Hi"), "function_call_arguments.delta"),
    ):
        events = told(Started("a", "m"), BlockStarted(0, block), BlockStopped(0), Finished("end"))
        assert [each["delta"] for each in events if each["type"].endswith(kind)] == ["Hi"]


def test_reasoning_without_text_has_no_summary() -> None:
    token = Opaque("gemini", "thought")
    events = told(Started("a", "m"), BlockStarted(0, Thinking(opaque=token)), Delta(0, ""), BlockStopped(0))
    assert kinds(events)[2:] == ["output_item.added", "output_item.done", "completed"]
    assert events[3]["item"]["summary"] == []
    assert events[3]["item"]["encrypted_content"] == seal(token, NAME)


def test_a_token_of_a_call_comes_after_it() -> None:
    token = Opaque("gemini", "thought")
    call = ToolCall(id="c", name="f", arguments="")
    events = told(Started("a", "m"), BlockStarted(0, call), BlockStopped(0, token), Finished("tool_calls"))
    assert kinds(events)[-3:] == ["output_item.added", "output_item.done", "completed"]
    assert events[-2]["item"]["encrypted_content"] == seal(token, NAME) + ".c"


def test_what_cannot_be_shown_is_withheld() -> None:
    other = Foreign(origin="anthropic", kind="server_tool_use", raw=b"{}")
    events = told(Started("a", "m"), BlockStarted(0, other), Delta(0, "x"), BlockStopped(0), Finished("length"))
    assert kinds(events) == ["created", "in_progress", "incomplete"]
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_blocks_that_are_never_closed_are_closed_at_the_end() -> None:
    events = told(Started("a", "m"), BlockStarted(0, Text("")), Delta(0, "x"), Finished("end"))
    assert kinds(events)[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]


def test_a_failure_of_the_upstream_is_told_under_the_id_of_the_response() -> None:
    writer = CODEC.writer(accepted(stream=True))
    events: list[Event] = [Started("resp_a", "m"), BlockStarted(0, Text("")), Delta(0, "x"), Failed("It broke")]
    *_, error, failed = events_in(b"".join(map(writer.write, events)))
    assert (error["type"], error["error"]["message"]) == ("error", "It broke")
    assert failed["response"]["id"] == "resp_a"
    assert failed["response"]["error"] == {"code": "server_error", "message": "It broke"}
    assert failed["response"]["output"][0]["content"][0]["text"] == "x"
    assert failed["sequence_number"] == error["sequence_number"] + 1


def test_an_answer_without_a_beginning_is_named_after_the_request() -> None:
    (last,) = told(Finished("end"))
    assert last["response"]["id"] == "resp_req_1"
