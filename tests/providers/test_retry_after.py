"""The forms in which providers ask to be left alone."""

from __future__ import annotations

import pytest

from hypereal.providers.retry_after import LONGEST_S, duration, retry_after

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "20s"}, 20),
        ({"retry-after": "Fri, 15 Jan 2027 08:01:00 GMT"}, 60),
        ({"retry-after": "Fri, 15 Jan 2027 08:01:00 -0000"}, 60),
        ({"retry-after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, LONGEST_S),
        ({"retry-after": "1e99"}, LONGEST_S),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "-1", "retry-after": "9"}, 9),
        ({"retry-after-ms": "x"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m30s"}, 90),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "12"}, 12),
        ({"x-ratelimit-remaining-tokens": "0"}, None),
        ({"x-ratelimit-remaining-tokens": "7", "x-ratelimit-reset-tokens": "1m30s"}, None),
        ({"x-ratelimit-reset": "1800000005000"}, 5),
        ({"x-ratelimit-reset": "1799999999000"}, 0),
        ({"x-ratelimit-reset": "60"}, None),
    ],
)
def test_headers_are_understood(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, message="", wait=None, now=NOW) == seconds


def test_the_most_explicit_statement_wins() -> None:
    message = "Rate limit. Please try again in 6m0.5s."
    assert retry_after({"retry-after": "3"}, message=message, wait="34s", now=NOW) == 3
    assert retry_after({}, message=message, wait="34s", now=NOW) == 34
    assert retry_after({}, message=message, wait="later", now=NOW) == 360.5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("120ms", 0.12), ("6m0s", 360), ("1h2m3s", 3723), ("2d", LONGEST_S), ("", None), ("1s later", None)],
)
def test_durations_are_openais(text: str, seconds: float | None) -> None:
    assert duration(text) == seconds
