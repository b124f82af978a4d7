"""OpenAI's stream of chat (and text) completion chunks: where it begins, what it used, what we add at its end."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from hypereal.errors import HyperealError
from hypereal.kit.money import Micro, credits_number
from hypereal.kit.sse import COMMENT, data_event, each_event, event_data, read_data, split_events
from hypereal.wire.base import EVENT_STREAM, Answer, Envelope, Family, Garbage, Usage
from hypereal.wire.families import render_event
from hypereal.wire.fields import UNREADABLE
from hypereal.wire.openai_chat.usage import UsageFields, render_usage, to_usage
from hypereal.wire.stream_end import find_usage, in_proportion, last_usage

DONE = b"[DONE]"
ID_PREFIX = "chatcmpl-"
"""What the ids of answers begin with."""
_USAGE_KEY = b'"usage"'
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    text: str | None = None


class _Head(msgspec.Struct, gc=False):
    """What all chunks of a stream have in common."""

    id: Any = None
    object: Any = None
    created: Any = None
    model: Any = None


class _Opening(_Head, gc=False):
    choices: list[msgspec.Raw] | None = None
    error: Any = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None


class _UsageChunk(msgspec.Struct, gc=False):
    usage: UsageFields | None = None


_decode_opening = msgspec.json.Decoder(_Opening).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_usage = msgspec.json.Decoder(_UsageChunk).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def error_text(error: Any) -> str:
    """The message in an `error` field: an object by the book, a bare string in practice."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("code") or "unnamed error")
    return str(error)


def _size(value: Any) -> int:
    if not value:
        return 0
    return len(value.encode()) if isinstance(value, str) else len(msgspec.json.encode(value))


def _generated_bytes(payload: bytes) -> int:
    """Bytes of text and calls in the chunks of `payload`; a chunk that cannot be read counts nothing."""
    total = 0
    for data in read_data(payload):
        try:
            chunk = _decode_chunk(data)
        except UNREADABLE:
            continue
        for choice in chunk.choices or ():
            total += _size(choice.text)
            if choice.delta is not None:
                total += sum(_size(getattr(choice.delta, name)) for name in choice.delta.__struct_fields__)
    return total


def _usage_in(line: bytes) -> Usage | None:
    """The usage in a `data:` line; None as well when the line is not a whole chunk."""
    try:
        return to_usage(_decode_usage(line[5:].strip()).usage)
    except UNREADABLE:
        return None


def _last_head(tail: bytes) -> _Head:
    """The head of the last chunk that can be read and has an id; an empty one when there is none."""
    for data in reversed(list(read_data(tail))):
        try:
            head = _decode_head(data)
        except UNREADABLE:
            continue
        if head.id:
            return head
    return _Head()


def _is_done(event: bytes) -> bool:
    return (event_data(event) or b"").strip() == DONE


class ChatStream:
    """The stream of one request.

    `hides_usage` takes usage out of what the client sees; `adds_credits` withholds the upstream's usage chunk and ends
    with one of our own that says what was charged (api.md section 4). A chunk of ours looks like those before it, and
    where there are none to look at it goes by `envelope`.
    """

    terminal = DONE
    content_type = EVENT_STREAM
    ping = COMMENT
    has_failed = False
    edit_run = None

    def __init__(
        self,
        envelope: Envelope | None = None,
        *,
        family: Family = Family.OPENAI,
        hides_usage: bool = False,
        adds_credits: bool = False,
    ) -> None:
        self._envelope = envelope
        self._head: _Head = _Head()
        self._family = family
        self.hides_usage = hides_usage
        self.adds_credits = adds_credits
        self.rewrites_events = hides_usage or adds_credits

    def is_terminal(self, data: bytes) -> bool:
        return data.strip() == DONE

    def opening(self, payload: bytes) -> str | None:
        for event in each_event(payload):
            data = event_data(event)
            if data is None or data.strip() == DONE:
                continue
            try:
                chunk = _decode_opening(data)
            except UNREADABLE as exc:
                raise Garbage(str(exc)) from exc
            if chunk.error is not None:
                return error_text(chunk.error)
            if chunk.choices:
                self._head = chunk
                return ""
        return None

    def find_usage(self, data: bytes) -> Usage | None:
        return find_usage(data, _USAGE_KEY, _usage_in)

    def edit(self, event: bytes) -> bytes:
        if _USAGE_KEY not in event:
            return event
        data = event_data(event)
        if data is None:
            return event
        try:
            fields = _decode_fields(data)
        except UNREADABLE:
            return event
        if fields.pop("usage", None) is None:
            return event
        if bytes(fields.get("choices", b"[]")).replace(b" ", b"") == b"[]":
            return b""
        return data_event(msgspec.json.encode(fields))

    def read(self, kept: bytes, total_bytes: int) -> Answer:
        usage = last_usage(kept, _USAGE_KEY, _usage_in)
        complete = kept.rstrip().endswith(DONE) or _FINISHED.search(kept) is not None
        if usage is not None and (usage.output_total or complete):
            return Answer(usage=usage, is_complete=complete)
        size = in_proportion(_generated_bytes(kept), kept, total_bytes)
        return Answer(usage=usage, output_bytes=size, is_empty=size == 0 and not complete, is_complete=complete)

    def close(self, tail: bytes, answer: Answer, usage: Usage, charged: Micro) -> bytes:
        events, _ = split_events(tail)
        kept = b"".join(self.edit(event) if self.rewrites_events else event for event in events if not _is_done(event))
        return kept + self._usage_event(tail, answer, usage, charged) + data_event(DONE)

    def break_off(self, error: HyperealError, request_id: str) -> bytes:
        return render_event(self._family, error, request_id)

    def _usage_event(self, tail: bytes, answer: Answer, usage: Usage, charged: Micro) -> bytes:
        if self.hides_usage or (answer.usage is not None and not self.adds_credits):
            return b""
        chunk: dict[str, Any] = {
            **self._common(tail),
            "choices": [],
            "usage": render_usage(usage),
        }
        if self.adds_credits:
            chunk["creditsUsed"] = credits_number(charged)
        return data_event(msgspec.json.encode(chunk))

    def _common(self, tail: bytes) -> dict[str, Any]:
        """What a chunk of ours has in common with those of the stream."""
        said = _last_head(tail)
        if not said.id:
            said = self._head
        envelope = self._envelope
        return {
            "id": said.id or ID_PREFIX + (envelope.request_id if envelope is not None else ""),
            "object": said.object or "chat.completion.chunk",
            "created": said.created or (envelope.at if envelope is not None else 0),
            "model": said.model or (envelope.model if envelope is not None else None) or "",
        }
