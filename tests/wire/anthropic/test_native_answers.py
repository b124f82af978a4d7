"""Whole answers passed through: what they used, and whether they are answers at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hypereal.kit.money import Micro
from hypereal.wire.anthropic.usage import UsageFields, merge, render_usage, to_usage
from hypereal.wire.base import Answer, Garbage, Usage
from tests.wire.anthropic.asking import COUNTING, NATIVE, accepted, body_of, compact
from tests.wire.test_parsing import nested

COUNTED = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 4,
    "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
    "output_tokens": 9,
    "output_tokens_details": {"thinking_tokens": 5},
    "service_tier": "standard",
}


def answer(**fields: Any) -> bytes:
    whole = {"type": "message", "content": [{"type": "text", "text": "Hé"}], "stop_reason": "end_turn"}
    return compact({**whole, "usage": COUNTED, **fields})


def test_usage_comes_in_disjoint_kinds() -> None:
    read = NATIVE.read_answer(answer())
    assert read == Answer(
        usage=Usage(input=10, cache_read=4, cache_write=1, cache_write_1h=2, output=4, reasoning=5),
        is_complete=True,
        is_empty=False,
    )


def test_cache_writes_are_known_where_only_the_tiers_are_told() -> None:
    tiers = {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}
    usage = NATIVE.read_answer(answer(usage={"input_tokens": 1, "output_tokens": 1, "cache_creation": tiers})).usage
    assert usage == Usage(input=1, output=1, cache_write=1, cache_write_1h=2)


@pytest.mark.parametrize("usage", [None, {}, "many", {"input_tokens": "ten"}, {"input_tokens": None}, [1]])
def test_an_answer_that_counts_nothing_is_estimated(usage: Any) -> None:
    read = NATIVE.read_answer(answer(usage=usage))
    assert read.usage is None
    assert read.output_bytes == 3
    assert read.is_complete


def test_more_thinking_than_output_and_numbers_below_zero_do_not_happen() -> None:
    odd = {"input_tokens": -1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 9}}
    assert NATIVE.read_answer(answer(usage=odd)).usage == Usage(reasoning=2)


def test_every_kind_of_block_counts_to_the_output() -> None:
    content = [
        {"type": "thinking", "thinking": "abc", "signature": "s"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        {"type": "web_search_tool_result", "content": [1]},
        {"type": "text", "text": 5},
    ]
    assert NATIVE.read_answer(answer(content=content, usage=None)).output_bytes == 3 + 7 + 3 + 24


@pytest.mark.parametrize(
    ("content", "reason", "is_empty"),
    [
        ([], "end_turn", True),
        ([], None, True),
        ([{"type": "text", "text": ""}], "end_turn", True),
        ([], "refusal", False),
        ([], "pause_turn", False),
        ([{"type": "text", "text": "x"}], "end_turn", False),
    ],
)
def test_an_answer_is_empty_that_says_nothing_and_has_no_reason_to(content: Any, reason: Any, is_empty: bool) -> None:
    usage = {"input_tokens": 3, "output_tokens": 0}
    assert NATIVE.read_answer(answer(content=content, stop_reason=reason, usage=usage)).is_empty is is_empty


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "Overloaded"),
        ({"type": "error", "error": {"type": "overloaded_error"}}, "overloaded_error"),
        ({"error": "no"}, "no"),
        ({"type": "error"}, "unnamed error"),
        ({"error": {}}, "unnamed error"),
    ],
)
def test_an_error_in_the_place_of_an_answer_is_an_error(body: Any, says: str) -> None:
    assert NATIVE.read_answer(compact(body)).error == says


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b"[]", b'{"content": "x"}', b'{"content":[%b]}' % nested(100_000)]
)
def test_what_is_no_answer_is_garbage(body: bytes) -> None:
    with pytest.raises(Garbage):
        NATIVE.read_answer(body)


def test_the_client_gets_the_upstreams_own_bytes() -> None:
    body = answer()
    assert NATIVE.render_answer(accepted(body_of()), body, Usage(), Micro(0)) is body


def test_a_count_is_complete_and_costs_nothing() -> None:
    assert COUNTING.read_answer(b'{"input_tokens": 5}') == Answer(is_complete=True)
    assert COUNTING.read_answer(b'{"type":"error","error":{"message":"no"}}').error == "no"
    for body in (b"{}", b"[]", b'{"input_tokens": "x"}'):
        with pytest.raises(Garbage):
            COUNTING.read_answer(body)


def test_a_count_of_our_own_looks_like_theirs() -> None:
    assert json.loads(COUNTING.render_count(12)) == {"input_tokens": 12}


def test_usage_is_told_as_it_was_read() -> None:
    usage = Usage(input=10, cache_read=4, cache_write=3, output=4, reasoning=5)
    assert render_usage(usage) == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 4,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 5},
        "server_tool_use": None,
        "service_tier": None,
        "inference_geo": None,
    }


def test_the_end_of_a_stream_knows_better_than_its_start_even_zero() -> None:
    first = UsageFields(input_tokens=10, cache_read_input_tokens=4, output_tokens=1)
    last = UsageFields(input_tokens=0, output_tokens=7)
    assert to_usage(merge(first, last)) == Usage(cache_read=4, output=7)
    assert merge(first, None) is first
    assert merge(None, last) is last
