"""The breaker: closed, open, one probe, closed again or open for longer."""

from __future__ import annotations

from hypereal.gateway.breaker import FAILURES_TO_OPEN, MAX_OPEN_S, OPEN_S, Breaker


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed(now)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed(0.0)
    assert breaker.allows(0.0)
    assert not breaker.is_open
    breaker.failed(0.0)
    assert breaker.is_open
    assert not breaker.allows(OPEN_S - 0.1)


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = Breaker()
    for _ in range(3 * FAILURES_TO_OPEN):
        for _ in range(FAILURES_TO_OPEN - 1):
            breaker.failed(0.0)
        breaker.succeeded()
    assert breaker.allows(0.0)


def test_after_its_rest_exactly_one_request_probes() -> None:
    breaker = opened()
    assert breaker.allows(OPEN_S)
    assert not breaker.allows(OPEN_S)
    assert not breaker.allows(OPEN_S + 1000)


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    assert breaker.allows(OPEN_S)
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.allows(OPEN_S)
    assert breaker.allows(OPEN_S)


def test_each_probe_that_fails_doubles_the_rest_up_to_a_limit() -> None:
    breaker, now, rest = opened(), OPEN_S, OPEN_S
    for _ in range(10):
        assert breaker.allows(now)
        breaker.failed(now)
        rest = min(rest * 2, MAX_OPEN_S)
        assert not breaker.allows(now + rest - 0.1)
        now += rest
    assert rest == MAX_OPEN_S
    assert breaker.allows(now)
    breaker.succeeded()
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed(now)
    assert breaker.allows(now + OPEN_S)


def test_a_probe_that_told_nothing_leaves_room_for_another() -> None:
    breaker = opened()
    assert breaker.allows(OPEN_S)
    breaker.undecided()
    assert breaker.is_open
    assert breaker.allows(OPEN_S)


def test_failures_of_requests_under_way_do_not_shorten_the_rest() -> None:
    breaker = opened(10.0)
    breaker.failed(5.0)
    assert not breaker.allows(10.0 + OPEN_S - 0.1)
    breaker.failed(15.0)
    assert not breaker.allows(15.0 + OPEN_S - 0.1)
    assert breaker.allows(15.0 + OPEN_S)
