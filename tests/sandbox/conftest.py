"""A sandbox on a real socket, and clients for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future

import httpx2
import pytest
from openai import AsyncOpenAI

from hypereal.sandbox.app import SandboxConfig
from hypereal.sandbox.server import serving


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """One sandbox for the session, in a thread with an event loop of its own; streams come without a pace."""
    address: Future[str] = Future()
    loop = asyncio.new_event_loop()
    stopped = asyncio.Event()

    async def serve() -> None:
        async with serving(SandboxConfig(chunks_per_second=0)) as base:
            address.set_result(base)
            await stopped.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    yield address.result(timeout=20)
    loop.call_soon_threadsafe(stopped.set)
    thread.join()
    loop.close()


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    # There is no TLS here; `verify=False` spares each test the reading of the system's certificates.
    async with httpx2.AsyncClient(base_url=url, timeout=20, verify=False) as client:
        yield client


@pytest.fixture
async def sdk(url: str, http: httpx2.AsyncClient) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, http_client=http)
