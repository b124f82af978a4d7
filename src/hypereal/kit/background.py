"""Work that runs beside the requests for as long as a process serves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import structlog

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
