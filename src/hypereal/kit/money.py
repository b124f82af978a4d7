"""Money: integer micro-credits, and the only places that turn decimal text into them.

100 credits are one US dollar and a credit is 1,000,000 micro-credits, so one micro-credit is $1e-8
(`credits.md`). No float ever holds money; a JSON number of credits is made from the integer when it is written.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import NewType

Micro = NewType("Micro", int)
"""An amount of micro-credits."""

Rate = NewType("Rate", int)
"""A price in micro-credits for a million units (tokens, mostly): fine enough for any published price."""

MICRO_PER_CREDIT = 1_000_000
CREDITS_PER_DOLLAR = 100
UNITS_PER_RATE = 1_000_000
ZERO = Micro(0)
LARGEST_EXPONENT = 30  # far above any amount; keeps "1e999999999" from being written out


def _fraction(text: str) -> Fraction:
    """The exact value: a `Decimal` would round products to 28 digits."""
    try:
        value = Decimal(text)
    except InvalidOperation as exc:
        raise ValueError(f"{text!r} is not a decimal number") from exc
    if not value.is_finite():
        raise ValueError(f"{text!r} is not a finite number")
    if value and abs(value.adjusted()) > LARGEST_EXPONENT:
        raise ValueError(f"{text!r} is out of range")
    return Fraction(value)


def _exact(value: Fraction, text: str) -> int:
    if value.denominator != 1:
        raise ValueError(f"{text!r} is finer than one micro-credit")
    return value.numerator


def parse_credits(text: str) -> Micro:
    """Decimal credits ("4", "0.25") as micro-credits; ValueError when malformed or finer than one micro-credit."""
    return Micro(_exact(_fraction(text) * MICRO_PER_CREDIT, text))


def parse_rate(usd_per_million: str) -> Rate:
    """A price as providers publish it, US dollars for a million tokens ("0.50"), as a `Rate`."""
    return Rate(_exact(_fraction(usd_per_million) * CREDITS_PER_DOLLAR * MICRO_PER_CREDIT, usd_per_million))


def round_up(amount: int, unit: int) -> int:
    """`amount / unit` rounded up: a fraction of a micro-credit is charged as one."""
    return -(-amount // unit)


def credits_text(amount: int) -> str:
    """Micro-credits as credits in plain decimal notation without trailing zeros: `1500000` is "1.5"."""
    sign = "-" if amount < 0 else ""
    whole, fraction = divmod(abs(amount), MICRO_PER_CREDIT)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:06d}".rstrip("0")


def credits_number(amount: int) -> int | float:
    """Micro-credits as the JSON number of credits that answers show; whole amounts stay integers."""
    whole, fraction = divmod(amount, MICRO_PER_CREDIT)
    return amount / MICRO_PER_CREDIT if fraction else whole
