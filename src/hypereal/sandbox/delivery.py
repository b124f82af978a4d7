"""Sending an answer, whole or as a stream: pace, framing, and the faults that strike on the way."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from hypereal.sandbox.exchange import Exchange
from hypereal.sandbox.faults import Faults, without_failures

DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"
BROKEN_EVENT = (
    b'data: {"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"cont\n\n'
)
BROKEN_FRAMING = b"ZZ-this-is-not-a-chunk-size\r\n\r\n"
ERROR = {"error": {"message": "The sandbox was asked to fail.", "type": "server_error", "param": None, "code": None}}

_YIELD_EVERY = 64  # events between turns of the event loop in a stream without a pace
_GZIP = 31  # zlib's window bits for a gzip container
_HTML = (
    "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n<center><h1>{status} {reason}</h1></center>"
    "\r\n<hr><center>sandbox</center>\r\n</body>\r\n</html>\r\n"
)
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
_ERROR_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


class Act(Enum):
    """What a stream does between two events."""

    STALL = "stall"
    HANG_UP = "hang up"
    BREAK_FRAMING = "break framing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A stream to send: its chunks, made anew by each call, and how many there are (about, for halfway points)."""

    chunks: Callable[[], Iterator[dict[str, Any]]]
    total: int


def error_body(
    message: str, *, status: int, code: str | None = None, param: str | None = None
) -> dict[str, dict[str, str | None]]:
    """An error object as OpenAI writes it."""
    kind = _ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code or _ERROR_CODES.get(status)}}


async def send_json(exchange: Exchange, status: int, payload: Any, *, retry_after: int | None = None) -> None:
    """A plain JSON answer, without faults."""
    data = msgspec.json.encode(payload)
    headers = [("content-type", "application/json"), ("content-length", str(len(data)))]
    if retry_after is not None:
        headers.append(("retry-after", str(retry_after)))
    await exchange.start(status, headers)
    await exchange.write(data)
    await exchange.finish()


async def fail_first(exchange: Exchange, faults: Faults) -> bool:
    """The faults that come before an answer; True when one took its place."""
    if faults.stall_before is not None:
        await exchange.pause(faults.stall_before)
    if faults.reset:
        await exchange.reset()
    if not faults.refuses:
        return False
    if faults.html:
        await _send_html(exchange, faults.status or 502)
        return True
    status = faults.status or 500
    message = f"The sandbox was asked to answer with status {status}."
    await send_json(
        exchange, status, error_body(message, status=status, code=faults.code), retry_after=faults.retry_after
    )
    return True


async def _send_html(exchange: Exchange, status: int) -> None:
    data = _HTML.format(status=status, reason="Bad Gateway" if status == 502 else "Error").encode()
    await exchange.start(status, [("content-type", "text/html"), ("content-length", str(len(data)))])
    await exchange.write(data)
    await exchange.finish()


