"""Clients for tests: one for ordinary requests that keeps everything it saw, and a bare socket for the odd ones."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx2

TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer. `truncated` says that its body did not end as HTTP wants."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def request_id(self) -> str:
        return self.headers["x-request-id"]

    @property
    def data(self) -> list[str]:
        """The data of each event of a stream, the terminal `[DONE]` included."""
        return [
            line.removeprefix("data:").strip() for line in self.body.decode().splitlines() if line.startswith("data:")
        ]

    @property
    def events(self) -> list[Any]:
        """The JSON of each event of a stream."""
        return [json.loads(data) for data in self.data if data != "[DONE]"]

    @property
    def is_done(self) -> bool:
        """Whether the stream ended with its terminal event."""
        return bool(self.data) and self.data[-1] == "[DONE]"

    @property
    def text(self) -> str:
        """The generated text, of a stream or of a whole answer."""
        choices = [choice for part in self._parts for choice in part.get("choices", ())]
        return "".join(
            (choice.get("delta") or choice.get("message") or {}).get("content") or choice.get("text") or ""
            for choice in choices
        )

    @property
    def usage(self) -> dict[str, Any] | None:
        """The last usage reported."""
        found = [part["usage"] for part in self._parts if part.get("usage")]
        return found[-1] if found else None

    @property
    def credits_used(self) -> float | None:
        """`creditsUsed`, wherever in the body it is."""
        found = [part["creditsUsed"] for part in self._parts if "creditsUsed" in part]
        return found[-1] if found else None

    @property
    def error(self) -> dict[str, Any]:
        """The error object, of an error answer or of the event that ended a stream."""
        parts = [part["error"] for part in self._parts if "error" in part]
        assert parts, self.body
        error: dict[str, Any] = parts[-1]
        return error

    @property
    def _parts(self) -> list[Any]:
        is_stream = self.headers.get("content-type", "").startswith("text/event-stream")
        return self.events if is_stream else [self.json]


class Client:
    """Requests to one server with one key. `key=None` sends none."""

    def __init__(self, base_url: str, key: str | None) -> None:
        self.base_url = base_url
        self.key = key
        self._http = httpx2.Client(base_url=base_url, timeout=TIMEOUT_S)

    def close(self) -> None:
        self._http.close()

    def with_key(self, key: str | None) -> Client:
        """A client of the same server for another key. Close it, or use it in a `with`."""
        return Client(self.base_url, key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return ({"authorization": f"Bearer {self.key}"} if self.key is not None else {}) | dict(headers)

    def request(self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send and read to the end, whatever comes. `body` is bytes as they are, or anything else as JSON."""
        with self.open(method, path, body=body, headers=headers) as response:
            parts: list[bytes] = []
            truncated = False
            try:
                parts.extend(response.iter_raw())
            except httpx2.RemoteProtocolError:
                truncated = True
            headers_seen = {name.lower(): value for name, value in response.headers.items()}
            return Answer(status=response.status_code, headers=headers_seen, body=b"".join(parts), truncated=truncated)

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.request("POST", path, body=body, headers=headers)

    def chat(self, model: str, *, stream: bool = False, **fields: Any) -> Answer:
        """A Chat Completion."""
        return self.post("/v1/chat/completions", chat_body(model, stream=stream, **fields))

    @contextmanager
    def open(
        self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx2.Response]:
        """A response whose body is read, or abandoned, by the caller."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = self._headers({"content-type": "application/json", **(headers or {})})
        with self._http.stream(method, path, content=content, headers=sent) as response:
            yield response


def chat_body(model: str, *, content: str = "Hello", stream: bool = False, **fields: Any) -> dict[str, Any]:
    """The body of a Chat Completion with one message."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": content}], **fields}
    return {**body, "stream": True} if stream else body


def raw_chat(model: str, key: str, **fields: Any) -> bytes:
    """The bytes of a signed Chat Completion request."""
    body = json.dumps(chat_body(model, **fields)).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class RawConnection:
    """A socket to the server for bytes that no well-behaved client would send, or not in that order."""

    def __init__(self, port: int, *, timeout_s: float = 10.0, receive_buffer_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(timeout_s)
        self.socket.connect(("127.0.0.1", port))
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_head(self) -> tuple[int, dict[str, str]]:
        """The status and headers of the next response; status 0 when the server closed instead."""
        status_line = self._file.readline()
        if not status_line:
            return 0, {}
        headers = {}
        while (line := self._file.readline().decode("latin-1").strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return int(status_line.split()[1]), headers

    def read(self, *, has_body: bool = True) -> Answer:
        """The next response, whole. `has_body` is false after HEAD."""
        status, headers = self.read_head()
        body = self._read_body(headers) if has_body and status not in (0, 204, 304) else b""
        return Answer(status=status, headers=headers, body=body)

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(self.chunks())
        if "content-length" in headers:
            return self._file.read(int(headers["content-length"]))
        return self._file.read()

    def chunks(self) -> Iterator[bytes]:
        """The chunks of a chunked body as they come; ends at its end, or when the server closed."""
        while size := int(self._file.readline().strip() or b"0", 16):
            yield self._file.read(size)
            self._file.readline()
        self._file.readline()

    def is_closed(self) -> bool:
        """Whether the server has closed the connection; waits for it until the socket's timeout."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True
