"""Bills: what an answer, whole or as far as it came, has used and costs (credits.md, "What is held and charged")."""

from __future__ import annotations

import msgspec

from hypereal.billing import pricing
from hypereal.gateway.plan import Plan
from hypereal.gateway.relay import Streamed, StreamRelay
from hypereal.gateway.routes import Route
from hypereal.kit.money import ZERO, Micro
from hypereal.wire.base import Answer, Usage
from hypereal.wire.openai_chat.usage import estimate_tokens

COUNTED = "provider"
ESTIMATED = "estimated"


class Bill(msgspec.Struct, frozen=True):
    """Usage and where its numbers come from, the answer it was read from, the cost, and whether the answer is whole."""

    usage: Usage
    basis: str
    answer: Answer
    cost: Micro
    is_whole: bool


def bill_answer(plan: Plan, route: Route, answer: Answer) -> Bill:
    """The bill for a whole answer."""
    usage = answer.usage
    if usage is None:
        usage = plan.likely_usage(estimate_tokens(answer.output_bytes))
        return Bill(usage, ESTIMATED, answer, pricing.cost(usage, route.model.price), True)
    return Bill(usage, COUNTED, answer, pricing.cost(usage, route.model.price), True)


def bill_stream(plan: Plan, route: Route, relay: StreamRelay, streamed: Streamed) -> Bill:
    """The bill for a stream: what was reported, else what came; a stream that brought nothing costs nothing."""
    answer = relay.read()
    if streamed.ending == "complete" and answer.is_complete:
        return bill_answer(plan, route, answer)
    usage, basis = answer.usage, COUNTED
    if usage is None or not usage.output_total:
        output = estimate_tokens(answer.output_bytes)
        usage = plan.likely_usage(output) if usage is None else msgspec.structs.replace(usage, output=output)
        basis = ESTIMATED
    has_output = bool(answer.output_bytes or usage.output_total)
    return Bill(usage, basis, answer, pricing.cost(usage, route.model.price) if has_output else ZERO, False)
