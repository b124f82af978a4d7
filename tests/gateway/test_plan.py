"""Plans and refusals, against a small catalogue of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from hypereal.billing import pricing
from hypereal.catalog.resolve import Catalogue
from hypereal.catalog.types import Intent, Model, Price, Target, Upstream
from hypereal.errors import Forbidden, HyperealError, InvalidRequest, NoUpstream, UnknownModel, WrongEndpoint
from hypereal.gateway.affinity import Affinity
from hypereal.gateway.breaker import FAILURES_TO_OPEN
from hypereal.gateway.plan import Plan, Planner, Refusal
from hypereal.gateway.routes import Routes
from hypereal.identity.principal import Principal
from hypereal.kit.money import parse_rate
from hypereal.kit.upstream import UpstreamClient
from hypereal.providers.base import Adapter, Address, Failure, Headers, Prepared
from hypereal.wire.base import Kind
from tests.wire.asking import CHAT, COMPLETION, EMBEDDING, NATIVE, body_of, endpoint_of

CHAT_AND_TEXT = frozenset({Kind.CHAT, Kind.COMPLETION})
OPENAI_CHAT = frozenset({"openai_chat"})
ANYBODY = Principal(account_id="acc_1", wallet_id="acc_1", key_id="key_1")
ONE = Upstream(id="one", name="One", base_url="http://one.test", adapter="plain")
TWO = Upstream(id="two", name="Two", base_url="https://two.test:8443", adapter="plain")


class PlainAdapter:
    """An adapter that signs nothing."""

    signs = False

    def address(self, target: Target, kind: Kind, *, dialect: str, stream: bool) -> Address:
        scheme, _, rest = target.upstream.base_url.partition("://")
        host, _, port = rest.partition(":")
        headers = (("Authorization", "Bearer s3cret"),)
        return Address(scheme=scheme, host=host, port=int(port or 80), path=f"/{kind.value}", headers=headers)

    def prepare(self, target: Target, *, path: str, headers: Headers, body: bytes) -> Prepared:
        return Prepared(headers=headers, body=body)

    def unframer(self) -> None:
        return None

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        raise AssertionError("a plan asks no upstream, so nothing of one is to be classified")


def price(usd: str) -> Price:
    rate = parse_rate(usd)
    return Price(input=rate, output=rate, cache_read=rate, cache_write=rate, cache_write_1h=rate, reasoning=rate)


def model(model_id: str, *targets: Target, **fields: Any) -> Model:
    defaults: dict[str, Any] = {
        "owner": "test",
        "kinds": CHAT_AND_TEXT,
        "dialects": OPENAI_CHAT,
        "price": price("1"),
        "context_tokens": 1000,
        "max_output_tokens": 500,
        "default_output_tokens": 100,
    }
    return Model(id=model_id, targets=targets, **{**defaults, **fields})


SMALL = model("small", Target(upstream=ONE, model="s"), Target(upstream=TWO, model="s2"), aliases=("tiny",))
LARGE = model("large", Target(upstream=TWO, model="l"), price=price("9"), fallbacks=("small",))
FALLING = model("falling", Target(upstream=ONE, model="f"), price=price("0.5"), fallbacks=("large",))
UNREACHABLE = model("unreachable")
CLAUDE = model(
    "claude", Target(upstream=ONE, model="c"), dialects=frozenset({"anthropic"}), kinds=frozenset({Kind.CHAT})
)
VECTOR = model("vector", Target(upstream=ONE, model="v"), kinds=frozenset({Kind.EMBEDDING}), default_output_tokens=0)
CATALOGUE = Catalogue.build(
    (SMALL, LARGE, FALLING, UNREACHABLE, CLAUDE, VECTOR),
    (
        Intent(id="chat-fast", description="", models=("large", "small", "unreachable")),
        Intent(id="nothing", description="", models=("unreachable",)),
    ),
    revision="1",
)
ADAPTERS: dict[str, Adapter] = {"plain": PlainAdapter()}


def new_routes() -> Routes:
    return Routes(UpstreamClient(), ADAPTERS)


def planner(routes: Routes | None = None, **fields: Any) -> Planner:
    defaults: dict[str, Any] = {"default_chat_model": "small", "cross_format": False}
    affinity = Affinity(lambda: 0.0)
    return Planner(lambda: CATALOGUE, routes or new_routes(), affinity, **{**defaults, **fields})


def planned(path: str, principal: Principal = ANYBODY, *, by: Planner | None = None, **fields: Any) -> Plan:
    plan = (by or planner()).plan(principal, endpoint_of(path), body_of(path, **fields))
    assert isinstance(plan, Plan), plan
    return plan


def refusal(path: str, principal: Principal = ANYBODY, *, by: Planner | None = None, **fields: Any) -> Refusal:
    plan = (by or planner()).plan(principal, endpoint_of(path), body_of(path, **fields))
    assert isinstance(plan, Refusal), plan
    return plan


@pytest.mark.parametrize(
    ("path", "fields", "error", "param", "says", "asked_for"),
    [
        (CHAT, {"messages": []}, InvalidRequest, "messages", "messages", ""),
        (CHAT, {"model": "smal"}, UnknownModel, "model", "Unknown model 'smal'", "smal"),
        (CHAT, {"model": "Small"}, UnknownModel, "model", "Unknown model 'Small'", "Small"),
        (CHAT, {"model": "x" * 5000}, UnknownModel, "model", "x" * 100 + "…", "x" * 100),
        (CHAT, {"model": "claude"}, WrongEndpoint, "model", "/v1/messages", "claude"),
        (CHAT, {"model": "vector"}, WrongEndpoint, "model", "/v1/embeddings", "vector"),
        (COMPLETION, {"model": "claude"}, WrongEndpoint, "model", "/v1/messages", "claude"),
        (EMBEDDING, {"model": "small"}, WrongEndpoint, "model", "/v1/chat/completions", "small"),
        (CHAT, {"model": "unreachable"}, NoUpstream, None, "'unreachable'", "unreachable"),
        (CHAT, {"model": ..., "intent": "chat-slow"}, InvalidRequest, "intent", "chat-slow", ""),
        (CHAT, {"model": ..., "intent": "nothing"}, NoUpstream, None, "'nothing'", ""),
        (EMBEDDING, {"model": ..., "intent": "chat-fast"}, NoUpstream, None, "'chat-fast'", ""),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_was_asked_for(
    path: str, fields: dict[str, Any], error: type[HyperealError], *, param: str | None, says: str, asked_for: str
) -> None:
    refused = refusal(path, **fields)
    assert type(refused.error) is error
    assert refused.error.param == param
    assert says in refused.error.message
    assert refused.model == asked_for


def test_an_unknown_model_comes_with_those_that_there_are() -> None:
    assert refusal(CHAT, model="smal").error.fields["available_models"] == ["small", "falling", "large"]
    intents = refusal(CHAT, model=..., intent="?").error.fields["available_intents"]
    assert intents == ["chat-fast", "nothing"]


def test_a_key_hears_only_of_the_models_that_it_may_use() -> None:
    for allowed in ("small", "tiny"):
        principal = replace(ANYBODY, allowed_models=frozenset({allowed}))
        assert refusal(CHAT, principal, model="larg").error.fields["available_models"] == ["small"]
        assert isinstance(planned(CHAT, principal, model="small"), Plan)


def test_an_intent_is_served_by_a_model_that_the_key_may_use() -> None:
    principal = replace(ANYBODY, allowed_models=frozenset({"small"}))
    assert planned(CHAT, principal, model=..., intent="chat-fast").model is SMALL
    nobody = replace(ANYBODY, allowed_models=frozenset({"falling"}))
    assert type(refusal(CHAT, nobody, model=..., intent="chat-fast").error) is NoUpstream


def test_a_key_without_the_scope_is_told_nothing_else() -> None:
    principal = replace(ANYBODY, scopes=frozenset({"usage:read"}))
    refused = refusal(CHAT, principal, messages=[])
    assert type(refused.error) is Forbidden
    assert isinstance(planned(CHAT, replace(ANYBODY, scopes=frozenset({"inference"})), model="small"), Plan)


def test_a_key_may_be_kept_to_some_models() -> None:
    for name in ("tiny", "small"):
        principal = replace(ANYBODY, allowed_models=frozenset({name}))
        assert planned(CHAT, principal, model="tiny").model is SMALL
        assert planned(CHAT, principal, model="small").model is SMALL
        refused = refusal(CHAT, principal, model="large")
        assert type(refused.error) is Forbidden
        assert (refused.error.param, refused.model) == ("model", "large")
        assert type(refusal(CHAT, principal, model=..., intent="nothing").error) is NoUpstream
    assert type(refusal(CHAT, replace(ANYBODY, allowed_models=frozenset()), model="small").error) is Forbidden


def test_native_chat_has_a_default_model_and_a_name_wins_over_it() -> None:
    assert planned(NATIVE).model is SMALL
    assert planned(NATIVE, model="large").model is LARGE
    assert planned(NATIVE, model="large", intent="nothing").model is LARGE
    assert refusal(NATIVE, by=planner(default_chat_model="gone")).error.code == "model_not_found"


def test_an_intent_takes_the_cheapest_healthy_model() -> None:
    routes = new_routes()
    assert planned(CHAT, by=planner(routes), model=..., intent="chat-fast").model is SMALL
    for breaker in routes.breakers().values():
        for _ in range(FAILURES_TO_OPEN):
            breaker.failed(0.0)
    assert planned(CHAT, by=planner(routes), model=..., intent="chat-fast").model is LARGE


def test_ways_are_the_models_own_then_those_of_its_fallbacks() -> None:
    plan = planned(CHAT, model="falling")
    ways = [(route.model.id, route.target.upstream.id, route.target.model) for route in plan.routes]
    assert ways == [("falling", "one", "f"), ("large", "two", "l"), ("small", "one", "s"), ("small", "two", "s2")]


def test_a_limit_beyond_what_the_model_can_say_holds_no_more_than_that() -> None:
    plan = planned(CHAT, model="small", max_tokens=1_000_000_000)
    assert plan.hold == pricing.estimate(SMALL.price, plan.envelope.input_estimate, SMALL.max_output_tokens)
    assert plan.tokens == plan.envelope.input_estimate + SMALL.max_output_tokens


def test_the_hold_covers_the_dearest_way() -> None:
    plan = planned(CHAT, model="falling", max_tokens=200, n=2)
    estimate = plan.envelope.input_estimate
    assert plan.hold == pricing.estimate(LARGE.price, estimate, 200, choices=2)
    assert plan.tokens == estimate + 2 * 200
    alone = planned(CHAT, model="small")
    assert alone.hold == pricing.estimate(SMALL.price, alone.envelope.input_estimate, SMALL.default_output_tokens)
    assert alone.tokens == alone.envelope.input_estimate + 100


def test_every_completion_of_a_request_is_held_for() -> None:
    plan = planned(COMPLETION, model="small", prompt=["a", "b", "c"], n=2, max_tokens=50)
    assert plan.hold == pricing.estimate(SMALL.price, plan.envelope.input_estimate, 50, choices=6)


def test_likely_usage_is_below_what_was_held() -> None:
    plan = planned(CHAT, model="small", max_tokens=10)
    usage = plan.likely_usage(10)
    assert usage.output == 10
    assert 0 < usage.input < plan.envelope.input_estimate
    assert pricing.cost(usage, SMALL.price) <= plan.hold


def test_routes_are_made_once_for_a_revision_and_keep_their_breakers() -> None:
    routes = new_routes()
    first = routes.find(CATALOGUE, SMALL, Kind.CHAT, "openai_chat")
    assert routes.find(CATALOGUE, SMALL, Kind.CHAT, "openai_chat") is first
    newer = Catalogue.build((SMALL,), revision="2")
    second = routes.find(newer, SMALL, Kind.CHAT, "openai_chat")
    assert second is not first
    assert [route.breaker for route in second.routes] == [route.breaker for route in first.routes]
    assert [route.pool for route in second.routes] == [route.pool for route in first.routes]
    assert first.is_healthy()


def test_a_route_has_the_head_of_its_requests_ready() -> None:
    plain, secure = planned(CHAT, model="small").routes
    lines = plain.heads[0].decode().split("\r\n")
    assert lines[:2] == ["POST /chat HTTP/1.1", "host: one.test"]
    assert "authorization: Bearer s3cret" in lines
    assert plain.heads[0].endswith(b"\r\n")
    assert not plain.heads[0].endswith(b"\r\n\r\n")
    assert b"host: two.test:8443\r\n" in secure.heads[0]
    assert plain.fields == b"x-hypereal-provider: one\r\nx-hypereal-model: small\r\n"
    assert secure.pool.origin.scheme == "https"
