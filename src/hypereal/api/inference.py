"""The plain ASGI mount of the inference endpoints: the same pipeline as the hot lane, behind any ASGI server.

Also where the hot lane's odd cases arrive: `Expect: 100-continue`, HTTP/1.0, unusual spellings of a path.
"""

from __future__ import annotations

import asyncio

from hypereal.api.auth import extract_secret
from hypereal.api.ceilings import too_large
from hypereal.api.edge import read_context
from hypereal.api.queued import Message, QueuedDownstream, Receive, Send
from hypereal.errors import HyperealError, InvalidRequest, PayloadTooLarge
from hypereal.gateway.downstream import LAST_CHUNK, Fields
from hypereal.gateway.pipeline import Pipeline
from hypereal.wire.base import Endpoint
from hypereal.wire.families import render

STREAM_HEADERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class ClientLeft(Exception):
    """The client went away before its request was whole."""


def split_fields(fields: Fields) -> list[tuple[bytes, bytes]]:
    """Header lines as ASGI wants them."""
    lines = (line.partition(b": ") for line in fields.split(b"\r\n") if line)
    return [(name, value) for name, _, value in lines]


class AsgiDownstream(QueuedDownstream):
    """An answer on its way through ASGI."""

    def __init__(self, request_id: str, *, is_buffered: bool = False) -> None:
        """`is_buffered` gathers a stream and sends it whole: HTTP/1.0 knows no chunks."""
        super().__init__()
        self._request_id = request_id
        self.takes_pings = not is_buffered
        self._gathered: list[bytes] | None = [] if is_buffered else None
        self._gathered_headers: list[tuple[bytes, bytes]] = []

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        named = [(b"x-request-id", self._request_id.encode()), *headers]
        self.put({"type": "http.response.start", "status": status, "headers": named}, 0)

    def _body(self, body: bytes, *, more: bool) -> None:
        self.put({"type": "http.response.body", "body": body, "more_body": more}, len(body))
        if not more:
            self.complete()

    def respond(self, status: int, fields: Fields, body: bytes) -> None:
        length = (b"content-length", str(len(body)).encode())
        self._start(status, [(b"content-type", b"application/json"), length, *split_fields(fields)])
        self._body(body, more=False)

    def open_stream(self, fields: Fields, content_type: bytes) -> None:
        headers = [(b"content-type", content_type), *STREAM_HEADERS, *split_fields(fields)]
        if self._gathered is not None:
            self._gathered_headers = headers
            return
        self._start(200, headers)

    def send(self, payload: bytes) -> None:
        if payload and self._gathered is not None:
            self._gathered.append(payload)
        elif payload:
            self._body(payload, more=True)

    def close_stream(self, chunks: bytes = LAST_CHUNK) -> None:
        if self._gathered is None:
            self._body(b"", more=False)
            return
        body = b"".join(self._gathered)
        self._start(200, [(b"content-length", str(len(body)).encode()), *self._gathered_headers])
        self._body(body, more=False)


class Inference:
    """Serves inference endpoints as an ASGI application would."""

    def __init__(self, pipeline: Pipeline, *, body_limit_bytes: int) -> None:
        self._pipeline = pipeline
        self._body_limit_bytes = body_limit_bytes

    async def serve(
        self, scope: Message, receive: Receive, send: Send, *, endpoint: Endpoint, model: str | None, request_id: str
    ) -> None:
        """Answer one request to `endpoint`, whose path may name the model."""
        downstream = AsgiDownstream(request_id, is_buffered=scope["http_version"] == "1.0")
        try:
            body = await self._read_body(scope, receive)
        except ClientLeft:
            return
        except HyperealError as error:
            downstream.respond(error.status, b"", render(endpoint.family, error, request_id))
            await downstream.deliver(send)
            return
        query = scope.get("query_string", b"")
        secret = extract_secret(scope["headers"], query)
        context = read_context(endpoint, model, query, scope["headers"])
        watcher = asyncio.create_task(_watch_leaving(receive, downstream))
        server = asyncio.create_task(
            self._pipeline.serve(
                endpoint, secret=secret, body=body, request_id=request_id, downstream=downstream, context=context
            )
        )
        server.add_done_callback(lambda _: downstream.leave())
        try:
            await downstream.deliver(send)
            await server
        finally:
            watcher.cancel()
            if not server.done():  # the server gave up on this call: the pipeline still settles by the disconnect rule
                downstream.leave()

    async def _read_body(self, scope: Message, receive: Receive) -> bytes:
        if any(name == b"content-encoding" and value != b"identity" for name, value in scope["headers"]):
            raise InvalidRequest("Compressed request bodies are not accepted", param="content-encoding")
        parts: list[bytes] = []
        size = 0
        limit = self._body_limit_bytes
        declared = next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
        while declared <= limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            part = message.get("body", b"")
            size += len(part)
            if size <= limit:
                parts.append(part)
            if not message.get("more_body", False):
                break
        if max(size, declared) > limit:
            raise PayloadTooLarge(too_large(limit))
        return b"".join(parts)


async def _watch_leaving(receive: Receive, downstream: AsgiDownstream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    downstream.leave()
