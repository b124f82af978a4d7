"""A tap on the line between a client and the server: what was asked, in which order."""

from __future__ import annotations

import re
import select
import socket
import threading
from typing import Self

_REQUEST = re.compile(rb"(GET|POST|HEAD|DELETE) (/[^ ?]*)\S* HTTP/1\.1\r\n")
_POLL_S = 0.1


class Tap:
    """Passes bytes on, both ways, and notes the request lines. A client's WebSocket is a GET that is upgraded."""

    def __init__(self, port: int) -> None:
        self.requests: list[str] = []
        self.upgrades = 0
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_open = True
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def asked(self, path: str) -> int:
        """How many requests went to this path."""
        return sum(line.split()[1] == path for line in self.requests)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._is_open = False
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while self._is_open:
            if select.select([self._listener], [], [], _POLL_S)[0]:
                self._start(self._relay, self._listener.accept()[0])

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            other = {client: server, server: client}
            while self._is_open:
                for ready in select.select([client, server], [], [], _POLL_S)[0]:
                    try:
                        data = ready.recv(1 << 20)
                        other[ready].sendall(data)
                    except OSError:
                        return
                    if not data:
                        return
                    if ready is client:
                        self._note(data)

    def _note(self, data: bytes) -> None:
        self.requests += [f"{verb.decode()} {path.decode()}" for verb, path in _REQUEST.findall(data)]
        self.upgrades += len(re.findall(rb"(?i)\r\nupgrade: websocket\r\n", data))
