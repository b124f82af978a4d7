"""The outermost ASGI application: one spelling for every path, a request id on every answer, then the right door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hypereal.api.ceilings import ceiling_of, declared_length, limited, too_large
from hypereal.api.edge import family_of, find_endpoint, normalise
from hypereal.api.inference import Inference
from hypereal.api.queued import Message, Receive, Send
from hypereal.api.responses_socket import ResponsesSocket, refuse_path
from hypereal.errors import PayloadTooLarge
from hypereal.wire.families import render

JSON = (b"content-type", b"application/json")
"""Of every body that goes to the framework: it takes nothing else, and reads it only under this name."""

App = Callable[[Message, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Doors:
    """The ways into the pipeline."""

    inference: Inference
    socket: ResponsesSocket


class Front:
    """Routes a request to the pipeline or to the framework's routes.

    `doors` are asked for at each request: they exist only once the application has started.
    """

    def __init__(
        self, framework: App, doors: Callable[[], Doors], request_id: Callable[[], str], *, body_limit_bytes: int
    ) -> None:
        self._framework = framework
        self._doors = doors
        self._request_id = request_id
        self._body_limit_bytes = body_limit_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._framework(scope, receive, send)
            return
        path = scope["path"] = normalise(scope["path"])
        request_id = self._request_id()
        if scope["type"] == "websocket":
            endpoint, _ = find_endpoint(path)
            if endpoint is not None and endpoint.has_socket:
                await self._doors().socket.serve(scope, receive, send, endpoint=endpoint)
            else:
                await refuse_path(scope, receive, send, request_id)
            return
        endpoint, model = find_endpoint(path) if scope["method"] == "POST" else (None, None)
        if endpoint is not None:
            await self._doors().inference.serve(
                scope, receive, send, endpoint=endpoint, model=model, request_id=request_id
            )
            return
        scope["raw_path"] = path.encode()
        scope["headers"] = [*(pair for pair in scope["headers"] if pair[0] != b"content-type"), JSON]
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        limit = ceiling_of(path, self._body_limit_bytes)
        if declared_length(scope) > limit:
            await _refuse_length(path, send_named, limit, request_id)
        else:
            await self._framework(scope, limited(receive, limit), send_named)


async def _refuse_length(path: str, send: Send, limit: int, request_id: str) -> None:
    """Refuse a body by what its head says of it. The connection ends with that, because the body is not read."""
    body = render(family_of(path), PayloadTooLarge(too_large(limit)), request_id)
    headers = [
        JSON,
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": PayloadTooLarge.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
