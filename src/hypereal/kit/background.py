"""Work that runs beside the requests: for as long as a process serves, or for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import structlog

Outcome = TypeVar("Outcome")

log = structlog.get_logger(__name__)


class Background:
    """Tasks that end when `stack` is left. One that fails is logged, not silently gone."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        stack.push_async_callback(self._stop)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin with a piece of work now."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.error("background.failed", error=repr(problem))

    async def _stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Errands:
    """Short tasks, kept until they end. A failure belongs to who waits for the task, if anybody does."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, work: Coroutine[Any, Any, Outcome]) -> asyncio.Task[Outcome]:
        """Begin with a piece of work now."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def finish(self) -> None:
        """Wait until none is under way, those included that others begin."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # read, so that nothing is logged of one that nobody waits for
