"""The hot lane's client for upstreams: pools of HTTP/1.1 connections, one for each origin.

Relaying is what this product exists for, and a general client would cost several times the rest of a request, so this
one is our own: it sends requests that are already bytes and keeps connections alive. It follows no redirects, keeps no
cookies and undoes no compression: it asks for none.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypereal.kit.connection import Connection, UpstreamError

Write = Callable[[Any, bytes], None]


class ConnectFailed(UpstreamError):
    """No connection could be made."""


class ConnectTimeout(ConnectFailed):
    """No connection could be made in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where connections go; equal origins share a pool."""

    scheme: str
    host: str
    port: int
    connect_timeout_s: float = 5.0
    max_connections: int = 1000


def _write_now(transport: Any, data: bytes) -> None:
    transport.write(data)


class Pool:
    """The connections to one origin. The one used last is taken first, so that surplus ones grow old and go."""

    def __init__(self, origin: Origin, tls: ssl.SSLContext | None, idle_s: float, write: Write = _write_now) -> None:
        self.origin = origin
        self.write = write
        self._tls = tls
        self._idle_s = idle_s
        self._idle: list[Connection] = []
        self._idle_since: dict[Connection, tuple[int, float]] = {}
        self._open: set[Connection] = set()
        self._connecting = 0

    @property
    def size(self) -> int:
        return len(self._open)

    def take(self) -> Connection | None:
        """An idle connection, or None: then `connect`."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    def put(self, connection: Connection) -> None:
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._idle_since.pop(connection, None)
        if connection in self._idle:
            self._idle.remove(connection)

    async def connect(self) -> Connection:
        """A new connection; raises `ConnectFailed`."""
        origin = self.origin
        if len(self._open) + self._connecting >= origin.max_connections:
            raise ConnectFailed(f"{origin.max_connections} connections are open already")
        self._connecting += 1
        try:
            async with asyncio.timeout(origin.connect_timeout_s):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self),
                    origin.host,
                    origin.port,
                    ssl=self._tls,
                    server_hostname=origin.host if self._tls is not None else None,
                )
        except TimeoutError as exc:
            raise ConnectTimeout(f"no connection within {origin.connect_timeout_s:g} s") from exc
        except OSError as exc:
            raise ConnectFailed(exc.strerror or type(exc).__name__) from exc
        finally:
            self._connecting -= 1
        self._open.add(connection)
        return connection

    def sweep(self, now: float) -> None:
        """Close connections that nobody has used for the pool's idle time; called every few seconds."""
        seen = {}
        for connection in list(self._idle):
            uses, since = self._idle_since.get(connection, (-1, now))
            if uses != connection.uses:
                since = now
            elif now - since >= self._idle_s:
                connection.abort()
                continue
            seen[connection] = (connection.uses, since)
        self._idle_since = seen

    def close(self) -> None:
        for connection in list(self._open):
            connection.abort()


class UpstreamClient:
    """The pools of one event loop, one for each origin."""

    def __init__(self, *, idle_s: float = 55.0, write: Write = _write_now) -> None:
        """`write` is how requests go out: at once, or with the others of this turn (`kit.outbox`)."""
        # 55 s is under the 60 s after which common servers and balancers drop an idle connection.
        self._idle_s = idle_s
        self._write = write
        self._pools: dict[Origin, Pool] = {}
        self._tls: ssl.SSLContext | None = None

    def pool(self, origin: Origin) -> Pool:
        """The pool of an origin, made on first use."""
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(origin, self._context(origin), self._idle_s, self._write)
        return pool

    def _context(self, origin: Origin) -> ssl.SSLContext | None:
        if origin.scheme != "https":
            return None
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def sizes(self) -> dict[str, int]:
        """Open connections by host and port, for gauges."""
        sizes: Counter[str] = Counter()
        for origin, pool in self._pools.items():
            sizes[f"{origin.host}:{origin.port}"] += pool.size
        return dict(sizes)

    def sweep(self, now: float) -> None:
        for pool in self._pools.values():
            pool.sweep(now)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
