"""Reading an upstream's stream: Google's chunks as canonical events."""

from __future__ import annotations

import msgspec

from hypereal.wire.base import Garbage
from hypereal.wire.conversation import Foreign, Media, Opaque, Stop, Text, Thinking, ToolCall
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Failed, Finished, Started
from hypereal.wire.fields import UNREADABLE, Fields
from hypereal.wire.gemini.chunks import (
    REFUSALS,
    BareChunk,
    Candidate,
    Chunk,
    FunctionCall,
    Part,
    chunk_data,
    error_text,
    foreign_block,
    raw_part,
    read_chunk,
    usage_fields,
)
from hypereal.wire.gemini.media import inline_media, linked_media
from hypereal.wire.gemini.signatures import NAME, UNSIGNED
from hypereal.wire.gemini.spelling import spelled
from hypereal.wire.gemini.usage import UsageFields, to_usage

_STOPS: dict[str, Stop] = {"MAX_TOKENS": "length", "CONTINUATION": "pause", **dict.fromkeys(REFUSALS, "refusal")}
_BROKEN = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
    }
)
"""Finish reasons of an answer that came to nothing: asked again, the model may do better."""
_ID_LENGTH = 24
"""How much of an answer's id goes into the ids of its calls: OpenAI's may be 40 characters long."""
_decode_names = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOTHING = frozenset({None, "", "FINISH_REASON_UNSPECIFIED"})


def _opaque(signature: str | None) -> Opaque | None:
    return Opaque(NAME, signature) if signature and signature != UNSIGNED else None


def _names(part: bytes) -> Fields:
    try:
        return spelled(_decode_names(part))
    except UNREADABLE as exc:
        raise Garbage(str(exc)) from exc


class GeminiReader:
    """Reads one stream. Google says nothing of blocks: text and thoughts go on until something else comes."""

    repeats = None

    def __init__(self) -> None:
        self._id: str | None = None
        self._index = -1
        self._open: type[Text | Thinking] | None = None
        self._calls = 0
        self._stop: Stop | None = None
        self._counted: UsageFields | None = None

    def read(self, event: bytes) -> list[Event]:
        data = chunk_data(event)
        return self.read_chunk(data) if data else []

    def read_chunk(self, data: bytes) -> list[Event]:
        """The same for the JSON of a chunk."""
        chunk = read_chunk(data)
        events: list[Event] = []
        if chunk.error is not None:
            return [self._fail(error_text(chunk.error))]
        if self._id is None:
            self._id = chunk.response_id or ""
            events.append(Started(self._id, chunk.model_version or ""))
        self._note(chunk)
        for place, candidate in enumerate(chunk.candidates or ()):
            if not candidate.index:  # of several answers the first is the answer
                self._read_candidate(data, place, candidate, events)
        return events

    def end(self) -> list[Event]:
        if self._stop is None:
            return []
        events: list[Event] = []
        self._close(events)
        return [*events, Finished(self._stop, None, to_usage(self._counted))]

    def _fail(self, message: str) -> Failed:
        self._stop = None
        return Failed(message)

    def _note(self, chunk: Chunk | BareChunk) -> None:
        fields = usage_fields(chunk)
        if fields is not None and fields.counts_something:
            self._counted = fields
        if chunk.is_blocked:
            self._stop = "refusal"

    def _read_candidate(self, data: bytes, place: int, candidate: Candidate, events: list[Event]) -> None:
        if candidate.content is not None:
            for number, part in enumerate(candidate.content.parts or ()):
                if part.text is not None:
                    self._read_text(part, part.text, events)
                elif part.function_call is not None:
                    self._read_call(part, part.function_call, events)
                else:
                    self._read_whole(part, raw_part(data, place, number), events)
        reason = candidate.finish_reason
        if reason in _BROKEN:
            events.append(self._fail(candidate.finish_message or f"The model ended its answer with {reason}"))
        elif reason not in _NOTHING:
            self._stop = _STOPS.get(reason or "", "tool_calls" if self._calls else "end")

    def _read_text(self, part: Part, text: str, events: list[Event]) -> None:
        kind = Thinking if part.thought else Text
        signature = _opaque(part.thought_signature)
        if text:
            if self._open is not kind:
                self._start(kind, events)
            events.append(Delta(self._index, text))
        if signature is None:
            return
        if kind is Thinking and self._open is Thinking:
            events.append(BlockStopped(self._index, signature))
            self._open = None
        else:
            self._sign(signature, events)

    def _start(self, kind: type[Text | Thinking], events: list[Event]) -> None:
        self._close(events)
        self._index += 1
        self._open = kind
        events.append(BlockStarted(self._index, Text("") if kind is Text else Thinking()))

    def _close(self, events: list[Event]) -> None:
        if self._open is not None:
            events.append(BlockStopped(self._index))
            self._open = None

    def _sign(self, signature: Opaque, events: list[Event]) -> None:
        """A signature that belongs to no thought: reasoning without text, after what bore it."""
        self._start(Thinking, events)
        events.append(BlockStopped(self._index, signature))
        self._open = None

    def _read_call(self, part: Part, call: FunctionCall, events: list[Event]) -> None:
        self._close(events)
        self._index += 1
        call_id = call.id or "_".join(filter(None, ("call", (self._id or "")[:_ID_LENGTH], str(self._calls))))
        self._calls += 1
        events += (
            BlockStarted(self._index, ToolCall(id=call_id, name=call.name or "", arguments="")),
            Delta(self._index, bytes(call.args).decode()),
            BlockStopped(self._index, _opaque(part.thought_signature)),
        )

    def _read_whole(self, part: Part, raw: bytes, events: list[Event]) -> None:
        """A file, or what only Google knows, signed within."""
        block: Media | Foreign | None
        if part.inline_data is not None:
            blob = part.inline_data
            block = inline_media(blob.mime_type, blob.data or "", blob.display_name)
        elif part.file_data is not None:
            file = part.file_data
            block = linked_media(file.mime_type, file.file_uri or "", file.display_name)
        else:
            block = foreign_block(raw, _names(raw))
        if block is not None:
            self._close(events)
            self._index += 1
            events += (BlockStarted(self._index, block), BlockStopped(self._index))
        signature = _opaque(part.thought_signature)
        if signature is not None and not isinstance(block, Foreign):
            self._sign(signature, events)
