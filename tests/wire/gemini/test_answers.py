"""Whole answers and streams of Google's, as they are understood and as a client is shown them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.errors import UpstreamFailed
from hypereal.kit.money import Micro
from hypereal.wire.base import Answer, Garbage, Usage
from hypereal.wire.fields import IMAGE_TOKENS
from hypereal.wire.gemini import GeminiDialect, GeminiStream
from tests.wire.gemini.asking import STREAM, WITH_EVENTS, accepted, body_of, chunk, compact, event
from tests.wire.gemini.canonical import PATIENT
from tests.wire.test_parsing import JSON_VALUES, nested

COUNTED = {
    "promptTokenCount": 21,
    "cachedContentTokenCount": 4,
    "candidatesTokenCount": 8,
    "thoughtsTokenCount": 5,
    "toolUsePromptTokenCount": 3,
    "totalTokenCount": 37,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 21}],
    "trafficType": "ON_DEMAND",
}
TRUE_USAGE = Usage(input=20, cache_read=4, output=8, reasoning=5)
WORDS = ("Hel", "lo, ", "wörld")
TEXT_BYTES = len("".join(WORDS).encode())
TOLD = [chunk({"text": word}, usageMetadata={"trafficType": "ON_DEMAND"}) for word in WORDS]
LAST = chunk({"text": "", "thoughtSignature": "x=="}, finish="STOP", usageMetadata=COUNTED)
PARTLY = [chunk({"text": word}, usageMetadata={"promptTokenCount": 21, "candidatesTokenCount": 1}) for word in WORDS]
READ = GeminiDialect().read_answer

STREAMS = {
    "counted at the end": [event(one) for one in [*TOLD, LAST]],
    "counted throughout": [event(one) for one in [*PARTLY, LAST]],
    "LF": [event(one, b"\n\n") for one in [*TOLD, LAST]],
    "counted after the end": [event(one) for one in [*TOLD, chunk(finish="STOP"), {"usageMetadata": COUNTED}]],
    "followed by another": [event(one) for one in [*TOLD, LAST, {"modelStatus": {"x": 1}}]],
    "comments": [b": hello\n\n", *(event(one) for one in [*TOLD, LAST]), b"\r\n\r\n"],
}
EACH_STREAM = pytest.mark.parametrize("events", STREAMS.values(), ids=STREAMS)


def fields_of(answer: Answer) -> tuple[Any, ...]:
    return answer.usage, answer.is_empty, answer.output_bytes, answer.error


def test_a_whole_answer_is_read() -> None:
    answer = READ(compact(chunk({"text": "Hi"}, finish="STOP", usageMetadata=COUNTED)))
    assert answer == Answer(usage=TRUE_USAGE, output_bytes=2, is_complete=True)


def test_calls_and_files_are_output() -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}}}
    picture = {"inlineData": {"mimeType": "image/png", "data": "A" * 1_000_000}}
    assert READ(compact(chunk(call, {"functionCall": {}}))).output_bytes == len('f{"a":1}{}')
    assert READ(compact(chunk(picture))).output_bytes == IMAGE_TOKENS * 4


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"candidates": []},
        {"candidates": [{}]},
        {"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]},
        chunk({"text": ""}, finish="STOP", usageMetadata={"promptTokenCount": 5}),
        {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]},
    ],
)
def test_an_answer_without_anything_is_empty(body: dict[str, Any]) -> None:
    assert READ(compact(body)).is_empty


@pytest.mark.parametrize(
    "body",
    [
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"candidates": [{"finishReason": "RECITATION"}]},
        chunk(finish="MAX_TOKENS", usageMetadata={"promptTokenCount": 5, "thoughtsTokenCount": 9}),
    ],
)
def test_a_refusal_and_mere_thought_are_answers(body: dict[str, Any]) -> None:
    assert not READ(compact(body)).is_empty


@pytest.mark.parametrize("usage", [{"promptTokenCount": "x"}, 5, None, {}, {"totalTokenCount": 5}])
def test_usage_of_an_unknown_shape_is_no_usage(usage: Any) -> None:
    answer = READ(compact(chunk({"text": "Hi"}, usageMetadata=usage)))
    assert fields_of(answer) == (None, False, 2, None)


def test_counts_that_cannot_be_are_mended() -> None:
    usage = {"promptTokenCount": 5, "cachedContentTokenCount": 9, "candidatesTokenCount": -1}
    assert READ(compact(chunk({"text": "Hi"}, usageMetadata=usage))).usage == Usage(cache_read=5)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"code": 500, "message": "Oh no"}, "Oh no"),
        ({"status": "INTERNAL"}, "INTERNAL"),
        ({}, "unnamed error"),
        ("Oh no", "Oh no"),
    ],
)
def test_an_error_in_place_of_an_answer_is_told(error: Any, text: str) -> None:
    assert READ(compact({"error": error})).error == text
    assert GeminiStream().opening(event({"error": error})) == text


BAD = [
    b"",
    b"[]",
    b"5",
    b"<html>",
    b'{"candidates": 5}',
    b'{"candidates": [{"content": {"parts": [5]}}]}',
    b'{"candidates": [{"content": {"parts": [{"text": "\xff"}]}}]}',
]


@pytest.mark.parametrize(
    "body",
    [
        *BAD,
        nested(200_000),
        b'{"usageMetadata": 5, "error": ' + nested(200_000) + b"}",
        b'{"usageMetadata": 5, "error": "\xff"}',
    ],
)
def test_what_is_no_answer_is_garbage(body: bytes) -> None:
    with pytest.raises(Garbage):
        READ(body)


@PATIENT
@given(JSON_VALUES)
def test_no_answer_is_a_crash(value: Any) -> None:
    with contextlib.suppress(Garbage):
        assert isinstance(READ(compact({"candidates": value, "usageMetadata": value})), Answer)


class TestStream:
    @EACH_STREAM
    def test_a_whole_stream_is_read(self, events: list[bytes]) -> None:
        payload = b"".join(events)
        answer = GeminiStream().read(payload, len(payload))
        assert answer == Answer(usage=TRUE_USAGE, is_complete=True)

    @EACH_STREAM
    def test_no_framing_makes_a_usage_that_was_not_the_last(self, events: list[bytes]) -> None:
        payload = b"".join(events)
        stream = GeminiStream()
        partly = Usage(input=21, output=1)
        for at in range(len(payload) + 1):
            cut = b"%x\r\n%b\r\n%x\r\n%b\r\n" % (at, payload[:at], len(payload) - at, payload[at:])
            assert stream.find_usage(cut) in (None, TRUE_USAGE), at
            assert stream.find_usage(payload[:at]) in (None, partly, TRUE_USAGE), at

    def test_the_usage_of_a_read_is_found_without_reading_its_text(self) -> None:
        assert GeminiStream().find_usage(event(LAST)) == TRUE_USAGE
        assert GeminiStream().find_usage(event(chunk({"text": '"usageMetadata":{}'}))) is None

    @pytest.mark.parametrize("said", ['"finishReason":"STOP"', '"usageMetadata":{"promptTokenCount":1}'])
    def test_text_that_looks_like_the_end_is_text(self, said: str) -> None:
        payload = event(chunk({"text": said}))
        answer = GeminiStream().read(payload, len(payload))
        assert answer == Answer(output_bytes=len(said))

    def test_of_a_stream_cut_short_only_what_came_is_read(self) -> None:
        payload = b"".join(map(event, TOLD))
        for at in range(1, len(payload)):
            answer = GeminiStream().read(payload[:at], at)
            assert answer.output_bytes <= TEXT_BYTES
            assert not answer.is_complete
            assert answer.usage is None
        assert GeminiStream().read(payload, len(payload)).output_bytes == TEXT_BYTES
        counted = b"".join(map(event, PARTLY))
        assert GeminiStream().read(counted, len(counted)).usage == Usage(input=21, output=1)

    def test_what_is_no_longer_kept_is_estimated_in_proportion(self) -> None:
        payload = event(chunk({"text": "word"})) * 10
        assert GeminiStream().read(payload, len(payload) * 7).output_bytes == 280

    def test_a_refused_prompt_is_a_whole_answer(self) -> None:
        payload = event({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}})
        assert GeminiStream().opening(payload) == ""
        assert GeminiStream().read(payload, len(payload)) == Answer(usage=Usage(input=5), is_complete=True)

    def test_a_stream_begins_with_a_candidate(self) -> None:
        opening = GeminiStream().opening
        assert opening(b"") is None
        assert opening(b": hello\n\ndata:\n\n" + event({"usageMetadata": COUNTED})) is None
        assert opening(event({"usageMetadata": COUNTED}) + event(LAST)) == ""

    @pytest.mark.parametrize("data", BAD[1:])
    def test_a_beginning_of_another_kind_is_garbage(self, data: bytes) -> None:
        with pytest.raises(Garbage):
            GeminiStream().opening(b"data: " + data + b"\n\n")

    def test_nothing_ends_a_stream_but_its_end(self) -> None:
        stream = GeminiStream()
        assert stream.terminal == b""
        assert not stream.is_terminal(compact(LAST))


class TestForms:
    def test_events_pass_as_they_came(self) -> None:
        stream = GeminiDialect().stream(accepted(body_of(), WITH_EVENTS, STREAM))
        assert not stream.rewrites_events
        assert stream.content_type.startswith(b"text/event-stream")
        assert stream.edit(event(LAST)) == event(LAST)
        assert stream.close(event(LAST), Answer(), Usage(), Micro(0)) == event(LAST)
        assert not stream.ping.strip()  # Google's SDK for Python takes a comment for JSON

    def test_broken_events_end_with_an_error(self) -> None:
        end = GeminiStream().break_off(UpstreamFailed("Oh no"), "req_1")
        assert json.loads(end.removeprefix(b"data: "))["error"]["status"] == "UNAVAILABLE"
        assert end.endswith(b"\n\n")

    def test_an_array_has_each_chunk_as_an_element(self) -> None:
        stream = GeminiDialect().stream(accepted(body_of(), endpoint=STREAM))
        assert stream.rewrites_events
        assert stream.content_type == b"application/json"
        events = [event(TOLD[0]), b": hello\n\n", b"data:\n\n", event(TOLD[1], b"\n\n")]
        seen = stream.ping + stream.edit(events[0]) + stream.ping + b"".join(map(stream.edit, events[1:]))
        seen += stream.ping + stream.close(event(LAST), Answer(), Usage(), Micro(0))
        assert json.loads(seen) == [*TOLD[:2], LAST]
        assert compact(TOLD[0]) + b"\n,\r\n" in seen

    def test_an_array_that_broke_is_still_an_array(self) -> None:
        stream = GeminiStream(as_array=True)
        error = UpstreamFailed("Oh no")
        seen = json.loads(stream.edit(event(LAST)) + stream.break_off(error, "req_1"))
        assert seen[0] == LAST
        assert seen[1]["error"]["message"] == "Oh no"
        assert "error" in json.loads(GeminiStream(as_array=True).break_off(error, "req_1"))[0]

    def test_an_answer_without_chunks_is_an_empty_array(self) -> None:
        assert GeminiStream(as_array=True).close(b"", Answer(), Usage(), Micro(0)) == b"[]"


@PATIENT
@given(st.binary(max_size=60), st.integers(0, 3))
def test_no_stream_is_a_crash(noise: bytes, place: int) -> None:
    payload = b"".join(map(event, TOLD[:place])) + b"data: " + noise + b"\n\n" + event(LAST)
    GeminiStream().find_usage(payload)
    assert GeminiStream().read(payload, len(payload)).usage == TRUE_USAGE
