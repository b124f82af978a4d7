"""Whole answers: usage in every spelling, emptiness, errors in the place of answers, and what is no answer at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.money import Micro
from hypereal.wire import DIALECTS
from hypereal.wire.base import Answer, Garbage, Usage
from hypereal.wire.openai_chat.usage import UsageFields, estimate_tokens, render_usage, to_usage
from tests.wire.asking import CHAT, EMBEDDING, NATIVE, accepted, body_of
from tests.wire.test_parsing import JSON_VALUES, nested

CHATS = DIALECTS["openai_chat"]
EMBEDDINGS = DIALECTS["openai_embedding"]
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
COUNTED = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


def read(**fields: Any) -> Answer:
    return CHATS.read_answer(json.dumps({"choices": [CHOICE], **fields}).encode())


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        (COUNTED, Usage(input=9, output=3)),
        ({**COUNTED, "prompt_tokens_details": None, "completion_tokens_details": None}, Usage(input=9, output=3)),
        (
            {**COUNTED, "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0}},
            Usage(input=5, cache_read=4, output=3),
        ),
        (
            {**COUNTED, "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2}},
            Usage(input=3, cache_read=4, cache_write=2, output=3),
        ),
        ({**COUNTED, "completion_tokens_details": {"reasoning_tokens": 2}}, Usage(input=9, output=1, reasoning=2)),
        (
            {**COUNTED, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 1},
            Usage(input=1, cache_read=8, output=3),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 3,
                "total_tokens": 20,
                "completion_tokens_details": {"reasoning_tokens": 8},
            },
            Usage(input=9, output=3, reasoning=8),
        ),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage()),
        ({"prompt_tokens": 9}, Usage(input=9)),
        ({"completion_tokens": 3}, Usage(output=3)),
        ({"prompt_tokens": -9, "completion_tokens": -3}, Usage()),
        ({**COUNTED, "prompt_tokens_details": {"cached_tokens": 100}}, Usage(cache_read=9, output=3)),
        ({**COUNTED, "prompt_tokens_details": {"cached_tokens": -5}}, Usage(input=9, output=3)),
        ({**COUNTED, "completion_tokens_details": {"reasoning_tokens": 99}}, Usage(input=9, reasoning=3)),
        ({**COUNTED, "queue_time": 0.1, "cost": {"usd": 1}}, Usage(input=9, output=3)),
        (None, None),
        ({}, None),
        ({"prompt_tokens": None, "completion_tokens": None, "total_tokens": 12}, None),
        ({"prompt_tokens": "9", "completion_tokens": 3}, None),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": [1]}, None),
        ([], None),
        ("12 tokens", None),
        (12, None),
    ],
)
def test_usage_is_read_in_every_spelling(reported: Any, usage: Usage | None) -> None:
    answer = read(usage=reported)
    assert answer.usage == usage
    assert not answer.is_empty
    assert answer.error is None
    assert answer.is_complete


def test_usage_that_is_absent_is_not_zero() -> None:
    assert read().usage is None
    assert read().output_bytes == len("Hello")
    assert read(usage={"prompt_tokens": 0, "completion_tokens": 0}).usage is not None


@pytest.mark.parametrize(
    ("choice", "size"),
    [
        ({"message": {"role": "assistant", "content": "é🙂"}}, 6),
        ({"message": {"role": "assistant", "content": None, "refusal": "No."}}, 3),
        ({"message": {"role": "assistant", "content": [{"type": "text", "text": "x"}]}}, 28),
        ({"message": {"role": "assistant", "tool_calls": [{"id": "1"}]}}, 12),
        ({"message": {"role": "assistant", "reasoning_content": "Hm"}}, 2),
        ({"text": "once"}, 4),
    ],
)
def test_what_was_generated_is_measured_when_nobody_counted(choice: dict[str, Any], size: int) -> None:
    answer = read(choices=[choice])
    assert answer.output_bytes == size
    assert not answer.is_empty


@pytest.mark.parametrize(
    "choices",
    [
        [],
        None,
        [{"message": {"role": "assistant", "content": ""}}],
        [{"message": {"role": "assistant", "content": None, "annotations": [1]}}],
        [{"message": None}],
        [{"text": ""}],
        [{}],
    ],
)
@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 9, "completion_tokens": 0}])
def test_an_answer_with_nothing_in_it_is_empty(choices: Any, usage: Any) -> None:
    assert read(choices=choices, usage=usage).is_empty


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"message": "overloaded", "code": 529}, "overloaded"),
        ({"code": "busy"}, "busy"),
        ({}, "unnamed error"),
        ("out of memory", "out of memory"),
        (500, "500"),
    ],
)
def test_an_error_that_claims_success_is_found(error: Any, text: str) -> None:
    assert read(error=error).error == text
    assert CHATS.read_answer(json.dumps({"error": error}).encode()).error == text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'"text"',
        b'{"choices":',
        b'{"choices": {}}',
        b'{"choices": [1]}',
        b'{"choices": [{"message": "Hello"}]}',
        b'{"choices": [{"text": 5}]}',
        b'{"choices": [{"message": {"content": 1e999}}]}',
        b'{"usage": 7, "choices": {}}',
        b'{"usage": 7, "choices": ' + nested(200_000) + b"}",
        b'{"choices": ' + nested(200_000) + b"}",
        b'{"error": ' + nested(200_000) + b"}",
    ],
)
def test_what_is_no_answer_is_garbage(body: bytes) -> None:
    with pytest.raises(Garbage):
        CHATS.read_answer(body)


def test_an_answer_that_was_counted_is_not_looked_into() -> None:
    assert read(choices=["odd"], usage=COUNTED).usage == Usage(input=9, output=3)


def test_embeddings_are_whole_without_text() -> None:
    body = json.dumps({"data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 5, "total_tokens": 5}}).encode()
    assert EMBEDDINGS.read_answer(body) == Answer(usage=Usage(input=5), is_complete=True)
    assert EMBEDDINGS.read_answer(b'{"data": [{}]}') == Answer(is_complete=True)
    assert EMBEDDINGS.read_answer(b'{"data": []}').is_empty


@pytest.mark.parametrize(("path", "dialect"), [(CHAT, CHATS), (EMBEDDING, EMBEDDINGS)])
def test_openai_answers_are_passed_on_as_they_are(path: str, dialect: Any) -> None:
    body = b'{"choices": [ 1 ]}'
    assert dialect.render_answer(accepted(path, body_of(path)), body, Usage(), Micro(2)) is body


def test_a_native_answer_shows_its_own_fields_and_what_it_cost() -> None:
    body = json.dumps(
        {"id": "chatcmpl-1", "object": "o", "created": 1, "model": "m", "choices": [CHOICE], "usage": COUNTED, "x": 1}
    ).encode()
    shown = DIALECTS["native_chat"].render_answer(accepted(NATIVE, body_of(NATIVE)), body, Usage(), Micro(2_500_000))
    assert json.loads(shown) == {
        "id": "chatcmpl-1",
        "object": "o",
        "created": 1,
        "model": "m",
        "choices": [CHOICE],
        "usage": COUNTED,
        "creditsUsed": 2.5,
    }
    bare = DIALECTS["native_chat"].render_answer(
        accepted(NATIVE, body_of(NATIVE)), b'{"choices":[]}', Usage(), Micro(2_000_000)
    )
    assert json.loads(bare) == {"choices": [], "creditsUsed": 2}


COUNTS = st.none() | st.integers(-5, 100)


@given(prompt=COUNTS, completion=COUNTS, total=COUNTS, cached=COUNTS, written=COUNTS, thought=COUNTS, hits=COUNTS)
def test_kinds_of_tokens_are_disjoint_and_none_is_lost(
    *,
    prompt: int | None,
    completion: int | None,
    total: int | None,
    cached: int | None,
    written: int | None,
    thought: int | None,
    hits: int | None,
) -> None:
    fields = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": thought},
        "prompt_cache_hit_tokens": hits,
    }
    usage = read(usage=fields).usage
    if prompt is None and completion is None:
        assert usage is None
        return
    assert usage is not None
    assert min(usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning) >= 0
    assert usage.input_total == max(prompt or 0, 0)
    counted = max(completion or 0, 0)
    assert usage.output_total in (counted, counted + max(thought or 0, 0))


COUNTED_KINDS = st.integers(0, 10**9)


@given(st.builds(Usage, input=COUNTED_KINDS, cache_read=COUNTED_KINDS, output=COUNTED_KINDS, reasoning=COUNTED_KINDS))
def test_rendered_usage_reads_back(usage: Usage) -> None:
    assert read(usage=render_usage(usage)).usage == usage


def test_no_usage_object_is_no_usage() -> None:
    assert to_usage(None) is None
    assert to_usage(UsageFields()) is None


@pytest.mark.parametrize(("size", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_text_is_estimated_at_four_bytes_a_token(size: int, tokens: int) -> None:
    assert estimate_tokens(size) == tokens


@given(st.binary(max_size=100) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_body_raises_anything_but_garbage(body: bytes) -> None:
    for dialect in DIALECTS.values():
        try:
            answer = dialect.read_answer(body)
        except Garbage:
            continue
        assert isinstance(answer, Answer)
