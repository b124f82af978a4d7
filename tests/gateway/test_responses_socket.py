"""A connection of the Responses API whose requests meet a fault of ours, or an upstream that ends in errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from hypereal.api.queued import Message
from hypereal.api.responses_socket import ResponsesSocket, SocketDownstream
from hypereal.gateway.pipeline import Pipeline
from hypereal.wire import ENDPOINTS

ENDPOINT = next(point for point in ENDPOINTS if point.path == "/v1/responses")
ERROR = b'data: {"type": "error", "message": "x"}\n\n'
FAILED = b'data: {"type":"response.failed","response":{"error":{}}}\n\n'
DELTA = b'data: {"type":"response.output_text.delta","delta":"an \\"error\\""}\n\n'


class Broken:
    """A pipeline that fails: before the answer, in the middle of it, or when it is over."""

    def __init__(self, serve: Callable[[SocketDownstream], None]) -> None:
        self._serve = serve

    async def check(self, secret: bytes | None) -> None:
        return None

    async def written_out(self, *_: object) -> None:
        raise OSError("no database")

    async def refusal_of(self, *_: object) -> None:
        """Never asked."""

    async def serve(self, *_: object, downstream: SocketDownstream, **__: object) -> None:
        self._serve(downstream)
        raise RuntimeError("a fault of ours")


async def told(pipeline: Broken, *requests: dict[str, Any]) -> list[Any]:
    """What a connection is told of which these are the requests."""
    messages: list[Message] = []
    texts = [json.dumps({"type": "response.create", "model": "m", "input": "Hi", **fields}) for fields in requests]
    incoming: list[Message] = [{"type": "websocket.connect"}]
    incoming += [{"type": "websocket.receive", "text": text} for text in texts]

    async def receive() -> Message:
        if incoming:
            return incoming.pop(0)
        while len(messages) < len(texts) + 1:
            await asyncio.sleep(0.01)
        return {"type": "websocket.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)

    socket = ResponsesSocket(cast("Pipeline", pipeline), lambda: "req_1", body_limit_bytes=10_000)
    await asyncio.wait_for(socket.serve({"headers": []}, receive, send, endpoint=ENDPOINT), 5)
    return [json.loads(message["text"]) for message in messages[1:]]


async def test_a_fault_of_ours_is_told_and_the_connection_goes_on() -> None:
    events = await told(Broken(lambda _: None), {}, {"generate": False}, {})
    assert [(event["type"], event["status"]) for event in events] == [("error", 500)] * 3
    assert events[0]["error"]["message"] == "Internal server error"


async def test_a_fault_after_the_answer_is_not_told() -> None:
    def answer(downstream: SocketDownstream) -> None:
        downstream.send(FAILED)
        downstream.close_stream()

    assert [event["type"] for event in await told(Broken(answer), {})] == ["response.failed"]


@pytest.mark.parametrize(
    ("payloads", "types"),
    [
        ([ERROR + FAILED], ["response.failed"]),
        ([DELTA, ERROR, FAILED], ["response.output_text.delta", "response.failed"]),
        ([ERROR, ERROR + FAILED], ["response.failed"]),
        ([DELTA + ERROR], ["response.output_text.delta", "error"]),
        ([b'data: {"type": "error"\n\n'], [None]),
    ],
)
async def test_the_end_of_an_answer_is_told_once(payloads: list[bytes], types: list[str | None]) -> None:
    downstream = SocketDownstream()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    for payload in payloads:
        downstream.send(payload)
    downstream.close_stream()
    downstream.close_stream()
    await downstream.deliver(send)
    texts = [message["text"] for message in sent]
    assert [json.loads(text)["type"] if text.endswith("}") else None for text in texts] == types
