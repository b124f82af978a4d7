"""The Responses API over a WebSocket, as Codex speaks it: requests as messages, events as messages.

`{"type": "response.create", …}` is the body of a `POST /v1/responses`; each event of its stream comes back as one
message. `"generate": false` announces what the next request will go on from, and costs nothing. A request may go on
from any recent response of its own connection, stored or not. Reference: OpenAI's documentation, "WebSocket mode".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from hypereal.api.auth import extract_secret
from hypereal.api.edge import read_context
from hypereal.api.queued import Message, QueuedDownstream, Receive, Send
from hypereal.errors import HyperealError, Internal, InvalidRequest, NotFound, PayloadTooLarge, RateLimited
from hypereal.gateway.downstream import LAST_CHUNK, Fields
from hypereal.gateway.pipeline import Pipeline
from hypereal.kit.sse import event_data, split_events
from hypereal.wire import DIALECTS
from hypereal.wire.base import Context, Endpoint, Envelope, Family, Garbage, Usage
from hypereal.wire.families import render
from hypereal.wire.fields import UNREADABLE, read_fields, read_flag, read_text
from hypereal.wire.fields import Fields as BodyFields
from hypereal.wire.openai_responses.history import expand, input_items, output_items, response_id, whole_answer
from hypereal.wire.openai_responses.response import echo, response_object

CREATE = "response.create"
REMEMBERED = 8
"""Responses of a connection that its next request may go on from."""
WAITING = 8
"""Requests that may wait for the one before them; a client has no use for more than one."""
_TERMINAL = (b'"response.completed"', b'"response.incomplete"')
_NOT_IN_A_BODY = frozenset({"type", "generate", "stream"})
_ERROR = b'"error"'
_encode = msgspec.json.encode

log = structlog.get_logger(__name__)


class _Head(msgspec.Struct, gc=False):
    type: Any = None


_decode_head = msgspec.json.Decoder(_Head).decode
_Turn = tuple[list[msgspec.Raw], list[msgspec.Raw]]
"""The input and the output of a response."""


def _is_error(data: bytes) -> bool:
    """Whether the data of an event is an `error`'s."""
    try:
        return _ERROR in data and _decode_head(data).type == "error"
    except UNREADABLE:
        return False


class SocketDownstream(QueuedDownstream):
    """One request's answer on its way into messages. `last` is the data of its last event.

    A client takes an `error` for the end, so one that more follows, as `response.failed` does in a stream that breaks,
    is not told. WebSocket has pings of its own.
    """

    takes_pings = False

    def __init__(self) -> None:
        super().__init__()
        self.last = b""
        self._error: bytes | None = None

    def _tell(self, data: bytes) -> None:
        self.last = data
        self.put({"type": "websocket.send", "text": data.decode()}, len(data))

    def respond(self, status: int, fields: Fields, body: bytes) -> None:
        error = msgspec.json.decode(body).get("error")
        self._tell(_encode({"type": "error", "status": status, "error": error}))
        self.complete()

    def open_stream(self, fields: Fields, content_type: bytes) -> None:
        """Its events open it."""

    def send(self, payload: bytes) -> None:
        for event in split_events(payload)[0]:
            data = event_data(event)
            if data is None:
                continue
            self._error = data if _is_error(data) else None
            if self._error is None:
                self._tell(data)

    def close_stream(self, chunks: bytes = LAST_CHUNK) -> None:
        if self._error is not None:
            self._tell(self._error)
            self._error = None
        self.complete()

    def fail(self, error: HyperealError, request_id: str) -> None:
        """End the answer with an error of ours, unless it is whole."""
        if not self.is_complete:
            self._error = None
            self.respond(error.status, b"", render(Family.OPENAI, error, request_id))


