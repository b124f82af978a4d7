"""A corpus of chat streams as providers write them, each with what it truly used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypereal.wire.base import Usage

COUNTED: dict[str, Any] = {
    "prompt_tokens": 21,
    "completion_tokens": 13,
    "total_tokens": 34,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
TRUE_USAGE = Usage(input=17, cache_read=4, output=8, reasoning=5)
DONE_EVENT = b"data: [DONE]\n\n"
WORDS = ("Hel", "lo, ", "wörld")
TEXT_BYTES = len("".join(WORDS).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The events of one stream and the truth about it; `usage` is None when its upstream counted nothing."""

    name: str
    events: tuple[bytes, ...]
    usage: Usage | None
    text_bytes: int = TEXT_BYTES

    @property
    def payload(self) -> bytes:
        return b"".join(self.events)

    @property
    def seen(self) -> bytes:
        """What a client is shown before the terminal event, line ends as LF."""
        return self.payload.replace(b"\r\n", b"\n").replace(DONE_EVENT, b"").replace(b"data:[DONE]\n\n", b"")


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def spaced(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def chunk(text: str | None, *, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **fields}


def words(**fields: Any) -> list[dict[str, Any]]:
    return [*(chunk(word, **fields) for word in WORDS), chunk(None, finish="stop", **fields)]


def final(usage: Any = None) -> dict[str, Any]:
    return {"id": "c", "choices": [], "usage": COUNTED if usage is None else usage}


def _stream(name: str, chunks: list[Any], *, usage: Usage | None = TRUE_USAGE, **fields: Any) -> Stream:
    events = [one if isinstance(one, bytes) else event(compact(one)) for one in chunks]
    return Stream(name=name, events=(*events, DONE_EVENT), usage=usage, **fields)


def _growing() -> list[dict[str, Any]]:
    """Usage so far in every chunk, as some servers report it; only the last is the whole."""
    partial = [chunk(word, usage={"prompt_tokens": 21, "completion_tokens": n}) for n, word in enumerate(WORDS, 1)]
    return [*partial, chunk(None, finish="stop", usage=COUNTED)]


def corpus() -> Iterator[Stream]:
    yield _stream("compact", [*words(), final()])
    yield _stream("spaced", [event(spaced(one)) for one in [*words(), final()]])
    yield _stream("null in each chunk", [*words(usage=None), final()])
    yield _stream("with the last choice", [chunk(word) for word in WORDS] + [chunk(None, finish="stop", usage=COUNTED)])
    yield _stream("growing with choices", _growing())
    yield _stream("growing, then a chunk of its own", [*_growing(), final()])
    yield _stream("followed by another event", [*words(), final(), {"choices": [], "x_timing": {"ms": 5}}])
    sayings = ("usage", '"usage"', '{"usage":{"prompt_tokens":1,"completion_tokens":1}}', "[DONE]", "data: [DONE]\n\n")
    told = [*(chunk(saying) for saying in sayings), chunk(None, finish="stop")]
    size = len("".join(sayings).encode())
    yield _stream("text that looks like usage", [*told, final()], text_bytes=size)
    yield _stream("text that looks like usage, uncounted", told, usage=None, text_bytes=size)
    yield _stream("uncounted", words(), usage=None)
    yield _stream("null usage only", words(usage=None), usage=None)
    crlf = [*words(), final()]
    events = [b"data: " + compact(one) + b"\r\n\r\n" for one in crlf]
    yield Stream(name="CRLF", events=(*events, b"data: [DONE]\r\n\r\n"), usage=TRUE_USAGE)
    uncounted = [b"data: " + compact(one) + b"\r\n\r\n" for one in words()]
    yield Stream(name="CRLF, uncounted", events=(*uncounted, b"data: [DONE]\r\n\r\n"), usage=None)
    comments: list[Any] = [b": connected\n\n"]
    for one in [*words(), final()]:
        comments += [one, b": ping\n\n"]
    yield _stream("comments", comments)
    named = [b"event: chunk\nid: 7\ndata: " + compact(one) + b"\n\n" for one in [*words(), final()]]
    yield _stream("named events", list(named))
    tight = [b"data:" + compact(one) + b"\n\n" for one in [*words(), final()]]
    yield Stream(name="no space after the colon", events=(*tight, b"data:[DONE]\n\n"), usage=TRUE_USAGE)


CORPUS = tuple(corpus())