async def send_whole(exchange: Exchange, payload: dict[str, Any], faults: Faults) -> None:
    """An answer in one piece."""
    data = _whole_data(payload, faults)
    headers = [("content-type", "application/json")]
    if faults.gzip:
        data = zlib.compress(data, wbits=_GZIP)
        headers.append(("content-encoding", "gzip"))
    breaks_framing = faults.garbage == "chunk"
    if not breaks_framing:
        headers.append(("content-length", str(len(data))))
    await exchange.start(200, headers)
    write = _writer(exchange, faults)
    half = len(data) // 2
    if faults.cut is not None:
        await write(data[: len(data) * faults.cut // 100])
        await exchange.hang_up()
    if faults.stall is not None or breaks_framing:
        await write(data[:half])
        data = data[half:]
    if breaks_framing:
        await exchange.write_raw(BROKEN_FRAMING)
        await exchange.hang_up()
    if faults.stall is not None:
        await exchange.pause(faults.stall)
    await write(data)
    await exchange.finish()


def _whole_data(payload: dict[str, Any], faults: Faults) -> bytes:
    if faults.empty == "body":
        return b""
    if faults.error_event:
        return msgspec.json.encode(ERROR)
    if faults.no_usage:
        payload.pop("usage", None)
    if faults.empty == "choices":
        payload["choices" if "choices" in payload else "data"] = []
    data = msgspec.json.encode(payload)
    return data[: len(data) // 2] + b'","broken' if faults.garbage == "json" else data


async def send_stream(exchange: Exchange, script: Script, faults: Faults, *, rate: float | None) -> None:
    """An answer event by event, `rate` of them a second (None: as fast as they are taken)."""
    headers = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
    if faults.gzip:
        headers.append(("content-encoding", "gzip"))
    elif faults.content_length:
        plain = _steps(script, without_failures(faults))
        headers.append(("content-length", str(sum(len(step) for step in plain if isinstance(step, bytes)))))
    await exchange.start(200, headers)
    write = _writer(exchange, faults)
    squeeze = zlib.compressobj(wbits=_GZIP) if faults.gzip else None
    clock = asyncio.get_running_loop().time
    start = clock()
    for number, step in enumerate(_steps(script, faults)):
        if isinstance(step, Act):
            start += await _act(exchange, step, faults)
            continue
        if rate is not None and (wait := start + number / rate - clock()) > 0:
            await exchange.pause(wait)
        elif number % _YIELD_EVERY == 0:
            await exchange.pause(0)
        await write(step if squeeze is None else squeeze.compress(step) + squeeze.flush(zlib.Z_SYNC_FLUSH))
    if squeeze is not None:
        await write(squeeze.flush())
    await exchange.finish()


async def _act(exchange: Exchange, act: Act, faults: Faults) -> float:
    """Do what lies between two events; returns the seconds that it took by intention."""
    if act is Act.HANG_UP:
        await exchange.hang_up()
    if act is Act.BREAK_FRAMING:
        await exchange.write_raw(BROKEN_FRAMING)
        await exchange.hang_up()
    await exchange.pause(faults.stall or 0)
    return faults.stall or 0


def _steps(script: Script, faults: Faults) -> Iterator[bytes | Act]:
    """The events of a stream, framed, and what happens between them."""
    frame = _frame_crlf if faults.crlf else _frame
    for _ in range(faults.comments or 0):
        yield COMMENT.replace(b"\n", b"\r\n") if faults.crlf else COMMENT
    if faults.empty == "body":
        return
    middle = script.total // 2
    cut_at = -1 if faults.cut is None else script.total * faults.cut // 100
    for number, chunk in enumerate(script.chunks()):
        if number == cut_at:
            event = frame(chunk)
            yield event[: len(event) // 2]
            yield Act.HANG_UP
            return
        if number == middle:
            yield from _midway(faults)
            if faults.error_event or faults.garbage == "chunk":
                return
        if faults.no_usage and chunk.get("usage"):
            continue
        if faults.empty == "choices":
            yield frame({**chunk, "choices": []})
            break
        yield frame(chunk)
    if not faults.no_done:
        yield DONE.replace(b"\n", b"\r\n") if faults.crlf else DONE


def _midway(faults: Faults) -> Iterator[bytes | Act]:
    if faults.stall is not None:
        yield Act.STALL
    if faults.error_event:
        yield _frame(ERROR)
    elif faults.garbage == "chunk":
        yield Act.BREAK_FRAMING
    elif faults.garbage == "json":
        yield BROKEN_EVENT


def _frame(chunk: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _frame_crlf(chunk: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\r\n\r\n"


def _writer(exchange: Exchange, faults: Faults) -> Callable[[bytes], Awaitable[None]]:
    """How pieces are written: each at once, or cut up."""
    size = faults.split
    if size is None:
        return exchange.write

    async def write_split(data: bytes) -> None:
        for start in range(0, len(data), size):
            await exchange.write(data[start : start + size])
            await exchange.pause(0)

    return write_split
