"""Money: exact in, exact out, rounded only upwards and only where it is said."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.money import (
    MICRO_PER_CREDIT,
    credits_number,
    credits_text,
    parse_credits,
    parse_rate,
    round_up,
)

AMOUNTS = st.integers(-(10**18), 10**18)


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("4", 4_000_000),
        ("0.25", 250_000),
        ("0.000001", 1),
        ("-1.5", -1_500_000),
        ("0", 0),
        ("1e3", 10**9),
        ("2.50", 2_500_000),
    ],
)
def test_credits_are_read(text: str, micro: int) -> None:
    assert parse_credits(text) == micro


@pytest.mark.parametrize(
    "text",
    ["", "four", "1,5", "0x10", "NaN", "sNaN", "Infinity", "-inf", "1 2", "1e999999999", "1e-999999999", "1e40"],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    for read in (parse_credits, parse_rate):
        with pytest.raises(ValueError, match=r"is not|is out of range|finer"):
            read(text)


@pytest.mark.parametrize("text", ["0.0000001", "1.0000005", "1.0000000000000000000000000000000001"])
def test_nothing_finer_than_a_micro_credit_is_rounded_away(text: str) -> None:
    with pytest.raises(ValueError, match="finer than one micro-credit"):
        parse_credits(text)


def test_prices_are_dollars_for_a_million_tokens() -> None:
    assert parse_rate("0.50") == 50 * MICRO_PER_CREDIT
    assert parse_rate("0.00000001") == 1
    with pytest.raises(ValueError, match="finer"):
        parse_rate("0.000000001")


@pytest.mark.parametrize(
    ("micro", "text", "number"),
    [
        (0, "0", 0),
        (1_000_000, "1", 1),
        (1_500_000, "1.5", 1.5),
        (1, "0.000001", 0.000001),
        (-1_500_000, "-1.5", -1.5),
        (-1, "-0.000001", -0.000001),
        (-2_000_000, "-2", -2),
        (10**16, "10000000000", 10**10),
    ],
)
def test_amounts_are_shown_as_credits(micro: int, text: str, number: float) -> None:
    assert credits_text(micro) == text
    assert credits_number(micro) == number
    assert type(credits_number(micro)) is type(number)


@given(AMOUNTS)
def test_what_is_shown_reads_back(amount: int) -> None:
    assert parse_credits(credits_text(amount)) == amount
    assert Decimal(credits_text(amount)) * MICRO_PER_CREDIT == amount


@given(AMOUNTS, st.integers(1, 10**9))
def test_a_fraction_of_a_micro_credit_is_charged_as_one(amount: int, unit: int) -> None:
    rounded = round_up(amount, unit)
    assert rounded - 1 < Fraction(amount, unit) <= rounded


@given(st.text(max_size=12))
def test_a_text_is_an_exact_amount_or_a_value_error(text: str) -> None:
    try:
        amount = parse_credits(text)
    except ValueError:
        return
    assert Fraction(Decimal(text)) * MICRO_PER_CREDIT == amount
