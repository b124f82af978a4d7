"""An upstream's stream read into canonical events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from hypereal.kit.sse import event_data
from hypereal.wire.anthropic.answer import read_block, read_stop
from hypereal.wire.anthropic.native_stream import error_text
from hypereal.wire.anthropic.thinking import read_redacted, read_thinking
from hypereal.wire.anthropic.usage import UsageFields, merge, read_usage_fields, to_usage
from hypereal.wire.base import Garbage
from hypereal.wire.conversation import Foreign, Opaque, Text, Thinking, ToolCall
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Failed, Finished, Started
from hypereal.wire.fields import NULL, UNREADABLE
from hypereal.wire.repeats import Repeats


class _Delta(msgspec.Struct, gc=False):
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    content: msgspec.Raw = NULL
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Message(msgspec.Struct, gc=False):
    id: str = ""
    model: str = ""
    usage: msgspec.Raw = NULL


class _Event(msgspec.Struct, gc=False):
    type: str
    index: int = 0
    delta: _Delta | None = None
    content_block: msgspec.Raw = NULL
    message: _Message | None = None
    usage: msgspec.Raw = NULL
    error: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode
_NO_DELTA = _Delta()
_DELTA_HEAD = b"event: content_block_delta\ndata: "
_DELTA_HEAD_BYTES = len(_DELTA_HEAD)


def _data_of(event: bytes) -> bytes | None:
    """The data of an event; that of a delta, which nearly all are, by the short way."""
    if event.startswith(_DELTA_HEAD) and event.find(b"\n", _DELTA_HEAD_BYTES) == len(event) - 2:
        return event[_DELTA_HEAD_BYTES:]
    return event_data(event)


class _ForeignBlock:
    """A block that only Anthropic knows, while its parts come in."""

    def __init__(self, block: Foreign) -> None:
        self._block = block
        self._input: list[str] = []
        self._content: msgspec.Raw | None = None

    def add(self, delta: _Delta) -> None:
        if delta.partial_json:
            self._input.append(delta.partial_json)
        if delta.content != NULL:
            self._content = delta.content

    def whole(self) -> Foreign:
        """The block as it would be in a whole answer: untouched unless parts of it came later."""
        later: dict[str, msgspec.Raw] = {}
        if self._input:
            later["input"] = msgspec.Raw("".join(self._input).encode())
        if self._content is not None:
            later["content"] = self._content
        if not later:
            return self._block
        return msgspec.structs.replace(self._block, raw=_encode({**_decode_fields(self._block.raw), **later}))


class MessagesEventReader:
    """Reads one stream."""

    def __init__(self) -> None:
        self._tokens: dict[int, Opaque | None] = {}
        self._foreign: dict[int, _ForeignBlock] = {}
        self._open: set[int] = set()
        self._inputs: dict[int, str] = {}
        self._started: UsageFields | None = None
        self._reported: UsageFields | None = None
        self._stop: str | None = None
        self._stop_sequence: str | None = None
        self._has_stop = False
        self._is_over = False
        self.repeats = Repeats()

    def read(self, event: bytes) -> list[Event]:
        told = self.repeats.read(event)
        if told is None:
            told = self._decode(event)
            if len(told) == 1 and isinstance(delta := told[0], Delta):
                self.repeats.learn(event, delta)
        return told

    def _decode(self, event: bytes) -> list[Event]:
        data = _data_of(event)
        if data is None or self._is_over:
            return []
        try:
            read = _decode_event(data)
            if read.type == "content_block_delta":
                return self._delta(read.index, read.delta or _NO_DELTA)
            reader = self._readers.get(read.type)
            return reader(self, read) if reader is not None else []
        except UNREADABLE as exc:
            raise Garbage(str(exc)) from exc

    def end(self) -> list[Event]:
        """`Finished` where only the terminal event is missing."""
        return self._finish(None) if self._has_stop and not self._is_over else []

    def _delta(self, index: int, delta: _Delta) -> list[Event]:
        if index not in self._open:
            if index in self._foreign:
                self._foreign[index].add(delta)
            return []
        if delta.signature:
            self._tokens[index] = read_thinking("", delta.signature).opaque
        text = delta.text or delta.partial_json or delta.thinking
        if not text:
            return []
        if self._inputs:
            self._inputs.pop(index, None)
        return [Delta(index, text)]

    def _start(self, read: _Event) -> list[Event]:
        message = read.message or _Message()
        self._started = read_usage_fields(message.usage)
        return [Started(message.id, message.model, to_usage(self._started))]

    def _start_block(self, read: _Event) -> list[Event]:
        index = read.index
        if index in self._open or index in self._foreign or read.content_block == NULL:
            raise Garbage("a block that is open already, or none")
        block = read_block(read.content_block)
        if isinstance(block, Foreign):
            self._foreign[index] = _ForeignBlock(block)
            return []
        self._open.add(index)
        if block.type == "tool_use":
            self._inputs[index] = block.arguments
            return [BlockStarted(index, ToolCall(id=block.id or "", name=block.name or "", arguments=""))]
        if block.type == "text":
            return [BlockStarted(index, Text("")), *([Delta(index, block.text)] if block.text else ())]
        if block.type == "redacted_thinking":
            self._tokens[index] = read_redacted(block.data or "").opaque
        elif block.signature:
            self._tokens[index] = read_thinking("", block.signature).opaque
        return [BlockStarted(index, Thinking()), *([Delta(index, block.thinking)] if block.thinking else ())]

    def _stop_block(self, read: _Event) -> list[Event]:
        index = read.index
        foreign = self._foreign.pop(index, None)
        if foreign is not None:
            return [BlockStarted(index, foreign.whole()), BlockStopped(index)]
        if index not in self._open:
            return []
        self._open.discard(index)
        self.repeats.forget()
        return self._close(index)

    def _close(self, index: int) -> list[Event]:
        """The end of a block; arguments that came with its start and no other way are told now."""
        stopped = BlockStopped(index, self._tokens.pop(index, None))
        return [Delta(index, self._inputs.pop(index)), stopped] if index in self._inputs else [stopped]

    def _note_end(self, read: _Event) -> list[Event]:
        delta = read.delta or _NO_DELTA
        self._reported = merge(self._reported, read_usage_fields(read.usage))
        if delta.stop_reason is not None:
            self._has_stop = True
            self._stop, self._stop_sequence = delta.stop_reason, delta.stop_sequence
        return []

    def _finish(self, read: _Event | None) -> list[Event]:
        self._is_over = True
        self.repeats.forget()
        usage = to_usage(merge(self._started, self._reported))
        closing = [event for index in sorted(self._open) for event in self._close(index)]
        return [*closing, Finished(read_stop(self._stop), self._stop_sequence, usage)]

    def _fail(self, read: _Event) -> list[Event]:
        self._is_over = True
        self.repeats.forget()
        return [Failed(error_text(read.error))]

    _readers: ClassVar[Mapping[str, Callable[[MessagesEventReader, _Event], list[Event]]]] = {
        "message_start": _start,
        "content_block_start": _start_block,
        "content_block_stop": _stop_block,
        "message_delta": _note_end,
        "message_stop": _finish,
        "error": _fail,
    }
