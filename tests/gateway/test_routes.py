"""Routes: what of a request is made once for a target, and what is made for each request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from hypereal.catalog.resolve import Catalogue
from hypereal.catalog.types import Model, Target, Upstream
from hypereal.gateway.routes import Route, Routes
from hypereal.kit.upstream import UpstreamClient
from hypereal.providers.base import Address, Failure, FailureKind, Headers, Prepared
from hypereal.wire import DIALECTS
from hypereal.wire.anthropic.thinking import render_signature
from hypereal.wire.base import Context, Envelope, Kind
from hypereal.wire.conversation import Opaque
from tests.gateway.test_plan import PlainAdapter, model
from tests.wire.asking import endpoint_of

LONG = "All work and no play makes Jack a dull boy. " * 400
BOTH = ("openai_chat", "anthropic")
UP = Upstream(id="up", name="Up", base_url="http://up.test", adapter="plain", dialects=BOTH, headers=(("x-row", "1"),))
SIGNED = Upstream(id="signed", name="Signed", base_url="http://up.test", adapter="signing", dialects=("anthropic",))
CHAT_ONLY = Upstream(id="chat", name="Chat", base_url="http://up.test", adapter="plain")
SAID = [{"role": "user", "content": "Hi"}]


class VersionedAdapter(PlainAdapter):
    """Tells the streams of a target by their path, and names a version unless the client does."""

    def address(self, target: Target, kind: Kind, *, dialect: str, stream: bool) -> Address:
        path = f"/{dialect}/{'streamed' if stream else 'whole'}"
        headers = (("x-row", "1"), ("authorization", "Bearer s3cret"))
        return Address(
            scheme="http", host="up.test", port=8080, path=path, headers=headers, defaults=(("a-version", "1"),)
        )


class SigningAdapter(VersionedAdapter):
    """Signs what it is shown, until it is told that it cannot."""

    signs = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, Mapping[str, str], bytes]] = []
        self.failure: Failure | None = None

    def prepare(self, target: Target, *, path: str, headers: Headers, body: bytes) -> Any:
        if self.failure is not None:
            return self.failure
        self.seen.append((path, dict(headers), body))
        return Prepared(headers=(*headers, ("x-signature", "s1gned")), body=b'{"signed":true}')


def claude(upstream: Upstream, **fields: Any) -> Model:
    kinds = frozenset({Kind.CHAT})
    return model("claude", Target(upstream=upstream, model="c-up"), kinds=kinds, dialects=frozenset(BOTH), **fields)


def route_of(served: Model, dialect: str, adapter: Any = None) -> Route:
    routes = Routes(UpstreamClient(), {"plain": VersionedAdapter(), "signing": adapter or SigningAdapter()})
    (route,) = routes.find(Catalogue.build((served,), revision="1"), served, Kind.CHAT, dialect).routes
    return route


def asked(path: str, *, headers: Mapping[bytes, bytes] | None = None, **fields: Any) -> Envelope:
    endpoint = endpoint_of(path)
    body = {"model": "claude", "max_tokens": 10, "messages": SAID, **fields}
    envelope = DIALECTS[endpoint.dialect].parse(endpoint, json.dumps(body).encode(), Context(headers=headers or {}))
    assert isinstance(envelope, Envelope), envelope
    return envelope


def sent(route: Route, envelope: Envelope) -> tuple[str, dict[str, str], dict[str, Any]]:
    """The path, the headers and the body of a request."""
    made = route.request(envelope)
    assert not isinstance(made, Failure)
    request_line, *lines = made[0].decode("latin-1").rstrip().split("\r\n")
    pairs: list[tuple[str, str]] = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    assert len({name for name, _ in pairs}) == len(pairs), "a header is sent once"
    return request_line.split()[1], dict(pairs), msgspec.json.decode(made[1])


def test_a_stream_has_a_head_of_its_own() -> None:
    route = route_of(claude(UP), "anthropic")
    assert sent(route, asked("/v1/messages"))[0] == "/anthropic/whole"
    path, headers, body = sent(route, asked("/v1/messages", stream=True))
    assert path == "/anthropic/streamed"
    assert (headers["host"], headers["x-row"], headers["a-version"]) == ("up.test:8080", "1", "1")
    assert body["model"] == "c-up"


def test_a_clients_headers_replace_defaults_but_never_credentials() -> None:
    route = route_of(claude(UP), "anthropic")
    envelope = asked("/v1/messages")
    envelope.headers = (("a-version", "2"), ("authorization", "Bearer theirs"), ("x-beta", "b"))
    headers = sent(route, envelope)[1]
    assert (headers["a-version"], headers["authorization"], headers["x-beta"]) == ("2", "Bearer s3cret", "b")


def test_headers_of_one_format_do_not_go_to_an_upstream_of_another() -> None:
    given = {b"anthropic-version": b"2023-06-01", b"anthropic-beta": b"context-1m-2025-08-07"}
    envelope = asked("/v1/messages", headers=given)
    assert [name for name, _ in envelope.headers] == ["anthropic-version", "anthropic-beta"]
    assert "anthropic-beta" in sent(route_of(claude(UP), "anthropic"), envelope)[1]
    translated = route_of(claude(CHAT_ONLY), "anthropic")
    assert translated.is_translated
    assert not {"anthropic-beta", "anthropic-version"} & sent(translated, envelope)[1].keys()


def test_an_adapter_that_signs_sees_the_whole_request_and_has_the_last_word() -> None:
    adapter = SigningAdapter()
    route = route_of(claude(SIGNED), "anthropic", adapter)
    envelope = asked("/v1/messages", stream=True, headers={b"anthropic-beta": b"context-1m-2025-08-07"})
    path, headers, body = sent(route, envelope)
    ((shown_path, shown, shown_body),) = adapter.seen
    assert path == shown_path == "/anthropic/streamed"
    assert shown["anthropic-beta"] == "context-1m-2025-08-07"
    assert msgspec.json.decode(shown_body)["model"] == "c-up"
    assert headers["x-signature"] == "s1gned"
    assert body == {"signed": True}


def test_a_request_that_cannot_be_signed_is_a_failed_attempt() -> None:
    adapter = SigningAdapter()
    adapter.failure = Failure(kind=FailureKind.CREDENTIALS, message="no token yet")
    assert route_of(claude(SIGNED), "anthropic", adapter).request(asked("/v1/messages")) is adapter.failure


def test_what_one_attempt_left_out_is_not_said_of_the_next() -> None:
    envelope = asked("/v1/messages", top_k=5)
    sent(route_of(claude(CHAT_ONLY), "anthropic"), envelope)
    assert "top_k" in envelope.dropped
    sent(route_of(claude(UP), "anthropic"), envelope)
    assert not envelope.dropped


def test_breakpoints_are_set_for_targets_that_want_them_and_not_where_the_client_said_no() -> None:
    route = route_of(claude(UP, min_cache_tokens=1024), "anthropic")
    assert "cache_control" in json.dumps(sent(route, asked("/v1/messages", system=LONG))[2])
    off = asked("/v1/messages", system=LONG, hypereal={"cache": False})
    body = sent(route, off)[2]
    assert "cache_control" not in json.dumps(body)
    assert "hypereal" not in body
    assert "cache_control" not in json.dumps(
        sent(route_of(claude(UP), "anthropic"), asked("/v1/messages", system=LONG))[2]
    )


def test_breakpoints_do_not_stay_in_the_request_for_the_next_target() -> None:
    envelope = asked("/v1/messages", system=LONG)
    before = envelope.body
    sent(route_of(claude(UP, min_cache_tokens=1024), "anthropic"), envelope)
    assert envelope.body == before
    assert "cache_control" not in json.dumps(sent(route_of(claude(CHAT_ONLY), "anthropic"), envelope)[2])


def test_what_is_left_out_is_named_where_breakpoints_are_set_too() -> None:
    """Thinking of another format's model is under seal, and no signature to Claude."""
    foreign = {"type": "thinking", "thinking": "Hm.", "signature": render_signature(Opaque("gemini", "token"))}
    said = [*SAID, {"role": "assistant", "content": [foreign, {"type": "text", "text": "Hello"}]}, *SAID]
    for system in ("short", LONG):
        envelope = asked("/v1/messages", system=system, messages=said)
        body = sent(route_of(claude(UP, min_cache_tokens=1024), "anthropic"), envelope)[2]
        assert "thinking" not in json.dumps(body)
        assert envelope.dropped == ("thinking",)


def test_a_translated_request_gets_breakpoints_too() -> None:
    anthropic_only = Upstream(id="a", name="A", base_url="http://up.test", adapter="plain", dialects=("anthropic",))
    route = route_of(claude(anthropic_only, min_cache_tokens=1024), "openai_chat")
    messages = [{"role": "system", "content": LONG}, *SAID]
    assert "cache_control" in json.dumps(sent(route, asked("/v1/chat/completions", messages=messages))[2])
    off = asked("/v1/chat/completions", messages=messages, hypereal={"cache": False})
    body = sent(route, off)[2]
    assert "cache_control" not in json.dumps(body)
    assert "hypereal" not in body
