"""The socket that the HTTP workers share: bound once by their parent, so that a worker's end loses no connection."""

from __future__ import annotations

import errno
import socket

BACKLOG = 2048
PORTS_TRIED = 100


class PortBusy(Exception):
    """Nothing can listen where it was asked to; the message says what to do."""


def open_listener(host: str, port: int, *, may_move: bool) -> socket.socket:
    """Listen on `port`, or with `may_move` on the next one that is free; raises `PortBusy`."""
    for candidate in range(port, min(port + (PORTS_TRIED if may_move else 1), 65_536)):
        try:
            return _listen(host, candidate)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise PortBusy(f"cannot listen on {host} port {candidate}: {exc.strerror or exc}") from exc
    remedy = "" if may_move else ": choose another with --port or HYPEREAL_PORT"
    raise PortBusy(f"port {port} of {host} is in use{remedy}")


def local_url(listener: socket.socket) -> str:
    """The address at which this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - read, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