async def refuse(scope: Message, send: Send, error: HyperealError, request_id: str) -> None:
    """Answer the handshake with an error, as far as the server can; else just close."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = render(Family.OPENAI, error, request_id)
    headers = [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode())]
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


async def refuse_path(scope: Message, receive: Receive, send: Send, request_id: str) -> None:
    """Refuse a handshake on a path that speaks no WebSocket."""
    await receive()
    await refuse(scope, send, NotFound(f"There is no WebSocket at {scope['path']}"), request_id)


class ResponsesSocket:
    """Serves the WebSocket form of the endpoints that have one."""

    def __init__(self, pipeline: Pipeline, new_id: Callable[[], str], *, body_limit_bytes: int) -> None:
        self._pipeline = pipeline
        self.written_out = pipeline.written_out
        self.refusal_of = pipeline.refusal_of
        self.new_id = new_id
        self.body_limit_bytes = body_limit_bytes

    async def serve(self, scope: Message, receive: Receive, send: Send, *, endpoint: Endpoint) -> None:
        """Serve one connection for as long as the client keeps it."""
        await receive()  # websocket.connect
        secret = extract_secret(scope["headers"], scope.get("query_string", b""))
        refusal = await self._pipeline.check(secret)
        if refusal is not None:
            await refuse(scope, send, refusal, self.new_id())
            return
        await send({"type": "websocket.accept"})
        await _Connection(self, scope, send, endpoint=endpoint, secret=secret).run(receive)

    async def answer(
        self, downstream: SocketDownstream, body: bytes, context: Context, *, endpoint: Endpoint, secret: bytes | None
    ) -> None:
        """Answer one request of a connection."""
        request_id = self.new_id()
        try:
            await self._pipeline.serve(
                endpoint,
                secret=secret,
                body=body,
                request_id=request_id,
                downstream=downstream,
                context=context,
            )
        except Exception as exc:
            # The last resort: a fault of ours ends the answer, and the connection goes on.
            log.exception("request.failed", request_id=request_id, error=type(exc).__name__)
            downstream.fail(Internal(), request_id)
        finally:
            downstream.close_stream()


class _Connection:
    """One client's connection: its requests, one after the other, and what they may go on from."""

    def __init__(
        self, socket: ResponsesSocket, scope: Message, send: Send, *, endpoint: Endpoint, secret: bytes | None
    ) -> None:
        self._socket = socket
        self._context = read_context(endpoint, None, b"", scope["headers"])
        self._send = send
        self._endpoint = endpoint
        self._secret = secret
        self._turns: dict[str, _Turn] = {}
        self._requests: asyncio.Queue[str | None] = asyncio.Queue()
        self._current: SocketDownstream | None = None
        self._has_left = False

    async def run(self, receive: Receive) -> None:
        listener = asyncio.create_task(self._listen(receive))
        try:
            while not self._has_left and (text := await self._requests.get()) is not None:
                await self._handle(text)
        finally:
            listener.cancel()

    async def _listen(self, receive: Receive) -> None:
        """Take messages as they come, so that a client that leaves is noticed while it is being answered."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._has_left = True
                if self._current is not None:
                    self._current.leave()
                await self._requests.put(None)
                return
            if self._requests.qsize() >= WAITING:
                await self._refuse(RateLimited(f"No more than {WAITING} requests may wait on a connection"))
                continue
            text = message.get("text")
            await self._requests.put(text if text is not None else message.get("bytes", b"").decode("utf-8", "replace"))

    async def _refuse(self, problem: HyperealError) -> None:
        error = msgspec.json.decode(render(Family.OPENAI, problem, ""))["error"]
        await self._tell({"type": "error", "status": problem.status, "error": error})

    async def _handle(self, text: str) -> None:
        try:
            body, context, generates = self._read(text)
            if not generates:
                await self._announce(body, context)
                return
        except HyperealError as problem:
            await self._refuse(problem)
            return
        except Exception as exc:
            log.exception("request.failed", error=type(exc).__name__)
            await self._refuse(Internal())
            return
        downstream = self._current = SocketDownstream()
        answering = asyncio.create_task(
            self._socket.answer(downstream, body, context, endpoint=self._endpoint, secret=self._secret)
        )
        try:
            await downstream.deliver(self._send)
        finally:
            downstream.leave()  # unless it is complete: who cannot be sent to is gone
            await answering
        self._current = None
        self._remember(read_fields(body), downstream.last)

    def _read(self, text: str) -> tuple[bytes, Context, bool]:
        """The body and the context that a message stands for, and whether anything is to be generated."""
        limit = self._socket.body_limit_bytes
        if len(text) > limit:
            raise PayloadTooLarge(f"The message is larger than {limit} bytes")
        fields = read_fields(text.encode())
        if not isinstance(fields, dict):
            raise fields
        kind = read_text(fields, "type")
        if kind != CREATE:
            raise InvalidRequest(f"type must be '{CREATE}'", param="type")
        generates = read_flag(fields, "generate") is not False
        whole = {name: raw for name, raw in fields.items() if name not in _NOT_IN_A_BODY}
        whole["stream"] = msgspec.Raw(b"true")
        previous = read_text(fields, "previous_response_id")
        turn = self._turns.get(previous or "")
        if turn is None:
            return _encode(whole), self._context, generates
        return expand(whole, *turn), msgspec.structs.replace(self._context, went_on_from=previous), generates

    async def _announce(self, body: bytes, context: Context) -> None:
        """Answer a request that generates nothing, so that the next one can go on from it."""
        written = await self._socket.written_out(self._secret, body, context)
        if isinstance(written, HyperealError):
            raise written
        refusal = await self._socket.refusal_of(self._secret, self._endpoint, *written)
        if refusal is not None:
            raise refusal
        envelope = DIALECTS[self._endpoint.dialect].parse(self._endpoint, *written)
        if not isinstance(envelope, Envelope):
            raise envelope
        envelope.at = int(time.time())
        name = f"resp_{self._socket.new_id()}"
        self._note(name, (input_items(envelope.fields), []))
        for sequence, status in enumerate(("in_progress", "completed")):
            response = response_object(
                echo(envelope),
                id=name,
                model=envelope.model or "",
                created_at=envelope.at,
                status=status,
                usage=Usage() if status == "completed" else None,
            )
            kind = "response.completed" if status == "completed" else "response.created"
            await self._tell({"type": kind, "response": msgspec.Raw(response), "sequence_number": sequence})

    def _remember(self, fields: BodyFields | HyperealError, last: bytes) -> None:
        if not isinstance(fields, dict) or not any(marker in last[:64] for marker in _TERMINAL):
            return
        try:
            whole = whole_answer(b"data: " + last + b"\n\n")
            self._note(response_id(whole), (input_items(fields), output_items(whole)))
        except (Garbage, InvalidRequest):
            return

    def _note(self, name: str, turn: _Turn) -> None:
        self._turns[name] = turn
        while len(self._turns) > REMEMBERED:
            del self._turns[next(iter(self._turns))]

    async def _tell(self, message: object) -> None:
        await self._send({"type": "websocket.send", "text": _encode(message).decode()})
