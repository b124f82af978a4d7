"""The limits of one process, against a model that remembers every request."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.limits.counters import Limited, Subject
from hypereal.limits.windows import Admission, Windows
from tests.limits.clock import FrozenClock

Step = tuple[float, int]

HOUR_S, MINUTE_S = 3600.0, 60.0
steps = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 0.2), st.floats(0, 70), st.floats(0, 4000), st.sampled_from([60.0, 3600.0])),
        st.integers(0, 60),
    ),
    max_size=80,
)


def admitted(outcome: Admission | Limited) -> Admission:
    assert isinstance(outcome, Admission)
    return outcome


def refused(outcome: Admission | Limited) -> Limited:
    assert isinstance(outcome, Limited)
    return outcome


def check_against_model(
    subject: Subject, steps: list[Step], *, limit: int, seconds: float, grain_s: float, weigh: Callable[[int], int]
) -> None:
    clock = FrozenClock()
    windows = Windows(clock=clock)
    let_in: list[tuple[float, int]] = []
    for pause_s, tokens in steps:
        clock.advance(pause_s)
        weight = weigh(tokens)
        outcome = windows.admit([subject], tokens)
        exact = sum(w for at, w in let_in if at > clock.now - seconds)
        generous = sum(w for at, w in let_in if at > clock.now - seconds - grain_s - 1e-3)
        if isinstance(outcome, Admission):
            outcome.finish()
            assert exact + weight <= limit
            let_in.append((clock.now, weight))
        else:
            assert generous + weight > limit
            assert outcome.remaining == 0
            assert outcome.limit == limit
            assert clock.now < outcome.reset <= clock.now + seconds + grain_s + 1
            if weight > limit:
                assert outcome.retry_after_s is None
            else:
                assert outcome.retry_after_s is not None
                assert 1 <= outcome.retry_after_s <= seconds + grain_s + 1


@given(steps=steps, limit=st.integers(1, 8))
@settings(max_examples=150, deadline=None)
def test_no_hour_ever_holds_more_requests_than_the_limit(steps: list[Step], limit: int) -> None:
    subject = Subject(id="a", requests_per_hour=limit)
    check_against_model(subject, steps, limit=limit, seconds=HOUR_S, grain_s=1.0, weigh=lambda _: 1)


@given(steps=steps, limit=st.integers(1, 8))
@settings(max_examples=150, deadline=None)
def test_no_minute_ever_holds_more_requests_than_the_limit(steps: list[Step], limit: int) -> None:
    subject = Subject(id="a", requests_per_minute=limit)
    check_against_model(subject, steps, limit=limit, seconds=MINUTE_S, grain_s=0.1, weigh=lambda _: 1)


@given(steps=steps, limit=st.integers(1, 200))
@settings(max_examples=150, deadline=None)
def test_no_minute_ever_holds_more_tokens_than_the_limit(steps: list[Step], limit: int) -> None:
    subject = Subject(id="a", tokens_per_minute=limit)
    check_against_model(subject, steps, limit=limit, seconds=MINUTE_S, grain_s=0.1, weigh=lambda tokens: tokens)


@given(
    actions=st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 9))))),
    limit=st.integers(1, 4),
)
@settings(max_examples=150, deadline=None)
def test_no_more_requests_are_in_flight_than_the_limit(
    actions: list[tuple[int, int | None] | None], limit: int
) -> None:
    windows = Windows(clock=FrozenClock())
    subject = Subject(id="a", concurrency=limit)
    in_flight: list[Admission] = []
    finished: list[Admission] = []
    for action in actions:
        if action is None:
            outcome = windows.admit([subject])
            assert isinstance(outcome, Admission) == (len(in_flight) < limit)
            if isinstance(outcome, Admission):
                in_flight.append(outcome)
        elif in_flight:
            which, tokens = action
            ended = in_flight.pop(which % len(in_flight))
            ended.finish(tokens)
            finished.append(ended)
            finished[0].finish()


def test_a_refused_request_does_not_count_anywhere() -> None:
    clock = FrozenClock()
    windows = Windows(clock=clock)
    account = Subject(id="a", requests_per_hour=10)
    key = Subject(id="k", noun="key", requests_per_minute=1)
    held = admitted(windows.admit([account, key]))
    for _ in range(20):
        assert refused(windows.admit([account, key])).limit == 1
    assert (held.limit, held.remaining) == (1, 0)
    assert admitted(windows.admit([account])).remaining == 8


def test_both_the_account_and_the_key_are_limited() -> None:
    windows = Windows(clock=FrozenClock())
    account = Subject(id="a", requests_per_hour=3)
    first, second = Subject(id="k1", noun="key", requests_per_hour=2), Subject(id="k2", noun="key")
    admitted(windows.admit([account, first]))
    admitted(windows.admit([account, first]))
    assert "2 requests per hour for this key" in refused(windows.admit([account, first])).message
    admitted(windows.admit([account, second]))
    assert "3 requests per hour for this account" in refused(windows.admit([account, second])).message


def test_the_headers_show_the_window_with_the_smallest_part_left() -> None:
    clock = FrozenClock(1_800_000_000.5)
    windows = Windows(clock=clock)
    subjects = [
        Subject(id="a", requests_per_hour=1000, requests_per_minute=5),
        Subject(id="k", noun="key", requests_per_hour=2),
    ]
    for left in (1, 0):
        admission = admitted(windows.admit(subjects))
        assert (admission.limit, admission.remaining, admission.reset) == (2, left, 1_800_003_601)
        assert windows.show(subjects) == (2, left, 1_800_003_601)
    assert refused(windows.admit(subjects)).limit == 2


def test_the_headers_show_the_accounts_own_window_while_it_is_the_tightest() -> None:
    windows = Windows(clock=FrozenClock())
    account = Subject(id="a", requests_per_hour=10)
    admitted(windows.admit([account]))
    admission = admitted(windows.admit([account, Subject(id="k", noun="key", requests_per_minute=10)]))
    assert (admission.limit, admission.remaining) == (10, 8)


def test_a_window_of_tokens_is_shown_when_it_is_the_tightest() -> None:
    windows = Windows(clock=FrozenClock())
    subjects = [
        Subject(id="a", requests_per_minute=50, tokens_per_minute=40),
        Subject(id="k", noun="key", requests_per_minute=45),
    ]
    admission = admitted(windows.admit(subjects, 10))
    assert (admission.limit, admission.remaining) == (40, 30)


@pytest.mark.parametrize("subjects", [[], [Subject(id="a")], [Subject(id="a", concurrency=4)]])
def test_without_windows_there_are_no_headers(subjects: list[Subject]) -> None:
    assert admitted(Windows(clock=FrozenClock()).admit(subjects)).limit is None


def test_subjects_without_ceilings_are_not_remembered() -> None:
    windows = Windows(clock=FrozenClock())
    admitted(windows.admit([Subject(id="a"), Subject(id="k")])).finish(5)
    assert len(windows) == 0


@pytest.mark.parametrize(
    "subject",
    [
        Subject(id="a", requests_per_hour=3),
        Subject(id="a", requests_per_minute=3),
        Subject(id="a", tokens_per_minute=30),
    ],
)
def test_a_request_is_let_in_when_its_refusal_said_it_would_be(subject: Subject) -> None:
    clock = FrozenClock(1_800_000_000.37)
    windows = Windows(clock=clock)
    for _ in range(3):
        admitted(windows.admit([subject], 10)).finish()
        clock.advance(7.3)
    refusal = refused(windows.admit([subject], 10))
    clock.now = refusal.reset - 1.2
    refused(windows.admit([subject], 10))
    clock.now = refusal.reset
    admitted(windows.admit([subject], 10))


def test_waiting_as_long_as_told_is_enough() -> None:
    clock = FrozenClock(1_800_000_000.9)
    windows = Windows(clock=clock)
    subject = Subject(id="a", requests_per_minute=1)
    admitted(windows.admit([subject]))
    clock.advance(0.05)
    clock.advance(refused(windows.admit([subject])).retry_after_s or 0)
    admitted(windows.admit([subject]))


def test_tokens_that_were_not_used_are_given_back() -> None:
    windows = Windows(clock=FrozenClock())
    subject = Subject(id="a", tokens_per_minute=100)
    first = admitted(windows.admit([subject], 90))
    refused(windows.admit([subject], 20))
    first.finish(15)
    first.finish(0)
    assert admitted(windows.admit([subject], 85)).remaining == 0
    refused(windows.admit([subject], 1))


def test_tokens_used_beyond_the_estimate_count_from_the_end_of_the_request() -> None:
    clock = FrozenClock()
    windows = Windows(clock=clock)
    subject = Subject(id="a", tokens_per_minute=100)
    first = admitted(windows.admit([subject], 10))
    clock.advance(100)
    first.finish(95)
    clock.advance(59)
    refused(windows.admit([subject], 16))
    admitted(windows.admit([subject], 15)).finish()
    clock.advance(1.2)
    admitted(windows.admit([subject], 85))


def test_tokens_given_back_after_they_left_the_window_change_nothing() -> None:
    clock = FrozenClock()
    windows = Windows(clock=clock)
    subject = Subject(id="a", tokens_per_minute=100)
    long = admitted(windows.admit([subject], 100))
    clock.advance(61)
    admitted(windows.admit([subject], 60)).finish(60)
    long.finish(0)
    refused(windows.admit([subject], 41))
    admitted(windows.admit([subject], 40))


def test_a_request_larger_than_the_ceiling_is_told_so() -> None:
    windows = Windows(clock=FrozenClock())
    refusal = refused(windows.admit([Subject(id="a", tokens_per_minute=100)], 101))
    assert refusal.message.endswith("100 tokens per minute for this account, and this request alone may need 101")
    assert (refusal.retry_after_s, refusal.reset) == (None, FrozenClock().now + 60)


def test_a_request_that_is_forgotten_frees_its_place() -> None:
    windows = Windows(clock=FrozenClock())
    subject = Subject(id="a", concurrency=1)
    forgotten = admitted(windows.admit([subject]))
    assert refused(windows.admit([subject])).retry_after_s == 1
    del forgotten
    admitted(windows.admit([subject]))


def test_new_ceilings_hold_at_once_and_keep_the_counts() -> None:
    windows = Windows(clock=FrozenClock())
    for _ in range(5):
        admitted(windows.admit([Subject(id="a", requests_per_hour=10)])).finish()
    assert refused(windows.admit([Subject(id="a", requests_per_hour=5)])).limit == 5
    assert admitted(windows.admit([Subject(id="a", requests_per_hour=7)])).remaining == 1


def test_lowered_ceilings_say_when_there_is_room_again() -> None:
    clock = FrozenClock()
    windows = Windows(clock=clock)
    for _ in range(5):
        admitted(windows.admit([Subject(id="a", requests_per_hour=10)])).finish()
        clock.advance(100)
    lowered = Subject(id="a", requests_per_hour=2)
    clock.now = refused(windows.admit([lowered])).reset
    admitted(windows.admit([lowered]))
    refused(windows.admit([lowered]))


def test_a_clock_that_goes_back_lets_nothing_extra_in() -> None:
    clock = FrozenClock()
    windows = Windows(clock=clock)
    subject = Subject(id="a", requests_per_minute=2)
    admitted(windows.admit([subject]))
    clock.advance(-30)
    admitted(windows.admit([subject]))
    refused(windows.admit([subject]))
    clock.advance(70)
    refused(windows.admit([subject]))
    clock.advance(30)
    admitted(windows.admit([subject]))


def test_idle_subjects_are_forgotten_and_busy_ones_are_not() -> None:
    clock = FrozenClock()
    windows = Windows(clock=clock)
    for number in range(5000):
        admitted(windows.admit([Subject(id=f"a{number}", requests_per_hour=10)])).finish()
    streaming = admitted(windows.admit([Subject(id="streaming", requests_per_hour=10, concurrency=1)]))
    clock.advance(3602)
    for number in range(10):
        admitted(windows.admit([Subject(id=f"a{number}", requests_per_hour=10)])).finish()
    windows.drain()
    for _ in range(5):
        windows.sweep()
    assert len(windows) == 11
    streaming.finish()
    windows.drain()
    for _ in range(3):
        windows.sweep()
    assert len(windows) == 10


def test_showing_the_limit_counts_nothing() -> None:
    windows = Windows(clock=lambda: 1_000_000.0)
    subject = Subject(id="acct", requests_per_hour=2)
    assert windows.show([subject])[:2] == (2, 2)
    admitted = windows.admit([subject])
    assert windows.show([subject])[:2] == (2, 1)
    assert isinstance(admitted, Admission)
    assert windows.show([Subject(id="free")]) == (None, 0, 0)
