"""Requests for upstreams: the client's own fields, and nothing but what must differ."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.asking import CHAT, COMPLETION, EMBEDDING, MESSAGES, NATIVE, body_of, built
from tests.wire.test_parsing import JSON_VALUES

ODD = b'{"messages":[{"role":"user","content":"\\u00e9 \\/ 1.0"}] , "model":"m","x":1.50,"y":1E+3,"z":{"b":1,"a":[ ]}}'


@pytest.mark.parametrize("path", [CHAT, COMPLETION, EMBEDDING])
def test_a_body_that_needs_no_change_is_sent_byte_for_byte(path: str) -> None:
    body = body_of(path, top_p=0.5, something_new={"a": [1, 2]})
    assert built(path, body) is body


def test_white_space_escapes_and_number_forms_survive() -> None:
    assert built(CHAT, ODD) == ODD
    changed = built(CHAT, ODD, "other")
    for piece in (b'"\\u00e9 \\/ 1.0"', b"1.50", b"1E+3", b'{"b":1,"a":[ ]}'):
        assert piece in changed
    assert json.loads(changed) == {**json.loads(ODD), "model": "other"}


def test_only_the_model_changes() -> None:
    body = body_of(CHAT, temperature=0.1, unknown=None)
    assert json.loads(built(CHAT, body, "vendor/m:free")) == {**json.loads(body), "model": "vendor/m:free"}


def test_what_speaks_to_this_server_is_not_sent() -> None:
    body = body_of(CHAT, intent="chat-fast", hypereal={"cache": False})
    assert json.loads(built(CHAT, body)) == {"model": "m", "messages": MESSAGES}


@pytest.mark.parametrize(
    ("given_options", "sent_options"),
    [
        (..., {"include_usage": True}),
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
    ],
)
def test_a_stream_always_asks_for_usage(given_options: Any, sent_options: dict[str, Any]) -> None:
    body = body_of(CHAT, stream=True, stream_options=given_options)
    assert json.loads(built(CHAT, body))["stream_options"] == sent_options


def test_stream_options_of_no_stream_are_the_clients_business() -> None:
    body = body_of(CHAT, stream_options={"include_usage": False})
    assert built(CHAT, body) is body


def test_an_upstream_that_refuses_stream_options_is_not_sent_any() -> None:
    body = body_of(CHAT, stream=True)
    assert built(CHAT, body, drop=frozenset({"stream_options"})) is body
    body = body_of(CHAT, stream=True, stream_options={"include_usage": True})
    assert "stream_options" not in json.loads(built(CHAT, body, drop=frozenset({"stream_options"})))


def test_refused_fields_are_dropped() -> None:
    body = body_of(CHAT, seed=1, user="u")
    assert json.loads(built(CHAT, body, drop=frozenset({"seed", "absent"}))) == json.loads(body_of(CHAT, user="u"))
    assert built(CHAT, body, drop=frozenset({"absent"})) is body


def test_fields_are_renamed() -> None:
    body = body_of(CHAT, max_tokens=5, seed=1)
    rename = (("max_tokens", "max_completion_tokens"), ("seed", "random_seed"), ("absent", "present"))
    sent = json.loads(built(CHAT, body, rename=rename))
    assert sent == json.loads(body_of(CHAT, max_completion_tokens=5, random_seed=1))
    assert built(CHAT, body, rename=(("absent", "present"),)) is body


@pytest.mark.parametrize(("there", "sent"), [(7, {"max_completion_tokens": 7}), (None, {"max_completion_tokens": 5})])
def test_a_rename_does_not_replace_what_the_client_also_sent(there: int | None, sent: dict[str, Any]) -> None:
    body = body_of(CHAT, max_tokens=5, max_completion_tokens=there)
    renamed = built(CHAT, body, rename=(("max_tokens", "max_completion_tokens"),))
    assert json.loads(renamed) == json.loads(body_of(CHAT, **sent))


def test_native_chat_is_sent_as_a_chat_completion() -> None:
    body = body_of(NATIVE, stop=["."], hypereal={"cache": False})
    assert json.loads(built(NATIVE, body, "there")) == {
        "messages": MESSAGES,
        "stop": ["."],
        "temperature": 0.8,
        "max_tokens": 4096,
        "stream": True,
        "stream_options": {"include_usage": True},
        "model": "there",
    }


def test_a_field_given_twice_is_sent_once_when_the_body_is_rebuilt() -> None:
    sent = built(CHAT, b'{"model":"a","messages":[{}],"mod\\u0065l":"b"}', "other")
    assert sent.count(b"model") == 1


@given(st.dictionaries(st.text(min_size=1).map(lambda name: f"x{name}"), JSON_VALUES, max_size=6), st.booleans())
def test_unknown_fields_survive(fields: dict[str, Any], stream: bool) -> None:
    body = body_of(CHAT, stream=stream, **fields)
    sent = json.loads(built(CHAT, body, "other"))
    assert {name: sent[name] for name in fields} == fields
    assert set(sent) - set(fields) == {"model", "messages", "stream"} | ({"stream_options"} if stream else set())
