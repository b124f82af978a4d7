"""Work beside the requests: it ends with the server, and does not fail in silence."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from structlog.testing import capture_logs

from hypereal.kit.background import Background


async def test_work_ends_with_the_server() -> None:
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with AsyncExitStack() as stack:
        Background(stack).run(endless())
        await asyncio.sleep(0)
        assert not ended.is_set()
    assert ended.is_set()


async def test_work_that_fails_is_logged_and_leaves_the_rest_alone() -> None:
    async def broken() -> None:
        raise ValueError("no such thing")

    done = asyncio.Event()

    async def sound() -> None:
        await asyncio.sleep(0)
        done.set()

    with capture_logs() as said:
        async with AsyncExitStack() as stack:
            background = Background(stack)
            background.run(broken())
            background.run(sound())
            async with asyncio.timeout(5):
                await done.wait()
            await asyncio.sleep(0)
    assert [(line["event"], line["error"]) for line in said] == [("background.failed", "ValueError('no such thing')")]
