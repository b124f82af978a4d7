"""Messages passed through: what is read of a request, and what an upstream is sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypereal.errors import InvalidRequest
from hypereal.wire.anthropic import AnthropicMessages
from hypereal.wire.base import Context, Envelope
from hypereal.wire.conversation import Opaque
from hypereal.wire.fields import IMAGE_TOKENS
from hypereal.wire.opaque import seal
from tests.wire.anthropic.asking import COUNTING, MESSAGES, NATIVE, SAID, accepted, body_of, compact, refused
from tests.wire.test_parsing import JSON_VALUES, nested

NOTHING: frozenset[str] = frozenset()
SEALED = seal(Opaque("gemini", "token"), "anthropic")


def built(body: bytes, model: str = "claude") -> bytes:
    return NATIVE.build(accepted(body), model, drop=NOTHING, rename=())


def test_the_fields_that_matter_are_read() -> None:
    envelope = accepted(body_of(stream=True, intent="chat-fast", metadata={"user_id": "u-1"}))
    assert (envelope.model, envelope.stream, envelope.max_output_tokens) == ("claude", True, 100)
    assert (envelope.choices, envelope.intent, envelope.session) == (1, "chat-fast", "u-1")
    assert envelope.input_estimate > 0


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"max_tokens": ...}, "max_tokens", "max_tokens: Field required"),
        ({"max_tokens": None}, "max_tokens", "max_tokens: Field required"),
        ({"max_tokens": -1}, "max_tokens", "at least 0"),
        ({"max_tokens": "5"}, "max_tokens", "integer"),
        ({"messages": ...}, "messages", "messages: Field required"),
        ({"messages": []}, "messages", "non-empty"),
        ({"messages": "Hi"}, "messages", "array"),
        ({"model": ...}, "model", "model: Field required"),
        ({"model": 5}, "model", "string"),
        ({"stream": "yes"}, "stream", "true or false"),
    ],
)
def test_a_refusal_names_the_field(fields: dict[str, Any], param: str, says: str) -> None:
    refusal = refused(body_of(**fields))
    assert isinstance(refusal, InvalidRequest)
    assert refusal.param == param
    assert says in refusal.message


@pytest.mark.parametrize("dialect", [NATIVE, COUNTING])
@pytest.mark.parametrize("size", [40_000, 400_000])
def test_an_inline_image_is_estimated_as_one(dialect: AnthropicMessages, size: int) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * size}}
    body = body_of(messages=[{"role": "user", "content": [image, image]}])
    estimate = accepted(body, dialect=dialect).input_estimate
    assert 2 * IMAGE_TOKENS <= estimate < 2 * IMAGE_TOKENS + 200


def test_a_document_in_plain_text_is_estimated_as_text() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "Once upon a time " * 2000}
    body = body_of(messages=[{"role": "user", "content": [{"type": "document", "source": source}]}])
    assert accepted(body).input_estimate > 10_000


@pytest.mark.parametrize("body", [b"", b"[]", b'{"messages":' + nested(200_000) + b"}", b'{"x":"\xff"}'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    assert isinstance(refused(body), InvalidRequest)


def test_an_intent_stands_for_a_model() -> None:
    assert accepted(body_of(model=..., intent="chat-fast")).model is None


def test_version_and_betas_go_to_the_upstream_but_for_those_of_the_clients_own_account() -> None:
    headers = {
        b"anthropic-version": b"2023-06-01",
        b"anthropic-beta": b"oauth-2025-04-20, context-1m-2025-08-07,,brand-new-2027-01-01",
    }
    envelope = accepted(body_of(), Context(query=b"beta=true", headers=headers))
    betas = "context-1m-2025-08-07,brand-new-2027-01-01"
    assert envelope.headers == (("anthropic-version", "2023-06-01"), ("anthropic-beta", betas))


def test_without_headers_none_are_sent() -> None:
    assert accepted(body_of()).headers == ()
    assert accepted(body_of(), Context(headers={b"anthropic-beta": b"oauth-2025-04-20"})).headers == ()


def test_a_session_header_tells_more_than_the_user() -> None:
    body = body_of(metadata={"user_id": "u-1"})
    assert accepted(body, Context(headers={b"x-claude-code-session-id": b"s-1"})).session == "s-1"


@pytest.mark.parametrize("metadata", [..., None, {}, {"user_id": None}, {"user_id": ""}, {"user_id": 5}, "u", [1]])
def test_odd_metadata_is_no_session_and_no_fault(metadata: Any) -> None:
    assert accepted(body_of(metadata=metadata)).session is None


def test_a_body_that_needs_no_change_is_sent_byte_for_byte() -> None:
    body = body_of(thinking={"type": "adaptive"}, something_new={"a": [1, 2]})
    assert built(body) is body


def test_only_the_model_changes_and_what_speaks_to_this_server_goes() -> None:
    body = body_of(hypereal={"cache": False}, intent="x", top_k=5)
    assert json.loads(built(body, "claude-up")) == {
        "model": "claude-up",
        "max_tokens": 100,
        "messages": SAID,
        "top_k": 5,
    }


def test_fields_are_dropped_and_renamed() -> None:
    envelope = accepted(body_of(top_k=5, speed="fast", tempo=None))
    sent = NATIVE.build(
        envelope, "claude", drop=frozenset({"top_k"}), rename=(("speed", "tempo"), ("absent", "present"))
    )
    assert json.loads(sent) == {"model": "claude", "max_tokens": 100, "messages": SAID, "tempo": "fast"}
    kept = NATIVE.build(envelope, "claude", drop=NOTHING, rename=(("speed", "max_tokens"),))
    assert json.loads(kept)["max_tokens"] == 100


def test_exactly_the_sealed_blocks_of_other_providers_go() -> None:
    own = b'{"type":"thinking", "thinking":"\\u00e9", "signature":"c2ln"}'
    text = b'{"type": "text","text":"says \\"%b"}' % SEALED.encode()
    odd = b'{"type":5,"signature":"%b"}' % SEALED.encode()
    body = b'{"model":"claude","max_tokens":5,"messages":[{"role":"user" , "content":"Hi"},%b,%b,%b]}' % (
        b'{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"%b"},%b,%b,%b]}'
        % (SEALED.encode(), own, text, odd),
        b'{"role":"assistant","content":[{"type":"redacted_thinking","data":"%b"}]}' % SEALED.encode(),
        b'{"role":"user","content":[%b]}' % text,
    )
    assert built(body) == b'{"model":"claude","max_tokens":5,"messages":[{"role":"user" , "content":"Hi"},%b,%b]}' % (
        b'{"role":"assistant","content":[%b,%b,%b]}' % (own, text, odd),
        b'{"role":"user","content":[%b]}' % text,
    )


@pytest.mark.parametrize(("origin", "dropped"), [(SEALED, ("thinking",)), ("c2ln", ())])
def test_reasoning_that_is_left_out_is_named(origin: str, dropped: tuple[str, ...]) -> None:
    thought = {"type": "thinking", "thinking": "x", "signature": origin}
    said = {"type": "text", "text": f"about {SEALED}"}
    envelope = accepted(body_of(messages=[*SAID, {"role": "assistant", "content": [thought, said]}]))
    NATIVE.build(envelope, "claude", drop=NOTHING, rename=())
    assert envelope.dropped == dropped


THOUGHT = {"type": "thinking", "thinking": "x", "signature": "c2ln"}
SEALED_THOUGHT = {**THOUGHT, "signature": SEALED}
CALLED = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
RETURNED = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "1"}]}
ENABLED = {"type": "enabled", "budget_tokens": 2000}


def asked_to_think(thinking: Any, *messages: Any) -> Any:
    return json.loads(built(body_of(thinking=thinking, messages=[*SAID, *messages]))).get("thinking")


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def test_a_loop_of_calls_that_loses_its_thinking_goes_on_without_any() -> None:
    called = assistant(SEALED_THOUGHT, CALLED)
    assert asked_to_think(ENABLED, called, RETURNED) is None
    assert asked_to_think(ENABLED, called, RETURNED, called, RETURNED) is None
    assert asked_to_think(ENABLED, assistant(SEALED_THOUGHT), assistant(CALLED), RETURNED) is None
    assert asked_to_think(ENABLED, assistant(SEALED_THOUGHT, {"type": "text"}), assistant(CALLED), RETURNED) is None


@pytest.mark.parametrize(
    "messages",
    [
        [assistant(SEALED_THOUGHT, CALLED), RETURNED, assistant({"type": "text", "text": "1"}), *SAID],
        [assistant(SEALED_THOUGHT, THOUGHT, CALLED), RETURNED],
        [assistant(THOUGHT, CALLED), RETURNED, assistant(SEALED_THOUGHT, CALLED), RETURNED],
        [assistant(CALLED), RETURNED],
        [assistant(SEALED_THOUGHT, CALLED), {**RETURNED, "role": 5}],
        [assistant(SEALED_THOUGHT, CALLED), {"role": "user", "content": []}],
    ],
)
def test_elsewhere_thinking_stays_asked_for(messages: list[Any]) -> None:
    assert asked_to_think(ENABLED, *messages) == ENABLED


@pytest.mark.parametrize("thinking", [{"type": "adaptive"}, {"type": "disabled"}, None, "enabled", {"type": 5}])
def test_no_other_thinking_is_left_out(thinking: Any) -> None:
    assert asked_to_think(thinking, assistant(SEALED_THOUGHT, CALLED), RETURNED) == thinking


@pytest.mark.parametrize("messages", [[5, SEALED], [{"role": "user", "content": [SEALED]}], [{"role": SEALED}]])
def test_a_seal_in_an_odd_place_stays_and_is_the_upstreams_business(messages: Any) -> None:
    assert json.loads(built(body_of(messages=messages)))["messages"] == messages


def test_a_count_needs_no_limit_and_sends_no_field_that_the_count_refuses() -> None:
    body = body_of(max_tokens=..., stream=True, temperature=1, metadata={}, tools=[], thinking={"type": "disabled"})
    envelope = accepted(body, dialect=COUNTING)
    assert not envelope.stream
    assert envelope.max_output_tokens is None
    sent = json.loads(COUNTING.build(envelope, "claude", drop=NOTHING, rename=()))
    assert sent == {"model": "claude", "messages": SAID, "tools": [], "thinking": {"type": "disabled"}}


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["model", "messages", "max_tokens", "stream", "metadata", "intent", "system", "x"]),
        JSON_VALUES,
        max_size=6,
    )
)
def test_no_values_raise_and_what_is_accepted_can_be_built(fields: dict[str, Any]) -> None:
    body = compact({"model": "m", "max_tokens": 1, "messages": SAID, **fields})
    envelope = NATIVE.parse(MESSAGES, body)
    if isinstance(envelope, Envelope):
        sent = msgspec.json.decode(NATIVE.build(envelope, "other", drop=NOTHING, rename=()))
        assert sent["model"] == "other"
