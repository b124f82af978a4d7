"""The sandbox as a process: uvicorn, a protocol that hands the transport to the application, a watch on the parent."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hypereal.sandbox.app import Sandbox, SandboxConfig, create_app
from hypereal.sandbox.exchange import TRANSPORT_EXTENSION

_PARENT_POLL_S = 0.5
_BACKLOG = 4096
_GRACE_S = 5


class SandboxProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the transport in the scope for faults that break the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {TRANSPORT_EXTENSION: self.transport}
        self.scope["extensions"] = extensions


def server_config(app: Sandbox, *, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Config:
    """uvicorn's settings for `app`: it prints nothing but faults."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=SandboxProtocol,
        loop="uvloop",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE_S,
    )


class _GuestServer(uvicorn.Server):
    """A server that leaves the signals of its process alone, and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def serving(config: SandboxConfig | None = None) -> AsyncIterator[str]:
    """A sandbox within this process, for tests: yields its base URL, such as `http://127.0.0.1:40123`."""
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener:
        server = _GuestServer(server_config(create_app(config)))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await server.ready.wait()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def run(config: SandboxConfig, *, host: str, port: int, exit_with_parent: bool = False) -> None:
    """Serve until a signal comes, or until the process that started this one is gone."""
    asyncio.run(_serve(uvicorn.Server(server_config(create_app(config), host=host, port=port)), exit_with_parent))


async def _serve(server: uvicorn.Server, exit_with_parent: bool) -> None:
    watch = asyncio.create_task(_watch_parent(os.getppid(), _stopper(server))) if exit_with_parent else None
    try:
        await server.serve()
    finally:
        if watch is not None:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch


def _stopper(server: uvicorn.Server) -> Callable[[], None]:
    return lambda: server.handle_exit(signal.SIGTERM, None)


async def _watch_parent(parent: int, stop: Callable[[], None]) -> None:
    """Call `stop` once this process has another parent than `parent`."""
    while os.getppid() == parent:  # noqa: ASYNC110 - no event tells of it on every system
        await asyncio.sleep(_PARENT_POLL_S)
    stop()
