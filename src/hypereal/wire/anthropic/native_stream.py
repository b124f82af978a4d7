"""Anthropic's stream as it passes through: where it begins, what it used, how it ends.

Grammar: `message_start`, then for each block `content_block_start`, deltas and `content_block_stop`, then
`message_delta` with why it ended and what it used, then `message_stop`. `ping` may come anywhere, `error` in the place
of any other.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.errors import HyperealError
from hypereal.kit.money import Micro
from hypereal.kit.sse import each_event, event_data, read_data, split_events
from hypereal.wire.anthropic.usage import UsageFields, merge, read_usage_fields, to_usage
from hypereal.wire.base import Answer, Family, Garbage, Usage
from hypereal.wire.families import render_event
from hypereal.wire.fields import NULL, UNREADABLE
from hypereal.wire.stream_end import in_proportion, line_around

MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_STOP_TYPE = b'"message_stop"'
_DELTA_TYPE = b'"message_delta"'
_START_TYPE = b'"message_start"'
_BEGUN = ("content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop")


class _Typed(msgspec.Struct, gc=False):
    type: str = ""
    error: Any = None


class _Delta(msgspec.Struct, gc=False):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Message(msgspec.Struct, gc=False):
    usage: msgspec.Raw = NULL


class _Event(msgspec.Struct, gc=False):
    type: str
    delta: _Delta | None = None
    message: _Message | None = None
    usage: msgspec.Raw = NULL
    error: Any = None


_decode_typed = msgspec.json.Decoder(_Typed).decode
_decode_event = msgspec.json.Decoder(_Event).decode


def error_text(error: Any) -> str:
    """The message in an `error` object."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("type") or "unnamed error")
    return str(error or "unnamed error")


def _event_at(payload: bytes, position: int) -> _Event | None:
    """The event whose `data:` line stands around `position`; None when framing cuts through it."""
    start, end = line_around(payload, position)
    try:
        return _decode_event(payload[start + 5 : end])
    except UNREADABLE:
        return None


class _Fold:
    """What the events of a stream, or of its end, amount to."""

    def __init__(self) -> None:
        self.started: UsageFields | None = None
        self.reported: UsageFields | None = None
        self.size = 0
        self.has_stopped = False
        self.has_blocks = False
        self.error: str | None = None

    def add(self, event: _Event) -> None:
        delta = event.delta or _Delta()
        if event.type == "content_block_delta":
            said = delta.text or delta.thinking or delta.partial_json
            self.size += len(said.encode()) if said else 0
        elif event.type == "message_start":
            self.started = read_usage_fields(event.message.usage) if event.message else None
        elif event.type == "message_delta":
            self.reported = merge(self.reported, read_usage_fields(event.usage))
            self.has_stopped = self.has_stopped or delta.stop_reason is not None
        elif event.type == "message_stop":
            self.has_stopped = True
        elif event.type == "content_block_start":
            self.has_blocks = True
        elif event.type == "error":
            self.error = error_text(event.error)

    def usage(self, started: UsageFields | None) -> Usage | None:
        """The definitive usage; of a stream that was cut short the input side alone, its output being unknown."""
        whole = merge(self.started or started, self.reported)
        if self.reported is not None and self.reported.output_tokens is not None:
            return to_usage(whole) if whole is not None and whole.input_tokens is not None else None
        if self.has_stopped or whole is None or whole.input_tokens is None:
            return None
        return to_usage(msgspec.structs.replace(whole, output_tokens=0, output_tokens_details=None))


class MessagesStream:
    """The stream of one request. It remembers the usage that `message_start` reported, which may no longer be at hand
    when the end is read."""

    terminal = b"message_stop"
    rewrites_events = False
    content_type = b"text/event-stream; charset=utf-8"
    ping = PING
    has_failed = False
    edit_run = None

    def __init__(self) -> None:
        self._started: UsageFields | None = None

    def is_terminal(self, data: bytes) -> bool:
        try:
            return _decode_typed(data).type == "message_stop"
        except UNREADABLE:
            return False

    def opening(self, payload: bytes) -> str | None:
        """`message_start` alone is no beginning: an overloaded upstream sends it too, and then its error."""
        for event in each_event(payload):
            data = event_data(event)
            if data is None:
                continue
            try:
                read = _decode_typed(data)
            except UNREADABLE as exc:
                raise Garbage(str(exc)) from exc
            if read.type == "error" or read.error is not None:
                return error_text(read.error)
            if not read.type:
                raise Garbage("an event without a type")
            if read.type == "message_start":
                self._remember(data)
            if read.type in _BEGUN:
                return ""
        return None

    def _remember(self, data: bytes) -> None:
        try:
            message = _decode_event(data).message
        except UNREADABLE as exc:
            raise Garbage(str(exc)) from exc
        if message is not None:
            self._started = read_usage_fields(message.usage)

    def find_usage(self, data: bytes) -> Usage | None:
        position = data.rfind(_DELTA_TYPE)
        if position < 0:
            return None
        rest = data[line_around(data, position)[1] :]
        if rest.count(b"{") > (1 if _STOP_TYPE in rest else 0):
            return None  # a later event: it may be another message_delta, with framing through its very name
        last = _event_at(data, position)
        if last is None or last.type != "message_delta":
            return None
        fold = _Fold()
        fold.add(last)
        start = data.find(_START_TYPE) if self._started is None else -1
        first = _event_at(data, start) if start >= 0 else None
        if first is not None and first.type == "message_start":
            fold.add(first)
        return fold.usage(self._started) if fold.reported is not None else None

    def edit(self, event: bytes) -> bytes:
        return event

    def read(self, kept: bytes, total_bytes: int) -> Answer:
        fold = _Fold()
        for data in read_data(kept):
            try:
                fold.add(_decode_event(data))
            except UNREADABLE:
                continue
        size = in_proportion(fold.size, kept, total_bytes)
        usage = fold.usage(self._started)
        has_output = size > 0 or fold.has_blocks or (usage is not None and usage.output_total > 0)
        return Answer(
            usage=usage,
            output_bytes=size,
            is_empty=not has_output and not fold.has_stopped,
            is_complete=fold.has_stopped and fold.error is None,
            error=fold.error,
        )

    def close(self, tail: bytes, answer: Answer, usage: Usage, charged: Micro) -> bytes:
        """The upstream's own end; the terminal event is added where only the reason to stop had come."""
        events, rest = split_events(tail)
        if rest.strip():
            events.append(rest.rstrip() + b"\n\n")
            tail = b"".join(events)
        if any(self.is_terminal(data) for event in events if (data := event_data(event)) is not None):
            return tail
        return tail + MESSAGE_STOP

    def break_off(self, error: HyperealError, request_id: str) -> bytes:
        return render_event(Family.ANTHROPIC, error, request_id)
