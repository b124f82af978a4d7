"""Driving a coroutine from callbacks: no task and no future while it waits for nothing but an upstream's answer.

A task and two futures cost as much as the rest of a request's policy. Most requests wait exactly once, for an answer
that arrives by callback, so the hot lane steps its coroutine itself: it runs until it awaits a `Cell`, and goes on in
the very callback that fills it. A coroutine about to await anything else says `await in_task()` first and from there on
is an ordinary task. The same code runs in a plain task from the start, where `in_task` does nothing.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Cell(Generic[T]):
    """A value that comes later, once, for one waiter.

    To a task it looks like a future (the protocol of `asyncio.Future` that tasks rely on), but filling it resumes the
    waiter of a `Drive` at once instead of through the event loop.
    """

    __slots__ = ("_asyncio_future_blocking", "_is_done", "_value", "_waiter")

    def __init__(self) -> None:
        self._asyncio_future_blocking = False
        self._is_done = False
        self._value: T
        self._waiter: Callable[[Any], object] | None = None

    def done(self) -> bool:
        return self._is_done

    def result(self) -> T:
        """The value; only once `done`. To a task that was cancelled while it waited, the cancellation."""
        if not self._is_done:
            raise asyncio.CancelledError
        return self._value

    def set_result(self, value: T) -> None:
        """Fill the cell and go on with whoever waits; only once."""
        self._is_done = True
        self._value = value
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter(self)

    def on_done(self, waiter: Callable[[Any], object]) -> None:
        """Have `waiter` called with the cell when it is filled."""
        self._waiter = waiter

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """For tasks, which wait for things of their own loop only."""
        return asyncio.get_running_loop()

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Any = None) -> None:
        """For tasks: they expect to be called from the event loop, in their context."""
        loop = asyncio.get_running_loop()
        self._waiter = lambda cell: loop.call_soon(callback, cell, context=context)

    def cancel(self, msg: Any = None) -> bool:
        """For tasks that are cancelled while they wait: the value may still come, but nobody waits for it."""
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            return False
        waiter(self)
        return True

    def __await__(self) -> Generator[Any, Any, T]:
        if not self._is_done:
            self._asyncio_future_blocking = True
            yield self
        return self._value


class _InTask:
    def __await__(self) -> Generator[Any, Any, None]:
        if asyncio.current_task() is None:
            yield self


_IN_TASK = _InTask()


def in_task() -> _InTask:
    """Await this before anything that needs the event loop: from here on the coroutine runs in a task."""
    return _IN_TASK


@types.coroutine
def _rest(work: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """The rest of a coroutine that has been stepped so far, for a task to run."""
    step: Callable[[Any], Any] = work.send
    argument: Any = None
    while True:
        try:
            waits_for = step(argument)
        except StopIteration:
            return
        step, argument = work.send, None
        try:
            argument = yield waits_for
        except BaseException as exc:  # noqa: BLE001  it is the coroutine's to handle, a cancellation above all
            step, argument = work.throw, exc


async def _finish(work: Coroutine[Any, Any, None]) -> None:
    await _rest(work)


class Drive:
    """Runs `work`, which must handle its own exceptions. `task_made` is told of the task, if it comes to that."""

    __slots__ = ("_send", "_task_made", "_work")

    def __init__(self, work: Coroutine[Any, Any, None], task_made: Callable[[asyncio.Task[None]], None]) -> None:
        self._work = work
        self._send = work.send
        self._task_made = task_made

    def step(self, _: Any = None) -> None:
        """Run to the next wait."""
        try:
            waits_for = self._send(None)
        except StopIteration:
            return
        if type(waits_for) is Cell:
            waits_for.on_done(self.step)
        else:
            self._task_made(asyncio.get_running_loop().create_task(_finish(self._work)))
