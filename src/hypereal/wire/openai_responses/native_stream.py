"""The stream of an upstream that speaks the Responses API, for a client who does: passed on as it comes.

Which events end it: `response.completed`, `response.incomplete` and `response.failed`. A failure in place of the first
output is the error of the attempt; a later one is passed on in the upstream's own words, as the end of the answer, and
`Answer.error` says so.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from hypereal.errors import HyperealError
from hypereal.kit.money import Micro
from hypereal.kit.sse import COMMENT, each_event, event_data, read_data, split_events
from hypereal.wire.base import EVENT_STREAM, Answer, Envelope, Garbage, Usage
from hypereal.wire.fields import NULL, UNREADABLE
from hypereal.wire.openai_responses.failure import failure_events, typed_event
from hypereal.wire.openai_responses.history import PREVIOUS, TERMINAL
from hypereal.wire.openai_responses.items import CALLS
from hypereal.wire.openai_responses.response import own_id
from hypereal.wire.openai_responses.usage import read_usage, render_usage
from hypereal.wire.stream_end import find_usage, in_proportion

LAST_SEQUENCE = 2**31 - 2
"""The number of an event of ours after events that nobody counted: larger than theirs, small enough for 32 bits."""
_USAGE_KEY = b'"usage"'
_BEGINNINGS = frozenset({"response.created", "response.in_progress", "response.queued"})
_DELTA = b".delta"
_SAID = ("message", "reasoning", *CALLS)
"""The types of items that are text or calls."""
_NO_PREVIOUS = re.compile(rb'("%b"\s*:\s*)null' % PREVIOUS.encode())


class _Response(msgspec.Struct, gc=False):
    id: Any = None
    error: Any = None
    output: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = NULL


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    response: _Response | None = None
    error: Any = None
    message: Any = None
    code: Any = None
    delta: Any = None


class _Item(msgspec.Struct, gc=False):
    type: Any = None
    content: Any = None
    summary: Any = None
    arguments: Any = None
    input: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode


def error_text(error: Any) -> str:
    """The message of an error: an object by the book, a bare string in practice."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("code") or "unnamed error")
    return str(error)


def _text_size(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list):
        return sum(map(_text_size, value))
    if isinstance(value, dict):
        return _text_size(value.get("text")) + _text_size(value.get("refusal"))
    return 0


def item_size(raw: msgspec.Raw) -> int:
    """Bytes of generated text and calls in an output item; what is neither counts as it stands."""
    item = _decode_item(raw)
    if item.type not in _SAID:
        return len(bytes(raw))
    return sum(map(_text_size, (item.content, item.summary, item.arguments, item.input)))


def _failure_in(event: _Event) -> str | None:
    """What went wrong, if the event says that something did."""
    if event.type == "error" or (event.type is None and event.error is not None):
        return error_text(event.error or {"message": event.message, "code": event.code})
    if event.type == "response.failed":
        return error_text((event.response and event.response.error) or {})
    return None


def _usage_in(line: bytes) -> Usage | None:
    """The usage in a `data:` line; None as well when the line is not a whole event."""
    try:
        response = _decode_event(line[5:].strip()).response
    except UNREADABLE:
        return None
    return read_usage(response.usage) if response is not None else None


def with_previous(data: bytes, previous: str | None) -> bytes:
    """A response object, or an event with one, that says which response it goes on from: the upstream, which got the
    whole conversation instead, cannot know."""
    if previous is None:
        return data
    return _NO_PREVIOUS.sub(lambda found: found[1] + _encode(previous), data, count=1)


class ResponsesStream:
    """The stream of one request. It notes the id that the upstream gave the response, to end it under the same one."""

    terminal = b'"response"'
    """The key of the response object: of all events only those of its life have one, and in text it is escaped."""
    content_type = EVENT_STREAM
    ping = COMMENT
    has_failed = False
    edit_run = None

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._id = ""
        self._previous = envelope.went_on_from
        self.rewrites_events = self._previous is not None

    def is_terminal(self, data: bytes) -> bool:
        try:
            return _decode_event(data).type in TERMINAL
        except UNREADABLE:
            return False

    def opening(self, payload: bytes) -> str | None:
        for whole in each_event(payload):
            data = event_data(whole)
            if data is None or data.strip() in (b"", b"[DONE]"):
                continue
            try:
                event = _decode_event(data)
            except UNREADABLE as exc:
                raise Garbage(str(exc)) from exc
            failure = _failure_in(event)
            if failure is not None:
                return failure
            if event.type is None:
                raise Garbage("an event without a type")
            if event.type in _BEGINNINGS:
                self._note(event.response)
            elif event.type.startswith("response."):
                return ""
        return None

    def _note(self, response: _Response | None) -> None:
        if response is not None and isinstance(response.id, str):
            self._id = response.id

    def find_usage(self, data: bytes) -> Usage | None:
        return find_usage(data, _USAGE_KEY, _usage_in)

    def edit(self, event: bytes) -> bytes:
        return with_previous(event, self._previous) if self.terminal in event else event

    def read(self, kept: bytes, total_bytes: int) -> Answer:
        events = list(read_data(kept))
        last = next(filter(None, map(self._ending, reversed(events))), _Event())
        response = last.response or _Response()
        usage = read_usage(response.usage)
        complete = last.type in TERMINAL
        try:
            size = sum(map(item_size, response.output or ()))
        except UNREADABLE:
            size = 0
        if not size:
            size = in_proportion(sum(map(self._delta_size, events)), kept, total_bytes)
        is_empty = not (size or complete or (usage is not None and usage.output_total))
        return Answer(usage=usage, output_bytes=size, is_empty=is_empty, is_complete=complete, error=_failure_in(last))

    def _ending(self, data: bytes) -> _Event | None:
        """The event, if it ends the stream by the book or by an error."""
        if self.terminal not in data and b"error" not in data:
            return None
        try:
            event = _decode_event(data)
        except UNREADABLE:
            return None
        return event if event.type in TERMINAL or event.type == "error" else None

    @staticmethod
    def _delta_size(data: bytes) -> int:
        if _DELTA not in data:
            return 0
        try:
            event = _decode_event(data)
        except UNREADABLE:
            return 0
        return _text_size(event.delta) if event.type is not None and event.type.endswith(".delta") else 0

    def close(self, tail: bytes, answer: Answer, usage: Usage, charged: Micro) -> bytes:
        if self._previous is not None:
            tail = with_previous(tail, self._previous)
        if answer.usage is not None:
            return tail
        events, rest = split_events(tail)
        return b"".join(self._with_usage(event, usage) for event in events) + rest

    def _with_usage(self, event: bytes, usage: Usage) -> bytes:
        """The terminal event with our count in place of the one that the upstream did not give."""
        data = event_data(event)
        if data is None or not self.is_terminal(data):
            return event
        read = _decode_event(data)
        if read.type is None or read.response is None:
            return event
        fields = _decode_fields(data)
        response = {**_decode_fields(fields["response"]), "usage": render_usage(usage)}
        return typed_event(read.type, _encode({**fields, "response": response}))

    def break_off(self, error: HyperealError, request_id: str) -> bytes:
        envelope = self._envelope
        return failure_events(
            envelope,
            error.message,
            id=self._id or own_id("", request_id),
            model=envelope.model or "",
            sequence=LAST_SEQUENCE,
            error=error,
        )
