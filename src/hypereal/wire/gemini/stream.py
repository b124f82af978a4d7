"""Google's stream of chunks: where it begins, what it used, when it is whole, and the form that the client wants."""

from __future__ import annotations

import re

import msgspec

from hypereal.errors import HyperealError
from hypereal.kit.money import Micro
from hypereal.kit.sse import each_event, read_data
from hypereal.wire.base import Answer, Family, Garbage, Usage
from hypereal.wire.families import render
from hypereal.wire.fields import UNREADABLE
from hypereal.wire.gemini.chunks import chunk_data, error_text, generated_bytes, read_chunk
from hypereal.wire.gemini.framing import frames
from hypereal.wire.gemini.usage import UsageFields, to_usage
from hypereal.wire.stream_end import find_usage, in_proportion, last_usage

_USAGE_KEY = b'"usageMetadata"'
_ENDED = re.compile(rb'"(?:finishReason|blockReason)"\s*:\s*"(?!FINISH_REASON_UNSPECIFIED)')


class _UsageChunk(msgspec.Struct, gc=False, rename="camel"):
    usage_metadata: UsageFields | None = None


_decode_usage = msgspec.json.Decoder(_UsageChunk).decode


def _usage_in(line: bytes) -> Usage | None:
    """The usage in a `data:` line; None as well when the line is not a whole chunk."""
    try:
        return to_usage(_decode_usage(line[5:].strip()).usage_metadata)
    except UNREADABLE:
        return None


def _generated_bytes(payload: bytes) -> int:
    """Bytes of text and calls in the chunks of `payload`; a chunk that cannot be read counts nothing."""
    total = 0
    for data in read_data(payload):
        try:
            total += generated_bytes(read_chunk(data).candidates)
        except Garbage:
            continue
    return total


class GeminiStream:
    """The stream of one request, as events or, with `as_array`, as one JSON array. Its end is the end of the body."""

    terminal = b""
    has_failed = False
    edit_run = None

    def __init__(self, *, as_array: bool = False) -> None:
        self._frames = frames(as_array=as_array)
        self.rewrites_events = as_array
        self.content_type = self._frames.content_type
        self.ping = self._frames.ping

    def is_terminal(self, data: bytes) -> bool:
        return False

    def opening(self, payload: bytes) -> str | None:
        for event in each_event(payload):
            data = chunk_data(event)
            if not data:
                continue
            chunk = read_chunk(data)
            if chunk.error is not None:
                return error_text(chunk.error)
            if chunk.candidates or chunk.is_blocked:
                return ""
        return None

    def find_usage(self, data: bytes) -> Usage | None:
        return find_usage(data, _USAGE_KEY, _usage_in)

    def edit(self, event: bytes) -> bytes:
        if not self.rewrites_events:
            return event
        data = chunk_data(event)
        return self._frames.frame(data) if data else b""

    def read(self, kept: bytes, total_bytes: int) -> Answer:
        usage = last_usage(kept, _USAGE_KEY, _usage_in)
        complete = _ENDED.search(kept) is not None
        if usage is not None and (usage.output_total or complete):
            return Answer(usage=usage, is_complete=complete)
        size = in_proportion(_generated_bytes(kept), kept, total_bytes)
        return Answer(usage=usage, output_bytes=size, is_empty=size == 0 and not complete, is_complete=complete)

    def close(self, tail: bytes, answer: Answer, usage: Usage, charged: Micro) -> bytes:
        shown = b"".join(map(self.edit, each_event(tail))) if self.rewrites_events else tail
        return shown + self._frames.end()

    def break_off(self, error: HyperealError, request_id: str) -> bytes:
        return self._frames.frame(render(Family.GEMINI, error, request_id)) + self._frames.end()
