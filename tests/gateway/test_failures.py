"""The one clean error after failed attempts, and how long is waited between them."""

from __future__ import annotations

import pytest

from hypereal.errors import (
    HyperealError,
    InvalidRequest,
    NoUpstream,
    PayloadTooLarge,
    RateLimited,
    UpstreamFailed,
    UpstreamTimeout,
)
from hypereal.gateway.failover import BACKOFF_S, MAX_BACKOFF_S, backoff_s, to_error
from hypereal.providers.base import Failure, FailureKind


def failure(kind: FailureKind, retry_after_s: float | None = None) -> Failure:
    return Failure(kind=kind, message="the upstream's own words", retry_after_s=retry_after_s)


THROTTLED = failure(FailureKind.THROTTLED)
TIMEOUT = failure(FailureKind.TIMEOUT)
RESET = failure(FailureKind.RESET)


@pytest.mark.parametrize(
    ("failures", "error", "status"),
    [
        ([], NoUpstream, 503),
        ([THROTTLED], RateLimited, 429),
        ([THROTTLED, THROTTLED], RateLimited, 429),
        ([THROTTLED, RESET], UpstreamFailed, 502),
        ([TIMEOUT, TIMEOUT], UpstreamTimeout, 504),
        ([TIMEOUT, THROTTLED], UpstreamFailed, 502),
        *[
            ([failure(kind)], UpstreamFailed, 502)
            for kind in FailureKind
            if kind not in (FailureKind.THROTTLED, FailureKind.TIMEOUT, FailureKind.REJECTED)
        ],
    ],
)
def test_failed_attempts_become_one_error(failures: list[Failure], error: type[HyperealError], status: int) -> None:
    made = to_error(failures[-1] if failures else failure(FailureKind.CONNECT), failures)
    assert type(made) is error
    assert made.status == status
    assert "own words" not in made.message


@pytest.mark.parametrize(
    ("waits", "told"), [([None], 1), ([0.2], 1), ([2.1], 3), ([30.0, 4.0], 4), ([None, 7.5], 8), ([0.0], 1)]
)
def test_the_client_is_told_when_the_first_provider_takes_requests_again(waits: list[float | None], told: int) -> None:
    failures = [failure(FailureKind.THROTTLED, wait) for wait in waits]
    assert to_error(failures[-1], failures).retry_after_s == told


@pytest.mark.parametrize("earlier", [[], [RESET], [THROTTLED, TIMEOUT]])
def test_a_rejected_request_is_answered_as_rejected(earlier: list[Failure]) -> None:
    rejected = Failure(
        kind=FailureKind.REJECTED, message="too long", status=400, code="context_length_exceeded", param="messages"
    )
    error = to_error(rejected, earlier)
    assert type(error) is InvalidRequest
    assert (error.status, error.message, error.param) == (400, "too long", "messages")


def test_the_upstreams_code_of_a_rejection_is_shown() -> None:
    rejected = Failure(kind=FailureKind.REJECTED, message="no", status=422, code="odd", param=None)
    assert to_error(rejected, []).fields == {"code": "odd"}
    assert to_error(Failure(kind=FailureKind.REJECTED, message="no", status=400), []).fields == {}


def test_a_body_that_is_too_large_upstream_is_too_large_here() -> None:
    error = to_error(Failure(kind=FailureKind.REJECTED, message="big", status=413), [])
    assert type(error) is PayloadTooLarge
    assert error.status == 413


@pytest.mark.parametrize("tries", range(12))
def test_the_wait_before_a_retry_grows_and_is_bounded(tries: int) -> None:
    ceiling = min(MAX_BACKOFF_S, BACKOFF_S * 2**tries)
    assert all(0 <= backoff_s(tries) <= ceiling for _ in range(50))
