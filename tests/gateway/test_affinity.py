"""Affinity: a session goes back to the upstream that holds its cache, as long as that is worth it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from hypereal.gateway.affinity import MIN_BODY_BYTES, TTL_S, Affinity, affinity_key
from hypereal.gateway.breaker import FAILURES_TO_OPEN
from hypereal.gateway.routes import Route
from hypereal.wire.base import Envelope, Kind
from tests.gateway.test_plan import CATALOGUE, LARGE, SMALL, new_routes
from tests.wire.asking import CHAT, accepted

LONG = "All work and no play makes Jack a dull boy. " * 120


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def routes_of(model: Any = SMALL) -> tuple[Route, ...]:
    return new_routes().find(CATALOGUE, model, Kind.CHAT, "openai_chat").routes


def upstreams(routes: tuple[Route, ...]) -> list[str]:
    return [route.target.upstream.id for route in routes]


def envelope_of(body: dict[str, Any], session: str | None = None) -> Envelope:
    found = accepted(CHAT, json.dumps({"model": "m", **body}).encode())
    found.session = session
    return found


def key_of(*messages: Any, **more: Any) -> Any:
    key = affinity_key("m", envelope_of({"messages": list(messages), **more}))
    assert key is not None
    return key


def said(role: str, words: Any) -> dict[str, Any]:
    return {"role": role, "content": words}


def test_the_holder_of_a_sessions_cache_is_asked_first() -> None:
    affinity, routes = Affinity(Clock()), routes_of()
    assert upstreams(routes) == ["one", "two"]
    affinity.note(("small", "s"), "two")
    assert upstreams(affinity.prefer(routes, ("small", "s"))) == ["two", "one"]
    assert affinity.prefer(routes, ("small", "other")) is routes
    assert affinity.prefer(routes, ("large", "s")) is routes
    assert affinity.prefer(routes, None) is routes


def test_a_holder_that_is_first_already_changes_nothing() -> None:
    affinity, routes = Affinity(Clock()), routes_of()
    affinity.note(("small", "s"), "one")
    assert affinity.prefer(routes, ("small", "s")) is routes


def test_the_last_holder_counts() -> None:
    affinity, routes = Affinity(Clock()), routes_of()
    affinity.note(("small", "s"), "two")
    affinity.note(("small", "s"), "one")
    assert affinity.prefer(routes, ("small", "s")) is routes


def test_a_cache_that_has_expired_holds_nobody() -> None:
    clock = Clock()
    affinity, routes = Affinity(clock), routes_of()
    affinity.note(("small", "s"), "two")
    clock.now += TTL_S - 1
    assert upstreams(affinity.prefer(routes, ("small", "s"))) == ["two", "one"]
    affinity.note(("small", "s"), "two")
    clock.now += TTL_S
    assert affinity.prefer(routes, ("small", "s")) is routes


def test_a_holder_whose_breaker_is_open_is_not_preferred() -> None:
    affinity, routes = Affinity(Clock()), routes_of()
    affinity.note(("small", "s"), "two")
    for _ in range(FAILURES_TO_OPEN):
        routes[1].breaker.failed(0.0)
    assert affinity.prefer(routes, ("small", "s")) is routes


def test_a_fallback_is_never_put_before_the_model_that_was_asked_for() -> None:
    affinity, routes = Affinity(Clock()), routes_of(LARGE)
    assert [route.model.id for route in routes] == ["large", "small", "small"]
    affinity.note(("large", "s"), "one")
    assert affinity.prefer(routes, ("large", "s")) is routes


def test_a_holder_that_is_gone_from_the_catalogue_changes_nothing() -> None:
    affinity, routes = Affinity(Clock()), routes_of()
    affinity.note(("small", "s"), "gone")
    assert affinity.prefer(routes, ("small", "s")) is routes


def test_what_is_remembered_is_bounded() -> None:
    clock = Clock()
    affinity, routes = Affinity(clock, max_keys=3), routes_of()
    for n in range(10):
        affinity.note(("small", str(n)), "two")
    assert len(affinity) == 3
    assert affinity.prefer(routes, ("small", "6")) is routes
    assert upstreams(affinity.prefer(routes, ("small", "7"))) == ["two", "one"]
    clock.now += TTL_S
    affinity.note(("small", "new"), "two")
    assert len(affinity) == 1


def test_a_session_is_the_key_whatever_the_body_says() -> None:
    small, large = (
        envelope_of({"messages": [said("user", "a")]}, "s"),
        envelope_of({"messages": [said("user", LONG)]}, "s"),
    )
    assert affinity_key("m", small) == affinity_key("m", large) == ("m", "s")


def test_a_small_body_without_a_session_has_no_key() -> None:
    assert affinity_key("m", envelope_of({"messages": [said("user", "a")]})) is None
    assert affinity_key("m", envelope_of({"messages": [said("user", "a" * MIN_BODY_BYTES)]})) is not None


@pytest.mark.parametrize("first", ["Hi", [{"type": "text", "text": "Hi"}], LONG, 'He said "role":"assistant" to me.'])
def test_the_turns_of_a_conversation_have_one_key(first: Any) -> None:
    history = [said("system", LONG[:500]), said("user", first)]
    tools = [{"type": "function", "function": {"name": "f", "description": LONG}}]
    keys = {key_of(*history, tools=tools)}
    for n in range(3):
        history += [said("assistant", f"answer {n}"), said("user", f"question {n}")]
        keys.add(key_of(*history, tools=tools))
    assert len(keys) == 1


def test_the_bytes_between_messages_are_no_part_of_the_key() -> None:
    def compact(messages: list[Any]) -> Envelope:
        body = {"model": "m", "messages": messages, "tools": [LONG]}
        return accepted(CHAT, json.dumps(body, separators=(",", ":")).encode())

    one = [said("user", "a")]
    assert affinity_key("m", compact(one)) == affinity_key(
        "m", compact([*one, said("assistant", "b"), said("user", "c")])
    )


def test_other_prompts_have_other_keys() -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": LONG}}]
    keys = {
        key_of(said("user", "a"), tools=tools),
        key_of(said("user", "b"), tools=tools),
        key_of(said("user", "a"), tools=[{"name": "g"}, *tools]),
        key_of(said("user", "a"), tools=tools, system="x"),
        key_of(said("user", "a"), tools=tools, instructions="y"),
        affinity_key("other", envelope_of({"messages": [said("user", "a")], "tools": tools})),
    }
    assert len(keys) == 6


def test_a_billing_header_is_no_part_of_the_key() -> None:
    def system(n: int) -> list[Any]:
        header = f"x-anthropic-billing-header: cc_version=2.1; cch={n};"
        return [{"type": "text", "text": header}, {"type": "text", "text": LONG}]

    assert key_of(said("user", "a"), system=system(1)) == key_of(said("user", "a"), system=system(2))


def test_a_key_is_found_in_bodies_of_any_shape() -> None:
    fields = {name: msgspec.Raw(raw) for name, raw in (("messages", b"7"), ("tools", b"null"), ("contents", b"[[[["))}
    envelope = envelope_of({"messages": [said("user", LONG)]})
    envelope.fields = fields
    assert affinity_key("m", envelope) is not None
