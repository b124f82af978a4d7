"""Pricing is arithmetic: hand-computed amounts in micro-credits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.billing import pricing
from hypereal.catalog.types import Price
from hypereal.kit.money import Micro, Rate, parse_rate
from hypereal.wire.base import Usage

PRICE = Price(
    input=parse_rate("1.25"),
    output=parse_rate("10"),
    cache_read=parse_rate("0.125"),
    cache_write=parse_rate("1.5625"),
    cache_write_1h=parse_rate("2.50"),
    reasoning=parse_rate("10"),
)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(), 0),
        (Usage(input=1_000_000), 125_000_000),
        (Usage(output=1_000_000), 1_000_000_000),
        (Usage(cache_read=1_000_000), 12_500_000),
        (Usage(cache_write=1_000_000), 156_250_000),
        (Usage(cache_write_1h=1_000_000), 250_000_000),
        (Usage(reasoning=1_000_000), 1_000_000_000),
        (Usage(input=3, cache_read=1, output=1), 1388),  # 375 + 12.5 + 1000 = 1387.5
    ],
)
def test_each_kind_of_token_has_its_rate_and_the_sum_is_rounded_up_once(usage: Usage, expected: int) -> None:
    assert pricing.cost(usage, PRICE) == expected


def test_the_base_is_the_least_that_is_charged_and_held() -> None:
    price = Price(
        input=Rate(1),
        output=Rate(1),
        cache_read=Rate(1),
        cache_write=Rate(1),
        cache_write_1h=Rate(1),
        reasoning=Rate(1),
        base=Micro(500),
    )
    assert pricing.cost(Usage(input=10), price) == 500
    assert pricing.estimate(price, 10, 10) == 500


def test_an_estimate_counts_the_input_once_and_the_output_for_each_choice() -> None:
    one = pricing.estimate(PRICE, 1_000_000, 1_000_000)
    assert one == 250_000_000 + 1_000_000_000
    assert pricing.estimate(PRICE, 1_000_000, 1_000_000, choices=3) == 250_000_000 + 3_000_000_000


def test_a_charge_may_pass_its_hold_by_the_stated_overrun() -> None:
    assert pricing.may_charge(Micro(100), PRICE) == 500


counts = st.integers(min_value=0, max_value=10**7)


@pytest.mark.parametrize(
    ("usage", "saved"),
    [
        (Usage(input=1_000_000, output=1_000_000), 0),
        (Usage(cache_read=1_000_000), 112_500_000),
        (Usage(input=5, cache_read=1_000_000, output=7, reasoning=3), 112_500_000),
        (Usage(cache_write=1_000_000), -31_250_000),
        (Usage(cache_write_1h=1_000_000), -125_000_000),
        (Usage(cache_read=1_000_000, cache_write=1_000_000), 81_250_000),
    ],
)
def test_caches_save_what_the_same_tokens_would_have_cost_more_as_plain_input(usage: Usage, saved: int) -> None:
    assert pricing.cache_savings(usage, PRICE) == saved


def test_caches_save_nothing_of_a_charge_that_is_the_least_there_is() -> None:
    price = replace(PRICE, base=Micro(10**9))
    assert pricing.cache_savings(Usage(cache_read=1_000_000), price) == 0


usages = st.builds(
    Usage, input=counts, cache_read=counts, cache_write=counts, cache_write_1h=counts, output=counts, reasoning=counts
)


@given(usage=usages)
def test_the_hold_covers_any_split_of_the_same_tokens(usage: Usage) -> None:
    assert pricing.cost(usage, PRICE) <= pricing.estimate(PRICE, usage.input_total, usage.output_total)
