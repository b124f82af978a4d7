"""What is read of a client's request, and how a bad one is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.errors import HyperealError
from hypereal.wire.base import BARE, Context, Envelope
from hypereal.wire.fields import IMAGE_TOKENS
from hypereal.wire.gemini import speaks_openai
from tests.wire.gemini.asking import (
    CONTENTS,
    EITHER,
    IN_PATH,
    MODEL,
    STREAM,
    WHOLE,
    WITH_EVENTS,
    accepted,
    body_of,
    parse,
    raw_fields,
    refused,
)
from tests.wire.gemini.canonical import PATIENT
from tests.wire.test_parsing import JSON_VALUES, nested


def test_the_options_that_money_needs_are_read() -> None:
    config = {"maxOutputTokens": 100, "candidateCount": 3, "temperature": 0.5}
    envelope = accepted(body_of(generationConfig=config, intent="chat-fast", cachedContent="cachedContents/c"))
    assert (envelope.model, envelope.stream) == (MODEL, False)
    assert (envelope.max_output_tokens, envelope.choices) == (100, 3)
    assert (envelope.intent, envelope.session) == ("chat-fast", "cachedContents/c")


def test_what_is_not_said_has_defaults() -> None:
    envelope = accepted(body_of())
    assert (envelope.max_output_tokens, envelope.choices, envelope.session, envelope.intent) == (None, 1, None, None)
    assert envelope.shows_usage
    assert not envelope.as_array


def test_snake_case_is_understood() -> None:
    envelope = accepted(body_of(generation_config={"max_output_tokens": 7, "candidate_count": None}))
    assert (envelope.max_output_tokens, envelope.choices) == (7, 1)


@pytest.mark.parametrize(
    "given_name",
    ["m", "models/m", "publishers/google/models/m", "projects/p/locations/l/publishers/google/models/m"],
)
def test_a_model_is_named_without_its_collection(given_name: str) -> None:
    assert accepted(body_of(), Context(model=given_name)).model == "m"
    assert accepted(body_of(model=given_name), BARE, EITHER).model == "m"


def test_the_path_names_the_model_before_the_body_does() -> None:
    assert accepted(body_of(model="other")).model == MODEL


def test_a_request_for_an_intent_needs_no_model() -> None:
    assert accepted(body_of(intent="chat-fast"), BARE, EITHER).model is None
    assert refused(body_of(), BARE, EITHER).param == "model"


@pytest.mark.parametrize(
    ("query", "is_array"),
    [(b"", True), (b"alt=json", True), (b"alt=sse", False), (b"key=k&alt=sse", False), (b"%24alt=sse", False)],
)
def test_a_stream_comes_as_an_array_unless_events_are_asked_for(query: bytes, is_array: bool) -> None:
    envelope = accepted(body_of(), Context(model=MODEL, query=query), STREAM)
    assert envelope.stream
    assert envelope.as_array is is_array


@pytest.mark.parametrize("stream", [True, False, None])
def test_without_a_model_in_the_path_the_body_says_whether_to_stream(stream: bool | None) -> None:
    envelope = accepted(body_of(model="m", stream=stream), BARE, EITHER)
    assert envelope.stream is bool(stream)
    assert not envelope.as_array


def test_on_a_native_path_the_verb_says_whether_to_stream() -> None:
    assert not accepted(body_of(stream=True), IN_PATH, WHOLE).stream
    assert accepted(body_of(stream=False), WITH_EVENTS, STREAM).stream


USER = {"role": "user", "parts": [{"text": "Hi"}]}


@pytest.mark.parametrize(
    ("contents", "written"),
    [
        ("Hi", [USER]),
        (USER, [USER]),
        (["Hi"], [USER]),
        (["Hi", USER], [USER, USER]),
    ],
)
def test_short_forms_of_contents_are_written_out(contents: Any, written: Any) -> None:
    envelope = accepted(body_of(contents=contents, systemInstruction="Be brief"))
    body = json.loads(envelope.body)
    assert body["contents"] == written
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief"}]}


def test_contents_with_white_space_stay_as_they_are() -> None:
    body = b'{"contents": [\n {"parts": [{"text": "Hi"}]} ]}'
    assert accepted(body).body is body


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"contents": ...}, "contents"),
        ({"contents": None}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": 5}, "contents"),
        ({"generationConfig": 5}, "generationConfig"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "maxOutputTokens"),
        ({"generationConfig": {"maxOutputTokens": "many"}}, "maxOutputTokens"),
        ({"generationConfig": {"candidateCount": 9}}, "candidateCount"),
        ({"intent": 5}, "intent"),
        ({"cachedContent": 5}, "cachedContent"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], param: str) -> None:
    refusal = refused(body_of(**fields))
    assert (refusal.status, refusal.param) == (400, param)
    assert param in refusal.message


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b'{"contents": "\xff"}', nested(200_000)])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    assert refused(body).status == 400


def test_inline_files_are_estimated_as_images() -> None:
    files = [{"inlineData": {"mimeType": "image/png", "data": "A" * 300_000}} for _ in range(2)]
    estimate = accepted(body_of(contents=[{"parts": files}])).input_estimate
    assert 2 * IMAGE_TOKENS < estimate < 2 * IMAGE_TOKENS + 100
    prose = accepted(body_of(contents=[{"parts": [{"text": "A" * 300_000}]}])).input_estimate
    assert prose > 100_000


def test_a_small_file_counts_no_more_than_a_large_one() -> None:
    small, large = (
        accepted(body_of(contents=[{"parts": [{"inlineData": {"data": "A" * size}}]}])).input_estimate
        for size in (40_000, 400_000)
    )
    assert small == large


def test_a_file_without_end_is_no_fault() -> None:
    text = 'say "data": "' + "A" * 70_000
    assert accepted(body_of(contents=[{"parts": [{"text": text}]}])).input_estimate > 20_000


def test_the_shape_of_chat_completions_is_recognised() -> None:
    assert speaks_openai(raw_fields({"messages": []}))
    assert not speaks_openai(raw_fields({"contents": CONTENTS, "messages": []}))
    assert not speaks_openai(raw_fields({}))


@PATIENT
@given(st.dictionaries(st.sampled_from(["contents", "generationConfig", "systemInstruction", "model"]), JSON_VALUES))
def test_nothing_in_a_request_is_a_crash(fields: dict[str, Any]) -> None:
    assert isinstance(parse(json.dumps(fields).encode(), BARE, EITHER), Envelope | HyperealError)
