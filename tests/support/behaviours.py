"""What the faulty upstream can do: the good ways of OpenAI's format and the many bad ones, each under its name.

Times are short: the gateway under test is configured with deadlines well under `NEVER_S`.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from types import MappingProxyType

from tests.support.faulty_upstream import Behaviour, Exchange
from tests.support.openai_format import DONE, NO_TOKENS, chunk, compact, event

NEVER_S = 30.0
SLOW_S = 0.25
THOUGHT_S = 15.5
"""Longer than a client is left without a word."""
PACE_S = 0.05
SPLIT_S = 0.004
"""Enough for what was written before to be read on its own."""
FLOOD_EVENTS = 2000
LARGE_TEXT = "x" * 1_000_000
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx secret-host-17</body></html>"


async def ok(exchange: Exchange) -> None:
    """A perfect answer."""
    if not exchange.wants_stream:
        await exchange.json(200, exchange.answer())
        return
    await exchange.open_stream()
    for part in exchange.events():
        await exchange.event(part)
    await exchange.end()


async def paced(exchange: Exchange) -> None:
    """A perfect stream, a word every `PACE_S`; a whole answer after as long."""
    if not exchange.wants_stream:
        await exchange.pause(PACE_S * 12)
        await exchange.json(200, exchange.answer())
        return
    await exchange.open_stream()
    for part in exchange.events():
        await exchange.event(part)
        await exchange.pause(PACE_S)
    await exchange.end()


async def hesitant(exchange: Exchange) -> None:
    """As `paced`, after a while of thinking."""
    await exchange.pause(SLOW_S)
    await paced(exchange)


async def busy_once(exchange: Exchange) -> None:
    """Throttled for longer than anybody waits, the first time."""
    if exchange.request.number == 1:
        await exchange.error(429, "Rate limit reached", retry_after="30")
    else:
        await ok(exchange)


async def lingering(exchange: Exchange) -> None:
    """A perfect stream whose connection stays busy for a while after the terminal event."""
    if not exchange.wants_stream:
        await ok(exchange)
        return
    await exchange.open_stream()
    for part in exchange.events():
        await exchange.event(part)
    await exchange.pause(SLOW_S)
    await exchange.end()


async def echo(exchange: Exchange) -> None:
    """A whole answer whose text is the request body, to see what was forwarded."""
    await exchange.json(200, exchange.answer(text=exchange.request.body.decode()))


async def throttled(exchange: Exchange) -> None:
    await exchange.error(429, "Rate limit reached", retry_after="7")


async def throttled_once(exchange: Exchange) -> None:
    if exchange.request.number == 1:
        await exchange.error(429, "Rate limit reached", retry_after="0")
    else:
        await ok(exchange)


async def error_once(exchange: Exchange) -> None:
    if exchange.request.number == 1:
        await exchange.error(500, "The server had an error")
    else:
        await ok(exchange)


async def unavailable(exchange: Exchange) -> None:
    await exchange.error(503, "Overloaded at internal-host-9")


async def rejected(exchange: Exchange) -> None:
    """The request itself is at fault, by the upstream's own word."""
    error = exchange.format.error(400, "max_tokens is too large")
    if exchange.is_openai:
        error["error"]["param"] = "max_tokens"
    await exchange.json(400, error)


async def bad_credentials(exchange: Exchange) -> None:
    await exchange.error(401, "Incorrect API key provided: sk-upstr***")


async def redirect(exchange: Exchange) -> None:
    await exchange.whole(302, b"", location="http://127.0.0.1:1/elsewhere")


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def reset_once(exchange: Exchange) -> None:
    if exchange.request.number == 1:
        exchange.reset()
    await ok(exchange)


async def closed(exchange: Exchange) -> None:
    """The connection is closed politely, without a word."""
    exchange.close()


async def no_answer(exchange: Exchange) -> None:
    await exchange.pause(NEVER_S)


async def slow_first_byte(exchange: Exchange) -> None:
    await exchange.pause(SLOW_S)
    await ok(exchange)


