"""The hot lane: inference requests straight from the socket to the pipeline, without becoming an ASGI call.

`HotLaneProtocol` is uvicorn's own HTTP protocol with one more way out: a POST to an inference path becomes a
`HotCycle`, which uvicorn treats like any request of its own (keep-alive, pipelining, graceful stop). Everything else,
and every odd case, falls through to ASGI, where the same pipeline is mounted too (`api.inference`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from hypereal.api.auth import SCHEME, USUAL, extract_secret
from hypereal.api.ceilings import too_large
from hypereal.api.edge import HOT_PATHS, find_endpoint, normalise, read_context
from hypereal.errors import HeadTooLarge, HyperealError, Internal, InvalidRequest, PayloadTooLarge
from hypereal.gateway.downstream import LAST_CHUNK, Fields, Flow
from hypereal.gateway.pipeline import Pipeline
from hypereal.kit.drive import Drive
from hypereal.kit.ids import new_id
from hypereal.kit.outbox import Outbox
from hypereal.wire.base import BARE, Context, Endpoint, Family
from hypereal.wire.families import render, render_event

STATE = "hot_lane"
"""Where the application's lifespan puts the `HotLane` in its state, for the protocol to find."""
STREAM_FIELDS = b"cache-control: no-cache\r\nx-accel-buffering: no\r\ntransfer-encoding: chunked\r\n"
SWEEP_S = 5.0
MAX_HEAD_BYTES = 65_536
ODD_HEADERS = frozenset({b"expect", b"upgrade", b"content-encoding"})

log = structlog.get_logger(__name__)


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)


class HotLane:
    """What all hot connections of a process share."""

    def __init__(
        self,
        pipeline: Pipeline,
        request_id: Callable[[], str],
        outbox: Outbox,
        *,
        body_limit_bytes: int,
        keep_alive_s: float,
        paths: Mapping[bytes, Endpoint] = HOT_PATHS,
    ) -> None:
        self.pipeline = pipeline
        self.request_id = request_id
        self.body_limit_bytes = body_limit_bytes
        self.keep_alive_s = keep_alive_s
        self.paths = paths
        self._protocols: set[HotLaneProtocol] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._given: list[tuple[bytes, bytes]] | None = None
        self._fields = b""
        self.remember = self._protocols.add
        self.forget = self._protocols.discard
        self.write = outbox.write
        self.flush = outbox.flush

    def default_fields(self, given: list[tuple[bytes, bytes]]) -> bytes:
        """The server's own headers (the date); uvicorn makes a new list of them each second."""
        if given is not self._given:
            self._given = given
            self._fields = _lines(given)
        return self._fields

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to close connections that have been idle for too long: one timer for all of them."""
        self._timer = loop.call_later(SWEEP_S, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        oldest = loop.time() - self.keep_alive_s
        for protocol in [one for one in self._protocols if one.idle_since < oldest]:
            protocol.transport.close()
        self.open(loop)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _NoEvent:
    """Stands where uvicorn's cycle has the event that wakes an ASGI application; nobody waits here."""

    def set(self) -> None: ...


_NO_EVENT: Final = _NoEvent()


class HotCycle:
    """One request on a hot connection, and its answer: uvicorn's cycle towards the server, `Downstream` towards the
    pipeline."""

    __slots__ = (
        "_answers",
        "_context",
        "_head",
        "_lane",
        "_parts",
        "_protocol",
        "_secret",
        "_size",
        "disconnected",
        "endpoint",
        "flow",
        "is_gone",
        "is_queued",
        "keep_alive",
        "more_body",
        "on_gone",
        "request_id",
        "response_complete",
    )
    takes_chunks = True
    takes_pings = True
    message_event = _NO_EVENT

    def __init__(
        self, protocol: HotLaneProtocol, lane: HotLane, endpoint: Endpoint, secret: bytes | None, context: Context
    ) -> None:
        self._protocol = protocol
        self._context = context
        self._lane = lane
        self._secret = secret
        self._parts: list[bytes] = []
        self._size = 0
        self._head = b""
        self._answers = False
        self.endpoint = endpoint
        self.request_id = lane.request_id()
        self.keep_alive = True
        self.is_queued = False
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.is_gone = False
        self.flow: Flow | None = None
        self.on_gone: Callable[[], None] | None = None

    def add_body(self, data: bytes) -> None:
        """A piece of the body; beyond the limit only its size is kept."""
        self._size += len(data)
        if self._size <= self._lane.body_limit_bytes:
            self._parts.append(data)
        else:
            self._parts.clear()

    def start(self) -> None:
        """The body is whole: answer the request."""
        self._protocol.active = self
        Drive(self._run(), self._protocol.task_made).step()

    async def _run(self) -> None:
        lane, parts = self._lane, self._parts
        self._parts = []
        try:
            if self._size > lane.body_limit_bytes:
                self._fail(PayloadTooLarge(too_large(lane.body_limit_bytes)))
            else:
                await lane.pipeline.serve(
                    self.endpoint,
                    secret=self._secret,
                    body=parts[0] if len(parts) == 1 else b"".join(parts),
                    request_id=self.request_id,
                    downstream=self,
                    context=self._context,
                )
        except Exception as exc:
            # The last resort: a fault of ours must neither hang a client nor look like a success.
            log.exception("request.failed", request_id=self.request_id, error=type(exc).__name__)
            self._fail(Internal())
        finally:
            if self._protocol.active is self:
                self._protocol.active = None

    def _fail(self, error: HyperealError) -> None:
        if self.response_complete:
            return
        if self._answers:
            self.send(render_event(self.endpoint.family, error, self.request_id))
            self.close_stream()
        else:
            self.respond(error.status, b"", render(self.endpoint.family, error, self.request_id))

    def lost(self) -> None:
        """The connection is gone, with or without the answer."""
        self.disconnected = True
        if not self.response_complete:
            self.is_gone = True
            if self.on_gone is not None:
                self.on_gone()

    def _status_and_fields(self, status: int, fields: Fields) -> bytes:
        protocol = self._protocol
        return b"%b%bx-request-id: %b\r\n%b%b" % (
            STATUS_LINE[status],
            self._lane.default_fields(protocol.server_state.default_headers),
            self.request_id.encode(),
            fields,
            b"" if self.keep_alive else b"connection: close\r\n",
        )

    def respond(self, status: int, fields: Fields, body: bytes) -> None:
        if self.is_gone or self.response_complete:
            return
        self._answers = True
        head = self._status_and_fields(status, fields)
        answer = b"%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (head, len(body), body)
        self._lane.write(self._protocol.transport, answer)
        self._complete()

    def open_stream(self, fields: Fields, content_type: bytes) -> None:
        # Kept until the first event, which follows at once: one write, one packet.
        head = self._status_and_fields(200, fields)
        self._head = b"%bcontent-type: %b\r\n%b\r\n" % (head, content_type, STREAM_FIELDS)
        self._answers = True

    def send(self, payload: bytes) -> None:
        if payload:
            self.send_chunks(b"%x\r\n%b\r\n" % (len(payload), payload))

    def send_chunks(self, data: bytes) -> None:
        if self.is_gone:
            return
        if self._head:
            data, self._head = self._head + data, b""
        self._lane.write(self._protocol.transport, data)

    def close_stream(self, chunks: bytes = LAST_CHUNK) -> None:
        if not self.response_complete:
            self.send_chunks(chunks)
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        protocol = self._protocol
        if not self.keep_alive:
            self._lane.flush()
            protocol.transport.close()
        protocol.hot_response_complete()


class HotLaneProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with the hot lane. Until the application has started, or without a `HotLane` in its
    state, it is uvicorn's and nothing more."""

    cycle: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lane: HotLane | None = None
        self.active: HotCycle | None = None
        self.idle_since = math.inf
        self._is_in_head = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.lane = self.app_state.get(STATE)
        if self.lane is not None:
            self.lane.remember(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lane is not None:
            self.lane.forget(self)
        if self.active is not None:
            self.active.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head:
            self._head_goes_on(len(data))

    def _head_goes_on(self, size: int) -> None:
        """A head that takes more than one read is counted from the second on, and refused when it does not end."""
        if self._head_bytes < 0:
            self._head_bytes = 0
            return
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_and_close(HeadTooLarge())

    def send_400_response(self, msg: str) -> None:
        """uvicorn's way to answer what is no HTTP."""
        self._refuse_and_close(InvalidRequest(msg))

    def _refuse_and_close(self, error: HyperealError) -> None:
        """Answer a request that has no path yet, or none that counts, in the native shape."""
        request_id = new_id("req")
        body = render(Family.NATIVE, error, request_id)
        defaults = _lines(self.server_state.default_headers)
        self.transport.write(
            b"%b%bx-request-id: %b\r\nconnection: close\r\n"
            % (STATUS_LINE[error.status], defaults, request_id.encode())
            + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self._head_bytes = -1
        self.url = b""
        self.headers = []
        self.idle_since = math.inf

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        lane = self.lane
        if lane is None or self.parser.get_method() != b"POST":
            self._fall_through()
            return
        path, _, query = self.url.partition(b"?")
        endpoint, model = lane.paths.get(path), None
        if endpoint is None:
            endpoint, model = find_endpoint(normalise(unquote(path)))
        headers = dict(self.headers)
        if endpoint is None or self.parser.get_http_version() != "1.1" or self._is_odd(headers, lane):
            self._fall_through()
            return
        given = headers.get(b"authorization", b"")
        secret = given[len(SCHEME) :].rstrip() if given.startswith(USUAL) else extract_secret(self.headers, query)
        is_bare = not (endpoint.headers or query or model)
        context = BARE if is_bare else read_context(endpoint, model, query, self.headers)
        cycle = HotCycle(self, lane, endpoint, secret, context)
        cycle.keep_alive = self.parser.should_keep_alive()
        previous, self.cycle = self.cycle, cycle
        if previous is not None and not previous.response_complete:
            cycle.is_queued = True
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))  # type: ignore[arg-type]

    @staticmethod
    def _is_odd(headers: dict[bytes, bytes], lane: HotLane) -> bool:
        """Whether the request needs what only ASGI does: an interim answer, an upgrade, a refusal of its size."""
        length = headers.get(b"content-length", b"")
        return not ODD_HEADERS.isdisjoint(headers) or (len(length) > 6 and int(length) > lane.body_limit_bytes)

    def _fall_through(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if type(self.cycle) is HotCycle:
            self.cycle.add_body(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        cycle = self.cycle
        if type(cycle) is not HotCycle:
            super().on_message_complete()
            return
        cycle.more_body = False
        if not cycle.is_queued:
            cycle.start()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """uvicorn's way to start a request, for those that waited for the one before them to be answered."""
        if type(cycle) is not HotCycle:
            super()._start_asgi_task(cycle, app)
            return
        cycle.is_queued = False
        if not cycle.more_body:
            self.loop.call_soon(cycle.start)

    def task_made(self, task: asyncio.Task[None]) -> None:
        """A hot request goes on as a task; a graceful stop waits for it like for any other."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def hot_response_complete(self) -> None:
        """A hot request is answered: go on with the next one that waits, or begin to be idle."""
        if self.pipeline:
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self.idle_since = self.loop.time()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.active is not None and self.active.flow is not None:
            self.active.flow.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.active is not None and self.active.flow is not None:
            self.active.flow.resume_reading()
