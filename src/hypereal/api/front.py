"""The outermost ASGI application: one spelling for every path, a request id on every answer, then the right door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hypereal.api.edge import find_endpoint, normalise
from hypereal.api.inference import Inference

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Front:
    """Routes a request to the pipeline or to the framework's routes.

    `inference` is asked for at each request: it exists only once the application has started.
    """

    def __init__(self, framework: App, inference: Callable[[], Inference], request_id: Callable[[], str]) -> None:
        self._framework = framework
        self._inference = inference
        self._request_id = request_id

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._framework(scope, receive, send)
            return
        path = scope["path"] = normalise(scope["path"])
        request_id = self._request_id()
        endpoint, model = find_endpoint(path) if scope["method"] == "POST" else (None, None)
        if endpoint is not None:
            await self._inference().serve(scope, receive, send, endpoint=endpoint, model=model, request_id=request_id)
            return
        scope["raw_path"] = path.encode()
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        await self._framework(scope, receive, send_named)
