"""The native request and answer: what is read of them, and that the rest passes untouched."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from hypereal.errors import HyperealError, InvalidRequest
from hypereal.kit.money import ZERO
from hypereal.wire.base import Answer, Context, Endpoint, Envelope, Garbage, Renames, Usage
from hypereal.wire.conversation import Opaque
from hypereal.wire.opaque import seal
from hypereal.wire.openai_responses.native import COUNTED as COUNTED_FIELDS
from hypereal.wire.openai_responses.native_stream import ResponsesStream
from hypereal.wire.openai_responses.response import echo
from tests.wire.openai_responses.asking import (
    ANSWERS,
    COMPACTS,
    COUNTED,
    COUNTS,
    DIALECTS,
    accepted,
    body_of,
    event,
    message,
    refused,
    response,
)

ALL = pytest.mark.parametrize("endpoint", [ANSWERS, COMPACTS, COUNTS], ids=lambda endpoint: endpoint.path)
DIALECT = DIALECTS[ANSWERS.path]
SEALED = seal(Opaque("anthropic", "signature"), "openai_responses")


def built(envelope: Envelope, model: str = "m", drop: frozenset[str] = frozenset(), rename: Renames = ()) -> bytes:
    return DIALECTS[envelope.endpoint.path].build(envelope, model, drop=drop, rename=rename)


@ALL
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(endpoint: Endpoint, body: bytes, says: str) -> None:
    refusal = DIALECTS[endpoint.path].parse(endpoint, body)
    assert isinstance(refusal, InvalidRequest)
    assert says in refusal.message


@ALL
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ...}, "model"),
        ({"model": 5}, "model"),
        ({"input": ...}, "input"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": {"role": "user"}}, "input"),
        ({"input": None, "previous_response_id": None, "prompt": None}, "input"),
        ({"prompt_cache_key": 5}, "prompt_cache_key"),
        ({"intent": []}, "intent"),
    ],
)
def test_every_refusal_names_its_field(endpoint: Endpoint, fields: dict[str, Any], param: str) -> None:
    refusal = refused(endpoint, **fields)
    assert isinstance(refusal, InvalidRequest)
    assert refusal.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stream": "yes"}, "stream"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
        ({"store": "no"}, "store"),
        ({"store": 0}, "store"),
        ({"background": 1}, "background"),
        ({"background": True}, "background"),
    ],
)
def test_the_options_of_an_answer_are_checked(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields).param == param
    assert accepted(COUNTS, **fields).stream is False
    assert accepted(COMPACTS, **fields).max_output_tokens is None


@pytest.mark.parametrize(
    "fields",
    [
        {"input": ""},
        {"input": []},
        {"input": [{"role": "user", "content": "Hi"}]},
        {"input": ..., "prompt": {"id": "pmpt_1"}},
        {"input": None, "previous_response_id": "resp_1"},
        {"input": ..., "conversation": "conv_1"},
        {"tools": 5, "reasoning": "odd", "no_such_field": {"deep": [1]}, "background": False, "store": None},
    ],
)
def test_whatever_may_begin_a_response_is_accepted(fields: dict[str, Any]) -> None:
    envelope = accepted(**fields)
    assert (envelope.model, envelope.stream, envelope.max_output_tokens) == ("m", False, None)
    assert built(envelope) is envelope.body


def test_an_intent_stands_for_a_model() -> None:
    envelope = accepted(model=..., intent="fast-chat")
    assert (envelope.model, envelope.intent) == (None, "fast-chat")
    assert json.loads(built(envelope, "chosen")) == {"model": "chosen", "input": "Hi"}


def test_the_limit_and_the_stream_are_read() -> None:
    envelope = accepted(stream=True, max_output_tokens=77)
    assert (envelope.stream, envelope.max_output_tokens, envelope.choices) == (True, 77, 1)


@pytest.mark.parametrize(
    ("fields", "headers", "session"),
    [
        ({}, {}, None),
        ({"prompt_cache_key": "key"}, {b"session-id": b"s"}, "key"),
        ({}, {b"session-id": b"s", b"thread-id": b"t"}, "s"),
        ({}, {b"thread-id": b"t", b"x-session-id": b"x"}, "t"),
        ({}, {b"session-id": b"", b"x-session-id": b"x\xe9"}, "xé"),
    ],
)
def test_a_session_is_told_by_its_key_or_its_headers(
    fields: dict[str, Any], headers: dict[bytes, bytes], session: str | None
) -> None:
    assert accepted(context=Context(headers=headers), **fields).session == session


def test_only_headers_that_change_the_answer_are_forwarded() -> None:
    lite = b"x-openai-internal-codex-responses-lite"
    headers = {b"openai-beta": b"b=1", lite: b"true", b"originator": b"codex", b"session-id": b"s"}
    envelope = accepted(context=Context(headers=headers))
    assert envelope.headers == (("openai-beta", "b=1"), (lite.decode(), "true"))


def test_only_the_model_changes() -> None:
    body = b'{"model":"m",  "input":[ {"role":"user","content":"a\\u00e9"} ],"x":1.50}'
    envelope = DIALECT.parse(ANSWERS, body)
    assert isinstance(envelope, Envelope)
    assert built(envelope) is body
    assert built(envelope, "n") == b'{"model":"n","input":[ {"role":"user","content":"a\\u00e9"} ],"x":1.50}'


def test_our_own_fields_and_refused_ones_stay_here() -> None:
    envelope = accepted(hypereal={"cache": False}, intent="x", user="u", max_output_tokens=5, truncation=None)
    rename = (("max_output_tokens", "limit"), ("absent", "x"))
    sent = json.loads(built(envelope, drop=frozenset({"user"}), rename=rename))
    assert sent == {"model": "m", "input": "Hi", "truncation": None, "limit": 5}


def test_a_field_is_not_renamed_over_another() -> None:
    envelope = accepted(max_output_tokens=5, limit=7)
    assert json.loads(built(envelope, rename=(("max_output_tokens", "limit"),)))["limit"] == 7


def test_sealed_reasoning_of_another_format_is_taken_out_and_nothing_else() -> None:
    own = b'{"type":"reasoning" ,"id":"rs_1","summary":[],"encrypted_content":"gAAA\\u0041"}'
    said = json.dumps({"role": "user", "content": SEALED}).encode()
    odd = json.dumps({"type": "reasoning", "encrypted_content": [SEALED]}).encode()
    sealed = json.dumps({"type": "reasoning", "summary": [], "encrypted_content": SEALED}).encode()
    body = b'{"model":"m","input":[' + b",".join([own, sealed, said, odd]) + b"]}"
    envelope = DIALECT.parse(ANSWERS, body)
    assert isinstance(envelope, Envelope)
    assert built(envelope) == b'{"model":"m","input":[' + b",".join([own, said, odd]) + b"]}"
    assert envelope.dropped == ("thinking",)


def test_a_sealed_word_that_is_no_reasoning_stays() -> None:
    envelope = accepted(input=SEALED)
    assert json.loads(built(envelope)) == {"model": "m", "input": SEALED}
    assert envelope.dropped == ()


def test_a_count_is_asked_with_the_fields_it_takes() -> None:
    envelope = accepted(COUNTS, tools=[], stream=True, store=False, include=["x"], max_output_tokens=5)
    assert json.loads(built(envelope, "n")) == {"model": "n", "input": "Hi", "tools": []}
    assert built(accepted(COUNTS)) == body_of()
    assert {"model", "input"} <= COUNTED_FIELDS


def test_a_count_is_read_and_rendered() -> None:
    dialect = DIALECTS[COUNTS.path]
    body = dialect.render_count(12)  # type: ignore[attr-defined]
    assert json.loads(body) == {"object": "response.input_tokens", "input_tokens": 12}
    assert dialect.read_answer(body) == Answer(is_complete=True)
    for garbage in (b"{}", b"<html>", b'{"input_tokens":"many"}'):
        with pytest.raises(Garbage):
            dialect.read_answer(garbage)


def test_a_whole_answer_is_read() -> None:
    answer = DIALECT.read_answer(msgspec.json.encode(response(message("Héllo"))))
    usage = Usage(input=13, cache_read=4, cache_write=3, output=8, reasoning=5)
    assert answer == Answer(usage=usage, output_bytes=6, is_complete=True)


def test_every_kind_of_output_counts() -> None:
    items: list[dict[str, Any]] = [
        message("12", "345"),
        {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "six"}], "encrypted_content": "xxxx"},
        {"type": "function_call", "arguments": "{}", "call_id": "c", "name": "f"},
        {"type": "custom_tool_call", "input": "abc", "call_id": "c", "name": "f"},
        {"type": "x"},
        {"type": "message", "content": 7},
    ]
    body = msgspec.json.encode(response(*items, usage=None))
    answer = DIALECT.read_answer(body)
    assert (answer.usage, answer.output_bytes) == (None, 5 + 2 + 3 + 2 + 3 + len('{"type":"x"}'))


@pytest.mark.parametrize("usage", [None, "many", {}, {"input_tokens": "x"}, {"input_tokens_details": 5}, [1]])
def test_usage_of_an_unknown_shape_is_no_usage(usage: Any) -> None:
    answer = DIALECT.read_answer(msgspec.json.encode(response(message("Hi"), usage=usage)))
    assert answer == Answer(output_bytes=2, is_complete=True)


def test_usage_beyond_reason_is_bounded() -> None:
    odd = {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 9, "cache_write_tokens": 9}}
    odd |= {"output_tokens": -3, "output_tokens_details": {"reasoning_tokens": 4}}
    answer = DIALECT.read_answer(msgspec.json.encode(response(message("Hi"), usage=odd)))
    assert answer.usage == Usage(cache_read=5)


def test_an_answer_that_says_nothing_is_empty() -> None:
    assert DIALECT.read_answer(msgspec.json.encode(response(usage=None))).is_empty
    assert not DIALECT.read_answer(msgspec.json.encode(response(usage=COUNTED))).is_empty


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"error": {"code": "server_error", "message": "broke"}, "status": "failed"}, "broke"),
        ({"error": {"code": "server_error"}}, "server_error"),
        ({"error": "overloaded"}, "overloaded"),
        ({"status": "failed"}, "unnamed error"),
    ],
)
def test_an_error_that_claims_success_is_an_error(fields: dict[str, Any], says: str) -> None:
    assert DIALECT.read_answer(msgspec.json.encode(response(**fields))).error == says


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"output":5}', b'{"output":[5]}', b'{"output":[' + b"[" * 100_000]
)
def test_what_is_no_answer_is_garbage(body: bytes) -> None:
    with pytest.raises(Garbage):
        DIALECT.read_answer(body)


def test_a_compaction_is_an_answer_like_any_other() -> None:
    body = {"id": "resp_1", "object": "response.compaction", "output": [{"type": "compaction", "id": "c"}]}
    answer = DIALECTS[COMPACTS.path].read_answer(msgspec.json.encode({**body, "usage": COUNTED}))
    assert answer.is_complete
    assert not answer.is_empty
    assert answer.usage is not None


def test_the_client_gets_the_answer_as_it_is() -> None:
    assert DIALECT.render_answer(accepted(), b" {} ", Usage(), 5) == b" {} "  # type: ignore[arg-type]
    assert isinstance(DIALECT.stream(accepted()), ResponsesStream)


def test_a_refusal_is_a_value() -> None:
    assert isinstance(refused(model=...), HyperealError)


def test_what_an_answer_goes_on_from_is_said_in_it_whoever_answers() -> None:
    whole = msgspec.structs.replace(accepted(input="third", stream=True), went_on_from="resp_1")
    upstream = b'{"id":"resp_2","previous_response_id": null,"output":[]}'
    assert json.loads(DIALECT.render_answer(whole, upstream, Usage(), ZERO))["previous_response_id"] == "resp_1"
    stream = DIALECT.stream(whole)
    assert stream.rewrites_events
    text = event("response.output_text.delta", delta='"previous_response_id": null')
    assert stream.edit(text) == text
    for kind in ("response.created", "response.completed"):
        told = event(kind, response={"id": "resp_2", "previous_response_id": None})
        is_last = kind == "response.completed"
        edited = stream.close(told, Answer(usage=Usage()), Usage(), ZERO) if is_last else stream.edit(told)
        assert b'"previous_response_id":"resp_1"' in edited.replace(b": ", b":")
    assert json.loads(b"{" + echo(whole))["previous_response_id"] == "resp_1"
    assert not DIALECT.stream(accepted(input="first")).rewrites_events
