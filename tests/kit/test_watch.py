"""The watch: deadlines on one timer, which stops when there is nothing to watch and survives what it watches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hypereal.kit import watch as module
from hypereal.kit.watch import Watch


@pytest.fixture(autouse=True)
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK_S", 0.001)


class Thing:
    def __init__(self, watch: Watch, delay_s: float, then: Callable[[Thing], None]) -> None:
        self.deadline = watch.time() + delay_s
        self.expiries = 0
        self._then = then
        self.has_expired = asyncio.Event()

    def expired(self) -> None:
        self.expiries += 1
        self.has_expired.set()
        self._then(self)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_deadline_that_passed_is_told_until_it_moves() -> None:
    watch = Watch(asyncio.get_running_loop())

    def later(thing: Thing) -> None:
        if thing.expiries == 3:
            thing.deadline = float("inf")

    thing = Thing(watch, 0.0, later)
    watch.add(thing)
    sentinel = Thing(watch, 0.02, watch.discard)
    watch.add(sentinel)
    await until(lambda: sentinel.expiries == 1 and thing.expiries >= 3)
    assert thing.expiries == 3
    watch.close()


async def test_what_is_discarded_is_not_told() -> None:
    watch = Watch(asyncio.get_running_loop())
    thing, sentinel = Thing(watch, 0.0, watch.discard), Thing(watch, 0.01, watch.discard)
    watch.add(thing)
    watch.add(sentinel)
    watch.discard(thing)
    await until(sentinel.has_expired.is_set)
    assert thing.expiries == 0


async def test_the_timer_rests_when_there_is_nothing_to_watch_and_starts_again() -> None:
    watch = Watch(asyncio.get_running_loop())
    for _ in range(2):
        thing = Thing(watch, 0.0, watch.discard)
        watch.add(thing)
        await until(lambda: watch._timer is None)
        assert thing.expiries == 1


async def test_one_that_fails_does_not_end_the_deadlines_of_others() -> None:
    loop = asyncio.get_running_loop()
    faults: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    watch = Watch(loop)

    def fail(thing: Thing) -> None:
        raise RuntimeError("a fault")

    failing = [Thing(watch, 0.0, fail) for _ in range(3)]
    sound = [Thing(watch, 0.0, watch.discard) for _ in range(3)]
    for thing in failing + sound:
        watch.add(thing)
    await until(lambda: watch._timer is None)
    assert [thing.expiries for thing in failing + sound] == [1] * 6
    assert len(faults) == 3


async def test_nothing_expires_once_it_is_closed() -> None:
    watch = Watch(asyncio.get_running_loop())
    thing = Thing(watch, 0.0, watch.discard)
    watch.add(thing)
    watch.close()
    watch.close()
    other = Watch(asyncio.get_running_loop())
    sentinel = Thing(other, 0.01, other.discard)
    other.add(sentinel)
    await until(sentinel.has_expired.is_set)
    assert thing.expiries == 0
    assert watch._timer is None