async def thoughtful(exchange: Exchange) -> None:
    await exchange.pause(THOUGHT_S)
    await ok(exchange)


async def thoughtless(exchange: Exchange) -> None:
    """Thinks for long, the first time, and has no answer in the end."""
    if exchange.request.number == 1:
        await exchange.pause(THOUGHT_S)
    await unavailable(exchange)


async def headers_then_silence(exchange: Exchange) -> None:
    if exchange.wants_stream:
        await exchange.open_stream()
    else:
        await exchange.head(200, "application/json", framing="content-length: 500")
    await exchange.pause(NEVER_S)


async def _first_part(exchange: Exchange) -> None:
    """About 40 % of an answer."""
    if exchange.wants_stream:
        parts = exchange.events()
        await exchange.open_stream()
        for part in parts[: len(parts) * 2 // 5]:
            await exchange.event(part)
        return
    body = compact(exchange.answer())
    await exchange.head(200, "application/json", framing=f"content-length: {len(body)}")
    await exchange.write(body[: len(body) * 2 // 5])


async def cut(exchange: Exchange) -> None:
    """The connection closes at 40 %, between two chunks."""
    await _first_part(exchange)
    exchange.close()


async def cut_in_chunk(exchange: Exchange) -> None:
    """The connection closes at 40 %, in the middle of a chunk's framing."""
    await _first_part(exchange)
    if exchange.wants_stream:
        await exchange.write(b'ff\r\ndata: {"choi')
    exchange.close()


async def cut_by_reset(exchange: Exchange) -> None:
    await _first_part(exchange)
    await exchange.pause(PACE_S)
    exchange.reset()


async def stall(exchange: Exchange) -> None:
    """Silence at 40 %."""
    await _first_part(exchange)
    await exchange.pause(NEVER_S)


async def bad_json(exchange: Exchange) -> None:
    """The first event, or the whole answer, is not JSON."""
    if not exchange.wants_stream:
        await exchange.whole(200, b'{"choices":[{"message":{"content":"hal')
        return
    await exchange.open_stream()
    await exchange.event(b'data: {"choices":[{"delta":{"con\n\n')
    await exchange.event(DONE)
    await exchange.end()


async def malformed_event(exchange: Exchange) -> None:
    """After a good beginning comes an event that is not JSON, then the rest."""
    if not exchange.wants_stream:
        await bad_json(exchange)
        return
    await _first_part(exchange)
    await exchange.event(b'data: {"type":"con\n\n')
    for part in exchange.events()[-3:]:
        await exchange.event(part)
    await exchange.end()


async def bad_framing(exchange: Exchange) -> None:
    """After a good beginning comes a chunk whose size is not a number."""
    if exchange.wants_stream:
        await _first_part(exchange)
        await exchange.pause(PACE_S)
    else:
        await exchange.head(200, "application/json", framing="transfer-encoding: chunked")
    await exchange.write(b"zz\r\n{}\r\n")
    await exchange.pause(NEVER_S)


async def garbage(exchange: Exchange) -> None:
    """Not HTTP at all."""
    await exchange.write(b"\x00\x01SSH-2.0-OpenSSH\r\n\r\n")
    exchange.close()


async def no_done(exchange: Exchange) -> None:
    """A stream without its terminal event."""
    if not exchange.wants_stream:
        await ok(exchange)
        return
    await exchange.open_stream()
    for part in exchange.events()[:-1]:
        await exchange.event(part)
    await exchange.end()


async def ends_early(exchange: Exchange) -> None:
    """A stream that ends properly as HTTP, in the middle of its sentence and in the very write that began it."""
    if not exchange.wants_stream:
        await cut(exchange)
    parts = exchange.events()
    await exchange.open_stream()
    await exchange.write(b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts[:6]) + b"0\r\n\r\n")


async def empty_200(exchange: Exchange) -> None:
    await exchange.whole(200, b"")


async def empty_stream(exchange: Exchange) -> None:
    """No output: a stream of nothing but its end, an answer without choices."""
    if not exchange.wants_stream:
        await exchange.json(200, {**exchange.answer(), "choices": []})
        return
    await exchange.open_stream()
    await exchange.event(DONE)
    await exchange.end()


async def error_in_200(exchange: Exchange) -> None:
    """An error where the answer should be."""
    message = "The model crashed at internal-host-9"
    if not exchange.wants_stream:
        await exchange.json(200, exchange.format.error(500, message))
        return
    await exchange.open_stream()
    await exchange.event(exchange.error_event(message))
    await exchange.end()


async def error_mid_stream(exchange: Exchange) -> None:
    """An error event after output, then the end."""
    if not exchange.wants_stream:
        await error_in_200(exchange)
        return
    await _first_part(exchange)
    await exchange.event(exchange.error_event("The model crashed"))
    await exchange.end()


async def html_page(exchange: Exchange) -> None:
    await exchange.whole(502, HTML, content_type="text/html")


async def html_200(exchange: Exchange) -> None:
    await exchange.whole(200, HTML, content_type="text/html")


async def no_usage(exchange: Exchange) -> None:
    if not exchange.wants_stream:
        await exchange.json(200, exchange.answer(usage=None))
        return
    await exchange.open_stream()
    for part in exchange.events(usage=None):
        await exchange.event(part)
    await exchange.end()


async def zero_usage(exchange: Exchange) -> None:
    """Output, and a usage that counts none of it."""
    if not exchange.wants_stream:
        await exchange.json(200, exchange.answer(usage=NO_TOKENS))
        return
    await exchange.open_stream()
    for part in exchange.events(usage=NO_TOKENS):
        await exchange.event(part)
    await exchange.end()


async def spaced_usage(exchange: Exchange) -> None:
    """The same JSON written with spaces after its colons and commas."""
    spaced = [part.replace(b'":', b'" : ').replace(b',"', b', "') for part in exchange.events()]
    if not exchange.wants_stream:
        await exchange.whole(200, compact(exchange.answer()).replace(b'":', b'" : ').replace(b',"', b', "'))
        return
    await exchange.open_stream()
    for part in spaced:
        await exchange.event(part)
    await exchange.end()


def _plain_stream(exchange: Exchange) -> bytes:
    return b"".join(exchange.events())


async def byte_by_byte(exchange: Exchange) -> None:
    """Every byte of the answer is a write of its own, chunk framing included."""
    if exchange.wants_stream:
        head = "transfer-encoding: chunked"
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in exchange.events()) + b"0\r\n\r\n"
        await exchange.head(200, "text/event-stream", framing=head)
    else:
        body = compact(exchange.answer())
        await exchange.head(200, "application/json", framing=f"content-length: {len(body)}")
    for position in range(len(body)):
        await exchange.write(body[position : position + 1])


async def split(exchange: Exchange) -> None:
    """A stream that comes in two pieces, cut at the byte that the request's `user` names; framing included."""
    framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in exchange.events()) + b"0\r\n\r\n"
    position = int(exchange.request.json["user"]) % len(framed)
    await exchange.open_stream()
    await exchange.write(framed[:position])
    await exchange.pause(SPLIT_S)
    await exchange.write(framed[position:])


