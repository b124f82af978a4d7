"""Writing a client's stream: canonical events as Google's chunks.

Always as events: the client's own `GeminiStream` makes one array of them for a client that wants that.
"""

from __future__ import annotations

import msgspec

from hypereal.kit.money import Micro
from hypereal.kit.sse import data_event
from hypereal.wire.base import Envelope, Usage
from hypereal.wire.conversation import Foreign, Media, Opaque, Stop, Text, Thinking, ToolCall
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Finished, Serial, Started, as_deltas
from hypereal.wire.gemini.answer import final_chunk, sign
from hypereal.wire.gemini.media import media_part
from hypereal.wire.gemini.parts import Part, call_part, compact
from hypereal.wire.gemini.signatures import NAME, UNSIGNED

_HEAD = b'{"candidates":[{"content":{"parts":['
_TEXT_HEAD = _HEAD + b'{"text":'
_TEXT_END = b"}"
_THOUGHT_END = b',"thought":true}'
_TAIL = b'],"role":"model"},"index":0}],'

_encode = msgspec.json.encode


class GeminiWriter:
    """Writes one stream. Text goes out as it comes; a call, which Google tells whole, when its block stops."""

    def __init__(self, envelope: Envelope) -> None:
        self._serial = Serial()
        self._id = ""
        self._model = envelope.model or ""
        self._stop: Stop = "end"
        self._index: int | None = None
        self._block: Text | Thinking | ToolCall | Media | Foreign = Text("")
        self._arguments: list[str] = []
        self._has_text = False
        self._signs_calls = True
        self._begin()

    def write(self, event: Event) -> bytes:
        if type(event) is Delta and event.index == self._index:
            return self._grow(event.text)
        return b"".join(map(self._write, self._serial.arrange(event)))

    def write_texts(self, index: int, texts: list[bytes]) -> bytes:
        said = [text for text in texts if text]
        if index != self._index or not self._end or not said:
            return b"".join(map(self.write, as_deltas(index, texts)))
        self._has_text = True
        before, after = b'data: %b"' % _TEXT_HEAD, b'"%b\n\n' % self._end
        return before + (after + before).join(said) + after

    def end(self, usage: Usage, charged: Micro) -> bytes:
        return data_event(final_chunk([], self._stop, usage, self._model, self._id))

    def _begin(self) -> None:
        """Make what stays the same in every chunk."""
        names = _encode({"modelVersion": self._model, "responseId": self._id})
        self._tail = _TAIL + names[1:]
        self._ends = {Text: _TEXT_END + self._tail, Thinking: _THOUGHT_END + self._tail}
        self._end = b""

    def _write(self, event: Event) -> bytes:
        if type(event) is Delta:
            return self._grow(event.text)
        if type(event) is BlockStarted:
            return self._start(event)
        if type(event) is BlockStopped:
            return self._finish_block(event.opaque)
        if type(event) is Started:
            self._id, self._model = event.id, event.model or self._model
            self._begin()
        elif type(event) is Finished:
            self._stop = event.stop
        return b""

    def _start(self, event: BlockStarted) -> bytes:
        self._index, self._block, self._has_text = event.index, event.block, False
        self._arguments.clear()
        self._end = self._ends.get(type(event.block), b"")
        if isinstance(event.block, Media):
            part = media_part(event.block)
            return self._part(_encode(part)) if part is not None else b""
        if isinstance(event.block, Foreign) and event.block.origin == NAME:
            return self._part(compact(event.block.raw))
        return b""

    def _grow(self, text: str) -> bytes:
        if not self._end:
            self._arguments.append(text)
            return b""
        if not text:
            return b""
        self._has_text = True
        return data_event(_TEXT_HEAD + _encode(text) + self._end)

    def _finish_block(self, opaque: Opaque | None) -> bytes:
        block, self._index = self._block, None
        if isinstance(block, ToolCall):
            whole = msgspec.structs.replace(block, arguments="".join(self._arguments))
            return self._part(_encode(call_part(whole, self._call_signature(opaque or block.opaque))))
        if isinstance(block, Thinking) and (token := opaque or block.opaque) is not None:
            part: Part = {"text": "", "thoughtSignature": sign(token)}
            return self._part(_encode({**part, "thought": True} if self._has_text else part))
        return b""

    def _call_signature(self, opaque: Opaque | None) -> str | None:
        is_first, self._signs_calls = self._signs_calls, False
        if opaque is not None:
            return sign(opaque)
        return UNSIGNED if is_first else None

    def _part(self, part: bytes) -> bytes:
        return data_event(_HEAD + part + self._tail)
