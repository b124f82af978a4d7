"""Caches that were written for nothing: told once, when they are lost, and bounded in memory."""

from __future__ import annotations

import pytest

from hypereal.usage.unread import HOUR_S, MINUTES_S, Prefix, Unread

AT = 1_795_000_000.0
ONE = Prefix("m", "anthropic", "one")
TWO = Prefix("m", "anthropic", "two")
LOST = ("m", "anthropic", "unread")


def test_what_nothing_read_is_lost_when_it_expires() -> None:
    unread = Unread()
    unread.written(ONE, AT, minutes=10, hour=0)
    assert unread.take_lost(AT + MINUTES_S - 1) == {}
    assert unread.take_lost(AT + MINUTES_S) == {LOST: 10}
    assert unread.take_lost(AT + 9 * HOUR_S) == {}


def test_what_was_read_is_never_lost() -> None:
    unread = Unread()
    unread.written(ONE, AT, minutes=10, hour=7)
    unread.written(TWO, AT, minutes=5, hour=0)
    unread.read(ONE)
    assert unread.take_lost(AT + HOUR_S) == {LOST: 5}


@pytest.mark.parametrize(("minutes", "hour"), [(3, 4), (0, 7)])
def test_each_lifetime_is_its_own(minutes: int, hour: int) -> None:
    unread = Unread()
    unread.written(ONE, AT, minutes=minutes, hour=hour)
    assert unread.take_lost(AT + MINUTES_S).total() == minutes
    assert unread.take_lost(AT + HOUR_S) == {LOST: hour}


def test_the_last_write_of_a_session_is_lost_and_the_earlier_ones_are_not() -> None:
    unread = Unread()
    for turn in range(5):
        unread.read(ONE)
        unread.written(ONE, AT + turn, minutes=100 + turn, hour=0)
    assert unread.take_lost(AT + HOUR_S) == {LOST: 104}


def test_writes_that_follow_each_other_unread_add_up_and_live_on() -> None:
    unread = Unread()
    unread.written(ONE, AT, minutes=10, hour=0)
    unread.written(ONE, AT + 200, minutes=1, hour=0)
    assert unread.take_lost(AT + MINUTES_S) == {}
    assert unread.take_lost(AT + 200 + MINUTES_S) == {LOST: 11}


def test_what_is_too_much_to_remember_counts_as_lost() -> None:
    unread = Unread(max_prefixes=3)
    for n in range(10):
        unread.written(Prefix("m", "anthropic", str(n)), AT, minutes=1, hour=0)
    assert unread.take_lost(AT) == {LOST: 7}
    unread.read(Prefix("m", "anthropic", "9"))
    assert unread.take_lost(AT + MINUTES_S) == {LOST: 2}
