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
from hypereal.sandbox.grammar import Event, Grammar
from hypereal.sandbox.request import BadRequest

BROKEN_FRAMING = b"ZZ-this-is-not-a-chunk-size\r\n\r\n"

_YIELD_EVERY = 64  # events between turns of the event loop in a stream without a pace
_GZIP = 31  # zlib's window bits for a gzip container
_HTML = (
    "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n<center><h1>{status} {reason}</h1></center>"
    "\r\n<hr><center>sandbox</center>\r\n</body>\r\n</html>\r\n"
)


class Act(Enum):
    """What a stream does between two events."""

    STALL = "stall"
    HANG_UP = "hang up"
    BREAK_FRAMING = "break framing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A stream to send: its events, made anew by each call, and the event that ends it in an error.

    `failure` is given the error and how many events came before it; without it the error stands as an event by itself.
    """

    grammar: Grammar
    events: Callable[[], Iterator[Event]]
    failure: Callable[[BadRequest, int], Event] | None = None

    def total(self) -> int:
        return sum(1 for _ in self.events())


async def send_json(exchange: Exchange, status: int, payload: Any, *, retry_after: int | None = None) -> None:
    """A plain JSON answer, without faults."""
    data = msgspec.json.encode(payload)
    headers = [("content-type", "application/json"), ("content-length", str(len(data)))]
    if retry_after is not None:
        headers.append(("retry-after", str(retry_after)))
    await exchange.start(status, headers)
    await exchange.write(data)
    await exchange.finish()


async def refuse(exchange: Exchange, grammar: Grammar, refusal: BadRequest) -> None:
    """An error in place of an answer."""
    await send_json(exchange, refusal.status, grammar.refuse(refusal), retry_after=refusal.retry_after)


async def fail_first(exchange: Exchange, faults: Faults, grammar: Grammar) -> bool:
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
    refusal = BadRequest(message, status=status, code=faults.code, retry_after=faults.retry_after)
    await refuse(exchange, grammar, refusal)
    return True


async def _send_html(exchange: Exchange, status: int) -> None:
    data = _HTML.format(status=status, reason="Bad Gateway" if status == 502 else "Error").encode()
    await exchange.start(status, [("content-type", "text/html"), ("content-length", str(len(data)))])
    await exchange.write(data)
    await exchange.finish()


async def send_whole(exchange: Exchange, payload: Event, faults: Faults, grammar: Grammar) -> None:
    """An answer in one piece."""
    data = _whole_data(payload, faults, grammar)
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


def _whole_data(payload: Event, faults: Faults, grammar: Grammar) -> bytes:
    if faults.empty == "body":
        return b""
    if faults.error_event:
        return msgspec.json.encode(grammar.refuse(_failure(faults)))
    shown = (grammar.without_usage(payload) or {}) if faults.no_usage else payload
    data = msgspec.json.encode(shown)
    return data[: len(data) // 2] + b'","broken' if faults.garbage == "json" else data


def _failure(faults: Faults) -> BadRequest:
    return BadRequest("The sandbox was asked to fail.", status=500, code=faults.code)


async def send_stream(exchange: Exchange, script: Script, faults: Faults, *, rate: float | None) -> None:
    """An answer event by event, `rate` of them a second (None: as fast as they are taken)."""
    headers = [("content-type", script.grammar.media_type), ("cache-control", "no-cache")]
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
    """The pieces of a stream, and what happens between them."""
    steps = _plain_steps(script, faults)
    if not faults.crlf:
        return steps
    return (step.replace(b"\n", b"\r\n") if isinstance(step, bytes) else step for step in steps)


def _plain_steps(script: Script, faults: Faults) -> Iterator[bytes | Act]:
    grammar = script.grammar
    for _ in range(faults.comments or 0):
        yield grammar.comment
    if faults.empty == "body":
        return
    total = script.total() if _strikes_midway(faults) else 0
    middle = total // 2 if total else -1
    cut_at = -1 if faults.cut is None else total * faults.cut // 100
    between = grammar.opening
    for number, event in enumerate(script.events()):
        if number == cut_at:
            data = between + grammar.frame(event)
            yield data[: len(data) // 2]
            yield Act.HANG_UP
            return
        if number == middle:
            yield from _midway(script, faults, between, number)
            between = grammar.separator if faults.garbage == "json" else between
            if faults.error_event or faults.garbage == "chunk":
                return
        shown = _shown(event, faults, grammar)
        if shown is not None:
            yield between + grammar.frame(shown)
            between = grammar.separator
    if grammar.done and not faults.no_done:
        yield grammar.done


def _strikes_midway(faults: Faults) -> bool:
    return faults.cut is not None or faults.stall is not None or faults.garbage is not None or faults.error_event


def _shown(event: Event, faults: Faults, grammar: Grammar) -> Event | None:
    """The event as it is sent, None when it is left out."""
    if faults.no_done and grammar.is_end(event):
        return None
    return grammar.without_usage(event) if faults.no_usage else event


def _midway(script: Script, faults: Faults, between: bytes, number: int) -> Iterator[bytes | Act]:
    grammar = script.grammar
    if faults.stall is not None:
        yield Act.STALL
    if faults.error_event:
        failure = _failure(faults)
        event = script.failure(failure, number) if script.failure else grammar.refuse(failure)
        yield between + grammar.frame(event)
        if not grammar.media_type.startswith("text/"):
            yield grammar.done
    elif faults.garbage == "chunk":
        yield Act.BREAK_FRAMING
    elif faults.garbage == "json":
        yield between + grammar.broken


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
