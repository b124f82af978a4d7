"""Reading requests: what is taken from a body, and that every refusal names the field it could not read."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.errors import HyperealError, InvalidRequest
from hypereal.wire import DIALECTS, ENDPOINTS
from hypereal.wire.base import Envelope
from hypereal.wire.fields import BYTES_PER_TOKEN, IMAGE_TOKENS, LARGE_BODY_BYTES, estimate_input, likely_input
from tests.wire.asking import BODIES, CHAT, COMPLETION, EMBEDDING, MESSAGES, NATIVE, accepted, body_of, parse, refused

EVERY_PATH = sorted(BODIES)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def test_every_endpoint_has_a_dialect() -> None:
    assert {endpoint.dialect for endpoint in ENDPOINTS} == set(DIALECTS) - {"gemini_chat"}  # told by the body
    assert len({endpoint.path for endpoint in ENDPOINTS}) == len(ENDPOINTS)


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not valid JSON"),
        (b"   ", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"model": "m",}', "not valid JSON"),
        (b'{"model": "m"} x', "not valid JSON"),
        (b'{"model": NaN}', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"x": "\\ud800"}', "not valid JSON"),
        (b"null", "must be a JSON object"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b'{"x": "\xff"}', "not valid UTF-8"),
        (b'{"x": ["\xc3\x28"]}', "not valid UTF-8"),
        (b'{"x": ' + nested(200_000) + b"}", "nested too deeply"),
        (b'{"messages": ' + nested(200_000) + b"}", "nested too deeply"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(path: str, body: bytes, says: str) -> None:
    refusal = refused(path, body)
    assert isinstance(refusal, InvalidRequest)
    assert says in refusal.message


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (CHAT, {"model": ...}, "model"),
        (CHAT, {"model": None}, "model"),
        (CHAT, {"model": ""}, "model"),
        (CHAT, {"model": 7}, "model"),
        (CHAT, {"model": ["m"]}, "model"),
        (CHAT, {"intent": 7}, "intent"),
        (CHAT, {"messages": ...}, "messages"),
        (CHAT, {"messages": None}, "messages"),
        (CHAT, {"messages": "Hi"}, "messages"),
        (CHAT, {"messages": {}}, "messages"),
        (CHAT, {"messages": []}, "messages"),
        (CHAT, {"stream": "yes"}, "stream"),
        (CHAT, {"stream": 1}, "stream"),
        (CHAT, {"max_tokens": "10"}, "max_tokens"),
        (CHAT, {"max_tokens": 0}, "max_tokens"),
        (CHAT, {"max_tokens": -1}, "max_tokens"),
        (CHAT, {"max_tokens": 1.5}, "max_tokens"),
        (CHAT, {"max_completion_tokens": True}, "max_completion_tokens"),
        (CHAT, {"max_completion_tokens": 0}, "max_completion_tokens"),
        (CHAT, {"n": 0}, "n"),
        (CHAT, {"n": 129}, "n"),
        (CHAT, {"n": "2"}, "n"),
        (CHAT, {"stream_options": "usage"}, "stream_options"),
        (CHAT, {"stream_options": [1]}, "stream_options"),
        (CHAT, {"stream_options": {"include_usage": "no"}}, "stream_options.include_usage"),
        (CHAT, {"stream_options": {"include_usage": 0}}, "stream_options.include_usage"),
        (COMPLETION, {"model": ...}, "model"),
        (COMPLETION, {"prompt": ...}, "prompt"),
        (COMPLETION, {"prompt": None}, "prompt"),
        (COMPLETION, {"prompt": {}}, "prompt"),
        (COMPLETION, {"prompt": 7}, "prompt"),
        (COMPLETION, {"best_of": 0}, "best_of"),
        (COMPLETION, {"best_of": 129}, "best_of"),
        (EMBEDDING, {"model": ...}, "model"),
        (EMBEDDING, {"input": ...}, "input"),
        (EMBEDDING, {"input": False}, "input"),
        (NATIVE, {"messages": ...}, "messages"),
        (NATIVE, {"messages": []}, "messages"),
        (NATIVE, {"messages": "Hi"}, "messages"),
        (NATIVE, {"temperature": "hot"}, "temperature"),
        (NATIVE, {"temperature": -0.1}, "temperature"),
        (NATIVE, {"temperature": 2.1}, "temperature"),
        (NATIVE, {"max_tokens": 0}, "max_tokens"),
        (NATIVE, {"max_completion_tokens": "x"}, "max_completion_tokens"),
        (NATIVE, {"stream": None, "n": 200}, "n"),
        (NATIVE, {"stream": "no"}, "stream"),
        (NATIVE, {"stream_options": 1}, "stream_options"),
        (NATIVE, {"model": 1}, "model"),
        (NATIVE, {"intent": 1}, "intent"),
    ],
)
def test_a_refusal_names_the_field(path: str, fields: dict[str, Any], param: str) -> None:
    refusal = refused(path, body_of(path, **fields))
    assert isinstance(refusal, InvalidRequest)
    assert refusal.status == 400
    assert refusal.param == param
    assert param in refusal.message.lower()


def test_a_missing_model_is_refused_in_the_documented_words() -> None:
    assert refused(CHAT, body_of(CHAT, model=...)).message == "Model is required"


def test_a_chat_is_read() -> None:
    body = body_of(CHAT, stream=True, max_tokens=7, n=3, intent="chat-fast")
    envelope = accepted(CHAT, body)
    assert envelope.model == "m"
    assert envelope.intent == "chat-fast"
    assert envelope.stream is True
    assert envelope.max_output_tokens == 7
    assert envelope.choices == 3
    assert envelope.shows_usage is True
    assert envelope.input_estimate == len(body) // 3 + 1
    assert envelope.body is body


@pytest.mark.parametrize("path", [CHAT, COMPLETION, EMBEDDING])
def test_defaults_are_openais(path: str) -> None:
    envelope = accepted(path, body_of(path))
    assert (envelope.stream, envelope.max_output_tokens, envelope.choices) == (False, None, 1)


def test_a_null_means_the_default() -> None:
    nulls = dict.fromkeys(("stream", "max_tokens", "max_completion_tokens", "n", "stream_options", "intent"))
    envelope = accepted(CHAT, body_of(CHAT, **nulls))
    assert (envelope.stream, envelope.max_output_tokens, envelope.choices) == (False, None, 1)
    assert envelope.shows_usage is True


def test_an_intent_stands_for_a_model() -> None:
    envelope = accepted(CHAT, body_of(CHAT, model=..., intent="chat-fast"))
    assert (envelope.model, envelope.intent) == (None, "chat-fast")


def test_embeddings_do_not_stream() -> None:
    assert accepted(EMBEDDING, body_of(EMBEDDING, stream=True)).stream is False


@pytest.mark.parametrize(
    ("options", "shows"),
    [({}, True), ({"include_usage": True}, True), ({"include_usage": False}, False), ({"include_usage": None}, True)],
)
def test_only_a_false_said_aloud_hides_usage(options: dict[str, Any], shows: bool) -> None:
    assert accepted(CHAT, body_of(CHAT, stream_options=options)).shows_usage is shows


def test_stream_options_with_a_fault_inside_are_refused_by_name() -> None:
    refusal = refused(CHAT, b'{"model": "m", "messages": [{}], "stream_options": {"x": 1e999}}')
    assert refusal.param == "stream_options"


@pytest.mark.parametrize(
    ("old", "new", "limit"), [(10, None, 10), (None, 10, 10), (10, 500, 500), (500, 10, 500), (None, None, None)]
)
def test_of_two_limits_the_larger_is_held_for(old: int | None, new: int | None, limit: int | None) -> None:
    envelope = accepted(CHAT, body_of(CHAT, max_tokens=old, max_completion_tokens=new))
    assert envelope.max_output_tokens == limit


@pytest.mark.parametrize(
    ("fields", "choices"),
    [
        ({"prompt": "Hi"}, 1),
        ({"prompt": "Hi", "n": 3}, 3),
        ({"prompt": "Hi", "n": 2, "best_of": 5}, 5),
        ({"prompt": "Hi", "n": 5, "best_of": 2}, 5),
        ({"prompt": ["one", "two", "three"]}, 3),
        ({"prompt": ["one", "two"], "n": 4}, 8),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]]}, 2),
        ({"prompt": []}, 1),
    ],
)
def test_every_completion_that_is_generated_counts(fields: dict[str, Any], choices: int) -> None:
    assert accepted(COMPLETION, body_of(COMPLETION, **fields)).choices == choices
    spaced = json.dumps({**BODIES[COMPLETION], **fields}, indent=2).encode()
    assert accepted(COMPLETION, spaced).choices == choices


def test_messages_may_be_written_with_white_space() -> None:
    body = b'{ "model" : "m" ,\r\n "messages" : [\n\t{"role": "user", "content": "Hi"}\n] }'
    assert accepted(CHAT, body).model == "m"


def test_of_a_field_given_twice_the_last_one_counts() -> None:
    envelope = accepted(CHAT, b'{"model": "a", "messages": [{}], "model": "b", "mod\\u0065l": "c"}')
    assert envelope.model == "c"


def test_escaped_and_foreign_text_is_read() -> None:
    body = json.dumps({"model": "模型-é-🙂", "messages": MESSAGES}).encode()
    assert accepted(CHAT, body).model == "模型-é-🙂"
    assert accepted(CHAT, '{"model": "模型", "messages": [{"content": "안녕"}]}'.encode()).model == "模型"


def test_depth_that_json_readers_can_take_is_not_refused() -> None:
    body = b'{"model": "m", "messages": [{}], "x": ' + nested(300) + b"}"
    assert accepted(CHAT, body).body is body


def test_a_large_body_is_read_whole() -> None:
    body = body_of(CHAT, messages=[{"role": "user", "content": "x" * 5_000_000}])
    assert accepted(CHAT, body).input_estimate == len(body) // 3 + 1


def test_native_chat_has_its_own_defaults() -> None:
    envelope = accepted(NATIVE, body_of(NATIVE))
    assert (envelope.model, envelope.stream, envelope.max_output_tokens) == (None, True, 4096)
    assert json.loads(envelope.body) == {
        "messages": MESSAGES,
        "temperature": 0.8,
        "max_tokens": 4096,
        "stream": True,
    }


def test_native_chat_heeds_what_is_given() -> None:
    given = {"model": "m", "temperature": 0, "max_tokens": 9, "stream": False, "n": 2, "intent": "i", "top_p": 0.5}
    envelope = accepted(NATIVE, body_of(NATIVE, **given))
    assert (envelope.model, envelope.intent, envelope.stream) == ("m", "i", False)
    assert (envelope.max_output_tokens, envelope.choices) == (9, 2)
    assert json.loads(envelope.body) == {"messages": MESSAGES, **given}


def test_native_chat_takes_nulls_as_absent() -> None:
    body = body_of(NATIVE, temperature=None, max_tokens=None, stream=None)
    assert json.loads(accepted(NATIVE, body).body)["temperature"] == 0.8


@pytest.mark.parametrize(("old", "new", "limit"), [(5, 900, 5), (None, 900, 900)])
def test_native_chat_says_its_limit_once(old: int | None, new: int, limit: int) -> None:
    envelope = accepted(NATIVE, body_of(NATIVE, max_tokens=old, max_completion_tokens=new))
    sent = json.loads(envelope.body)
    assert envelope.max_output_tokens == sent["max_tokens"] == limit
    assert "max_completion_tokens" not in sent
    assert "max_completion_tokens" not in envelope.fields


def test_inline_files_are_estimated_as_images() -> None:
    picture = "data:image/png;base64," + "A" * 600_000
    text = "x" * 300
    body = body_of(CHAT, messages=[{"content": [{"url": picture}, {"url": picture}, {"text": text}]}])
    assert 2 * IMAGE_TOKENS < estimate_input(body) < 2 * IMAGE_TOKENS + 300
    unfinished = b"x" * LARGE_BODY_BYTES + b";base64," + b"A" * 100_000
    assert estimate_input(unfinished) == (LARGE_BODY_BYTES + len(b";base64,")) // BYTES_PER_TOKEN + IMAGE_TOKENS + 1


@pytest.mark.parametrize("size", [40_000, 400_000])
def test_an_image_counts_the_same_whatever_its_size(size: int) -> None:
    body = body_of(CHAT, messages=[{"content": [{"url": "data:image/png;base64," + "iV+//4==" * (size // 8)}]}])
    body = body.replace(b"//", b"/\\/")  # as some clients write it
    assert IMAGE_TOKENS <= estimate_input(body) < IMAGE_TOKENS + 100


def test_words_about_inline_files_are_text() -> None:
    prose = "A data URL reads data:image/png;base64, and then the image follows. " * 1000
    assert estimate_input(body_of(CHAT, messages=[{"content": prose}])) > len(prose) // BYTES_PER_TOKEN


@given(st.integers(0, 10**9))
def test_a_likely_input_is_at_most_the_generous_one(estimate: int) -> None:
    assert 0 <= likely_input(estimate) <= estimate


@given(st.sampled_from(EVERY_PATH), st.binary(max_size=200))
def test_no_bytes_raise(path: str, body: bytes) -> None:
    assert isinstance(parse(path, body), Envelope | HyperealError)


@given(
    st.sampled_from(EVERY_PATH),
    st.dictionaries(
        st.sampled_from(
            ["model", "intent", "messages", "prompt", "input", "stream", "max_tokens", "n", "best_of", "stream_options"]
        )
        | st.text(max_size=5),
        JSON_VALUES,
        max_size=6,
    ),
)
def test_no_values_raise_and_what_is_accepted_can_be_built(path: str, fields: dict[str, Any]) -> None:
    envelope = parse(path, json.dumps({**BODIES[path], **fields}).encode())
    if isinstance(envelope, HyperealError):
        assert envelope.param
        return
    dialect = DIALECTS[envelope.endpoint.dialect]
    sent = msgspec.json.decode(dialect.build(envelope, "other", drop=frozenset(), rename=()), type=dict[str, Any])
    assert sent["model"] == "other"
    assert envelope.choices >= 1
    assert envelope.max_output_tokens is None or envelope.max_output_tokens >= 1
