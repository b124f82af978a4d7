"""What a request costs: the only place that multiplies money. Pure: values in, micro-credits out.

A cost is summed over all kinds of tokens first and rounded once, up, at the end (credits.md, "What is held and what is
charged").
"""

from __future__ import annotations

from hypereal.catalog.types import Price
from hypereal.kit.money import UNITS_PER_RATE, Micro, round_up
from hypereal.wire.base import Usage


def cost(usage: Usage, price: Price) -> Micro:
    """The charge for `usage`: each kind of token at its own rate, and at least the price's base."""
    amount = (
        usage.input * price.input
        + usage.cache_read * price.cache_read
        + usage.cache_write * price.cache_write
        + usage.cache_write_1h * price.cache_write_1h
        + usage.output * price.output
        + usage.reasoning * price.reasoning
    )
    return Micro(max(round_up(amount, UNITS_PER_RATE), price.base))


def cache_savings(usage: Usage, price: Price) -> int:
    """What `usage` would cost more if nothing were cached, in micro-credits; negative when more was spent on writing to
    caches than reading from them saved."""
    if usage.input == usage.input_total:
        return 0
    uncached = Usage(input=usage.input_total, output=usage.output, reasoning=usage.reasoning)
    return cost(uncached, price) - cost(usage, price)


def estimate(price: Price, input_tokens: int, output_tokens: int, *, choices: int = 1) -> Micro:
    """What to hold for a request: its input once and `output_tokens` for each of its `choices`.

    Takes the dearer of the rates that a token may turn out to have, so that a cache write or a long thought does not
    pass the hold.
    """
    input_rate = max(price.input, price.cache_write, price.cache_write_1h)
    output_rate = max(price.output, price.reasoning)
    amount = input_tokens * input_rate + output_tokens * choices * output_rate
    return Micro(max(round_up(amount, UNITS_PER_RATE), price.base))


def may_charge(hold: Micro, price: Price) -> Micro:
    """The most that a request with this hold can be charged: the hold and the model's stated overrun."""
    return Micro(hold * (1 + price.overrun))
