"""Streams: where they begin, what they used wherever they are cut, what a client is shown of them, how they end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.money import Micro
from hypereal.kit.sse import read_data, split_events
from hypereal.wire import DIALECTS
from hypereal.wire.base import Answer, Garbage, StreamDialect, Usage
from hypereal.wire.openai_chat.stream import ChatStream
from tests.wire.asking import CHAT, NATIVE, accepted, body_of
from tests.wire.streams import (
    CORPUS,
    COUNTED,
    DONE_EVENT,
    TRUE_USAGE,
    Stream,
    chunk,
    compact,
    event,
    final,
    spaced,
    words,
)
from tests.wire.test_parsing import JSON_VALUES, nested

EACH_STREAM = pytest.mark.parametrize("stream", CORPUS, ids=lambda stream: stream.name)
BOMB = b'{"choices": [], "usage": ' + nested(200_000) + b"}"


def stream_of(path: str = CHAT, **fields: Any) -> StreamDialect:
    envelope = accepted(path, body_of(path, stream=True, **fields))
    return DIALECTS[envelope.endpoint.dialect].stream(envelope)


def in_two_chunks(payload: bytes, at: int) -> bytes:
    """The payload with HTTP framing through it at one place."""
    first, second = payload[:at], payload[at:]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (first, second) if part)


@EACH_STREAM
def test_a_whole_stream_is_read(stream: Stream) -> None:
    answer = ChatStream().read(stream.payload, len(stream.payload))
    assert answer.usage == stream.usage
    assert answer.is_complete
    assert not answer.is_empty
    if stream.usage is None:
        assert answer.output_bytes == stream.text_bytes


@EACH_STREAM
def test_no_framing_makes_a_usage_that_was_not_the_last(stream: Stream) -> None:
    dialect = ChatStream()
    payload = stream.payload
    for at in range(len(payload) + 1):
        assert dialect.find_usage(in_two_chunks(payload, at)) in (None, stream.usage), at
        assert dialect.find_usage(payload[at:]) in (None, stream.usage), at


@EACH_STREAM
def test_of_a_stream_cut_short_only_what_came_is_read(stream: Stream) -> None:
    """Where usage grows with the text, the last one that came is the best there is."""
    payload = stream.payload
    reported = {TRUE_USAGE, *(Usage(input=21, output=n) for n in (1, 2, 3)), None}
    for at in range(1, len(payload)):
        answer = ChatStream().read(payload[:at], at)
        assert answer.usage in reported
        assert answer.output_bytes <= stream.text_bytes


@pytest.mark.parametrize("size", [100, 1000])
def test_what_is_no_longer_kept_is_estimated_in_proportion(size: int) -> None:
    payload = b"".join(event(compact(chunk("word"))) for _ in range(size))
    kept = payload[len(payload) // 2 :]
    estimate = ChatStream().read(kept, len(payload)).output_bytes
    assert abs(estimate - 4 * size) <= 0.02 * 4 * size


@pytest.mark.parametrize(
    ("payload", "verdict"),
    [
        (b"", None),
        (b": hello\n\n", None),
        (b"event: ping\n\n", None),
        (event(compact({"choices": [], "prompt_filter_results": []})), None),
        (event(compact({"object": "x"})), None),
        (event(compact(chunk("Hi")))[:-1], None),
        (DONE_EVENT, None),
        (event(compact(chunk("Hi"))), ""),
        (b": hello\n\n" + event(compact(chunk(""))), ""),
        (b"data: " + compact(chunk("Hi")) + b"\r\n\r\n", ""),
        (event(compact({"error": {"message": "busy"}})), "busy"),
        (event(compact({"error": "busy"})), "busy"),
        (event(compact({"error": {"message": "busy"}, "choices": [1]})), "busy"),
    ],
)
def test_a_stream_begins_with_its_first_choice(payload: bytes, verdict: str | None) -> None:
    assert ChatStream().opening(payload) == verdict


@pytest.mark.parametrize("data", [b"<html>", b"{", b"[]", b'{"choices": 1}', b'{"error": ' + nested(200_000) + b"}"])
def test_an_event_of_another_format_is_garbage(data: bytes) -> None:
    with pytest.raises(Garbage):
        ChatStream().opening(event(data))


@pytest.mark.parametrize("delta", [{"content": "1234"}, {"reasoning_content": "1234"}, {"refusal": "1234"}])
def test_every_kind_of_text_is_measured(delta: dict[str, Any]) -> None:
    payload = event(compact({"choices": [{"delta": delta}]}))
    assert ChatStream().read(payload, len(payload)).output_bytes == 4


def test_calls_and_completions_are_measured() -> None:
    calls = [{"index": 0, "function": {"arguments": "{}"}}]
    payload = event(compact({"choices": [{"delta": {"tool_calls": calls}}, {"text": "abc"}, {"delta": None}]}))
    assert ChatStream().read(payload, len(payload)).output_bytes == len(compact(calls)) + 3


@pytest.mark.parametrize("data", [BOMB, b'{"choices": [1]}', b'{"choices": {"usage": 1', b'{"usage": "none"}'])
def test_an_event_that_cannot_be_read_hides_no_other(data: bytes) -> None:
    before = event(compact(chunk("Hi", usage=COUNTED)))
    assert ChatStream().read(before + event(data) + DONE_EVENT, 0).usage == TRUE_USAGE
    text = event(compact(chunk("Hi"))) + event(data)
    assert ChatStream().read(text, len(text)).output_bytes == 2
    assert ChatStream().find_usage(event(data) + DONE_EVENT) is None


def test_usage_without_output_in_a_broken_stream_is_not_taken_for_the_whole() -> None:
    payload = event(compact(chunk("Hi", usage={"prompt_tokens": 3, "completion_tokens": 0})))
    answer = ChatStream().read(payload, len(payload))
    assert (answer.usage, answer.output_bytes, answer.is_complete) == (Usage(input=3), 2, False)


def test_a_stream_without_text_or_end_is_empty() -> None:
    assert ChatStream().read(b": ping\n\n", 8).is_empty
    assert not ChatStream().read(DONE_EVENT, 14).is_empty


def shown(dialect: StreamDialect, payload: bytes) -> list[Any]:
    """The data of the events that `edit` lets through."""
    events, rest = split_events(payload)
    assert rest == b""
    edited = split_events(b"".join(map(dialect.edit, events)))[0]
    return [json.loads(one[6:]) if one.startswith(b"data: {") else one for one in edited]


def test_a_client_that_turned_usage_off_sees_none() -> None:
    dialect = stream_of(stream_options={"include_usage": False})
    assert dialect.rewrites_events
    assert shown(dialect, b"".join(event(compact(one)) for one in [*words(usage=None), final()])) == words()
    assert shown(dialect, event(compact(chunk("Hi", usage=COUNTED)))) == [chunk("Hi")]
    assert dialect.edit(b'data: {"choices" : [ ],"usage":{}}\n\n') == b""


@pytest.mark.parametrize(
    "untouched",
    [
        DONE_EVENT,
        b': "usage"\n\n',
        event(compact(chunk("usage"))),
        event(compact(chunk('"usage"'))),
        event(b'{"usage": broken}'),
        event(BOMB[:-2]),
        event(b'{"choices": [{"usage": 1}]}'),
    ],
)
def test_what_only_looks_like_usage_is_shown_as_it_came(untouched: bytes) -> None:
    assert stream_of(stream_options={"include_usage": False}).edit(untouched) == untouched


def closing_chunk(dialect: StreamDialect, answer: Answer) -> Any:
    end = dialect.close(DONE_EVENT, answer, TRUE_USAGE, Micro(2_500_000))
    assert end.endswith(DONE_EVENT)
    closing = end.removesuffix(DONE_EVENT)
    return json.loads(closing.removeprefix(b"data: ")) if closing else None


def test_a_stream_ends_with_usage_even_if_its_upstream_sent_none() -> None:
    dialect = stream_of()
    assert not dialect.rewrites_events
    assert closing_chunk(dialect, Answer(usage=TRUE_USAGE)) is None
    added = closing_chunk(dialect, Answer())
    assert added["choices"] == []
    assert added["usage"] == COUNTED
    assert "creditsUsed" not in added


HEAD = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1700000000, "model": "up"}


def test_a_chunk_of_ours_looks_like_those_before_it() -> None:
    first = event(compact({**HEAD, "choices": [{"index": 0, "delta": {"role": "assistant"}}]}))
    later = {**HEAD, "id": "chatcmpl-8", "choices": []}
    dialect = stream_of(NATIVE)
    assert dialect.opening(first) == ""
    assert HEAD.items() <= closing_chunk(dialect, Answer()).items()
    end = dialect.close(event(compact(later)) + event(b"{") + DONE_EVENT, Answer(), TRUE_USAGE, Micro(1))
    *_, closing = [json.loads(data) for data in read_data(end.removesuffix(DONE_EVENT)) if data != b"{"]
    assert {**HEAD, "id": "chatcmpl-8"}.items() <= closing.items()


@pytest.mark.parametrize("path", [CHAT, NATIVE])
def test_a_chunk_of_ours_has_every_required_field_even_if_it_is_alone(path: str) -> None:
    envelope = accepted(path, body_of(path, stream=True, model="m"))
    envelope.request_id, envelope.at = "req_1", 1700000000
    added = closing_chunk(DIALECTS[envelope.endpoint.dialect].stream(envelope), Answer())
    said = {"id": "chatcmpl-req_1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m"}
    assert said.items() <= added.items()


def test_nothing_is_added_for_a_client_that_turned_usage_off() -> None:
    dialect = stream_of(stream_options={"include_usage": False})
    assert closing_chunk(dialect, Answer()) is None
    assert closing_chunk(dialect, Answer(usage=TRUE_USAGE)) is None


def test_a_native_stream_ends_with_what_it_cost() -> None:
    dialect = stream_of(NATIVE)
    assert dialect.rewrites_events
    for answer in (Answer(), Answer(usage=TRUE_USAGE)):
        assert closing_chunk(dialect, answer)["creditsUsed"] == 2.5
        assert closing_chunk(dialect, answer)["usage"] == COUNTED
    assert shown(dialect, event(compact(final()))) == []


TEXTS = st.lists(st.text(max_size=12), min_size=1, max_size=8)


@given(
    texts=TEXTS,
    usage=st.builds(Usage, input=st.integers(0, 999), output=st.integers(0, 999)),
    has_usage=st.booleans(),
    is_spaced=st.booleans(),
)
def test_any_text_is_read_for_what_it_is(texts: list[str], usage: Usage, has_usage: bool, is_spaced: bool) -> None:
    counted = {"prompt_tokens": usage.input, "completion_tokens": usage.output}
    chunks = [*map(chunk, texts), chunk(None, finish="stop"), *([final(counted)] if has_usage else [])]
    write = spaced if is_spaced else compact
    payload = b"".join(event(write(one)) for one in chunks) + DONE_EVENT
    answer = ChatStream().read(payload, len(payload))
    assert answer.is_complete
    assert answer.usage == (usage if has_usage else None)
    if not has_usage:
        assert answer.output_bytes == len("".join(texts).encode())
    assert ChatStream().opening(payload) == ""


@given(st.binary(max_size=120) | JSON_VALUES.map(lambda value: event(json.dumps(value).encode())))
def test_no_bytes_raise_anything_but_garbage(payload: bytes) -> None:
    dialect = ChatStream(hides_usage=True)
    dialect.read(payload, len(payload))
    dialect.find_usage(payload)
    for one in split_events(payload)[0]:
        dialect.edit(one)
    try:
        dialect.opening(payload)
    except Garbage:
        assert b"data:" in payload


def test_only_done_itself_ends_a_stream_of_chunks() -> None:
    assert ChatStream().is_terminal(b" [DONE] ")
    assert not ChatStream().is_terminal(b'{"choices":[{"delta":{"content":"[DONE]"}}]}')
