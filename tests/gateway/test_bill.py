"""Bills of streams that broke: what was reported counts, and what was not is estimated from what came."""

from __future__ import annotations

from hypereal.billing import pricing
from hypereal.gateway.bill import ESTIMATED, Bill, bill_stream
from hypereal.gateway.plan import Plan
from hypereal.gateway.relay import Streamed
from hypereal.kit.money import ZERO
from hypereal.wire import DIALECTS
from hypereal.wire.base import Usage
from hypereal.wire.openai_chat.usage import estimate_tokens
from tests.gateway.test_plan import ANYBODY, planner
from tests.gateway.wiring import Scene, framed
from tests.support import anthropic_format
from tests.support.openai_format import WORDS
from tests.wire.asking import endpoint_of

BODY = b'{"model":"claude","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hi"}]}'


def _plan() -> Plan:
    plan = planner().plan(ANYBODY, endpoint_of("/v1/messages"), BODY)
    assert isinstance(plan, Plan), plan
    return plan


PLAN = _plan()
LIKELY_INPUT = PLAN.likely_usage(0).input


async def bill_of(events: list[bytes]) -> Bill:
    """The bill of a stream of Claude's that ends without its end."""
    (route,) = PLAN.routes
    scene = Scene(dialect=DIALECTS["anthropic"].stream(PLAN.envelope))
    scene.read(framed(*events))
    scene.connection.connection_lost(None)
    assert isinstance(scene.outcome, Streamed)
    bill = bill_stream(PLAN, route, scene.relay, scene.outcome)
    assert not bill.is_whole
    assert bill.cost in (ZERO, pricing.cost(bill.usage, route.model.price))
    return bill


async def test_the_input_that_was_reported_is_charged_and_the_output_that_came() -> None:
    bill = await bill_of(anthropic_format.events("/v1/messages", "c")[:5])
    said = estimate_tokens(len("".join(WORDS[:2])))
    assert (bill.usage, bill.basis) == (Usage(input=100, cache_read=20, output=said), ESTIMATED)
    assert bill.cost > 0
    assert LIKELY_INPUT != 100


async def test_input_that_nobody_reported_is_charged_by_its_size() -> None:
    bill = await bill_of(anthropic_format.events("/v1/messages", "c", usage=None)[:5])
    assert (bill.usage.input, bill.basis) == (LIKELY_INPUT, ESTIMATED)
    assert bill.cost > 0


async def test_a_stream_that_brought_nothing_costs_nothing() -> None:
    bill = await bill_of(anthropic_format.events("/v1/messages", "c")[:3])
    assert bill.usage.output == 0
    assert bill.cost == 0