async def flood(exchange: Exchange) -> None:
    """A stream of `FLOOD_EVENTS` large events, as fast as they go."""
    await exchange.open_stream()
    for part in exchange.events(words=("y" * 4000,) * FLOOD_EVENTS):
        await exchange.event(part)
    await exchange.end()


async def one_chunk(exchange: Exchange) -> None:
    """All events in a single chunk."""
    if not exchange.wants_stream:
        await ok(exchange)
        return
    await exchange.open_stream()
    await exchange.piece(_plain_stream(exchange))
    await exchange.end()


async def small_chunks(exchange: Exchange) -> None:
    """Events cut into chunks of seven bytes."""
    if not exchange.wants_stream:
        await ok(exchange)
        return
    await exchange.open_stream()
    stream = _plain_stream(exchange)
    for start in range(0, len(stream), 7):
        await exchange.piece(stream[start : start + 7])
    await exchange.end()


async def crlf(exchange: Exchange) -> None:
    """Events whose lines end with CRLF."""
    if not exchange.wants_stream:
        await ok(exchange)
        return
    await exchange.open_stream()
    for part in exchange.events():
        await exchange.event(part.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    await exchange.end()


async def comments_first(exchange: Exchange) -> None:
    """Comments before and between the events, as OpenRouter sends them."""
    if not exchange.wants_stream:
        await ok(exchange)
        return
    await exchange.open_stream()
    for part in exchange.events():
        await exchange.piece(b": OPENROUTER PROCESSING\n\n")
        await exchange.event(part)
    await exchange.end()


async def other_form(exchange: Exchange) -> None:
    """A stream where a whole answer was asked for, and the other way round."""
    if exchange.wants_stream:
        await exchange.json(200, exchange.answer())
        return
    await exchange.open_stream()
    for part in exchange.events():
        await exchange.event(part)
    await exchange.end()


async def gzipped(exchange: Exchange) -> None:
    """A compressed body that nobody asked for."""
    stream = exchange.wants_stream
    plain = _plain_stream(exchange) if stream else compact(exchange.answer())
    kind = "text/event-stream" if stream else "application/json"
    await exchange.whole(200, gzip.compress(plain), content_type=kind, content_encoding="gzip")


async def large(exchange: Exchange) -> None:
    """A megabyte in one event."""
    if not exchange.wants_stream:
        await exchange.json(200, exchange.answer(text=LARGE_TEXT))
        return
    await exchange.open_stream()
    for part in exchange.events(words=(LARGE_TEXT,)):
        await exchange.event(part)
    await exchange.end()


async def until_close(exchange: Exchange) -> None:
    """Neither a length nor chunks: the body ends with the connection."""
    if exchange.wants_stream:
        await exchange.head(200, "text/event-stream", connection="close")
        await exchange.write(_plain_stream(exchange))
    else:
        await exchange.head(200, "application/json", connection="close")
        await exchange.write(compact(exchange.answer()))
    exchange.close()


async def continue_first(exchange: Exchange) -> None:
    """An interim response that nobody asked for."""
    await exchange.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    await ok(exchange)


async def tool_call(exchange: Exchange) -> None:
    """An answer that is a tool call and no text."""
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
    if not exchange.wants_stream:
        body = exchange.answer(text="")
        body["choices"][0] |= {
            "message": {"role": "assistant", "content": None, "tool_calls": [call]},
            "finish_reason": "tool_calls",
        }
        await exchange.json(200, body)
        return
    await exchange.open_stream()
    delta = {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **call}]}
    await exchange.event(event(chunk(exchange.model, [{"index": 0, "delta": delta, "finish_reason": None}])))
    for part in exchange.events()[-3:]:
        await exchange.event(part)
    await exchange.end()


BEHAVIOURS: Mapping[str, Behaviour] = MappingProxyType(
    {
        behaviour.__name__: behaviour
        for behaviour in (
            ok, paced, hesitant, busy_once, lingering, echo, throttled, throttled_once, error_once, unavailable,
            rejected, bad_credentials,
            redirect, reset, reset_once, closed, no_answer, slow_first_byte, headers_then_silence, cut, cut_in_chunk,
            cut_by_reset, stall, bad_json, malformed_event, bad_framing, garbage, no_done, ends_early, empty_200,
            empty_stream,
            error_in_200, error_mid_stream, html_page, html_200, no_usage, zero_usage, spaced_usage, byte_by_byte,
            one_chunk, small_chunks, crlf, comments_first, other_form, gzipped, large, until_close, continue_first,
            tool_call, split, flood, thoughtful, thoughtless,
        )
    }
)  # fmt: skip
