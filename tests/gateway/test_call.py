"""The record of a call: what caches took, what they saved, and whose they were."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypereal.billing import pricing
from hypereal.catalog.types import Price
from hypereal.gateway.call import Call
from hypereal.gateway.failover import Exchange
from hypereal.gateway.plan import Plan
from hypereal.gateway.records import Settlement
from hypereal.kit.money import parse_rate
from hypereal.wire.base import Usage
from tests.gateway.test_plan import ANYBODY, planned
from tests.gateway.wiring import Client
from tests.wire.asking import CHAT, endpoint_of

LONG = "All work and no play makes Jack a dull boy. " * 120
CACHED = Usage(input=100, cache_read=900, cache_write=50, cache_write_1h=7, output=20)
PRICE = Price(
    input=parse_rate("4"),
    output=parse_rate("20"),
    cache_read=parse_rate("0.40"),
    cache_write=parse_rate("5"),
    cache_write_1h=parse_rate("8"),
    reasoning=parse_rate("20"),
)


def call_of(plan: Plan) -> Call:
    """A call whose plan is being served by its first route, at `PRICE`."""
    call = Call(
        endpoint=endpoint_of(CHAT),
        request_id="req_1",
        downstream=Client(),
        started=10.0,
        at=1_795_000_000.0,
        principal=ANYBODY,
        plan=plan,
    )
    first = plan.routes[0]
    route = replace(first, model=replace(first.model, price=PRICE))
    call.exchange = Exchange(
        request_id="req_1", plan=plan, downstream=call.downstream, commit=lambda: None, attempts=1, route=route
    )
    return call


def settled(usage: Usage, *, session: str | None = None, words: str = "Hi", **more: Any) -> Settlement:
    plan = planned(CHAT, messages=[{"role": "user", "content": words}], model="small")
    plan.envelope.session = session
    return call_of(plan).settlement(now=11.0, status=200, usage=usage, **more)


def test_the_record_has_each_kind_of_token_and_what_caches_saved() -> None:
    record = settled(CACHED, credits=pricing.cost(CACHED, PRICE))
    found = {name: getattr(record, f"{name}_tokens") for name in Usage.__struct_fields__}
    assert Usage(**found) == CACHED
    # 1057 tokens at $4 and 20 at $20, less 100 at $4, 900 at $0.40, 50 at $5, 7 at $8 and the same output.
    assert record.cache_savings == 400 * 957 - (40 * 900 + 500 * 50 + 800 * 7)


def test_what_was_not_charged_saved_nothing() -> None:
    assert settled(CACHED, credits=0).cache_savings == 0


def test_a_request_that_used_no_cache_saved_nothing_and_belongs_to_no_family() -> None:
    record = settled(Usage(input=5, output=5), session="s", credits=10)
    assert (record.cache_savings, record.cache_family) == (0, "")


def test_requests_of_a_session_are_of_one_family_that_does_not_name_it() -> None:
    one, other = settled(CACHED, session="my session"), settled(CACHED, session="my session", words=LONG)
    assert one.cache_family == other.cache_family != settled(CACHED, session="another").cache_family
    assert "session" not in one.cache_family


def test_requests_without_a_session_are_of_the_family_of_their_prompt() -> None:
    assert settled(CACHED, words=LONG).cache_family == settled(CACHED, words=LONG).cache_family != ""
    assert settled(CACHED, words="Hi").cache_family == ""
