"""Ports for servers of this machine's own."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
UNASSIGNED = range(15_000, 32_000)
"""Below what Linux, macOS and Windows hand out for outgoing connections: one of those taken in the meantime would keep
the server from starting."""
ATTEMPTS = 100


def free_port() -> int:
    """A port of the loopback address that nobody listens on now. Raises `OSError` if there seems to be none."""
    for port in random.sample(UNASSIGNED, ATTEMPTS):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {UNASSIGNED.start} and {UNASSIGNED.stop}")
