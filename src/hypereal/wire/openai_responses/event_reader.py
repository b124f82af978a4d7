"""The typed events of an upstream's Responses stream as canonical events.

Items may overlap. What an upstream leaves out is made good from what comes later: an item that was never added from
the one that is done, deltas that never came from the whole text, and a stream of nothing but its last event from that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from hypereal.kit.sse import event_data
from hypereal.wire.base import Garbage
from hypereal.wire.conversation import Block, Foreign, Media, Text, Thinking, ToolCall
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Failed, Finished, Started
from hypereal.wire.fields import NULL, UNREADABLE
from hypereal.wire.openai_responses.answer import ResponseFields, decode_response, refuses, stop_of
from hypereal.wire.openai_responses.items import BETWEEN_PARTS, CALLS, kind_of, said_blocks
from hypereal.wire.openai_responses.native_stream import error_text
from hypereal.wire.openai_responses.usage import read_usage

_DATA = b"data: "
_TEXT_DELTA = b"event: response.output_text.delta\ndata: "
_CALL_DELTA = b"event: response.function_call_arguments.delta\ndata: "


class _Event(msgspec.Struct, gc=False):
    """Every event has a type; which other fields it has depends on that."""

    type: str = ""
    delta: Any = None
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    item: msgspec.Raw = NULL
    response: msgspec.Raw = NULL
    error: Any = None
    message: Any = None
    code: Any = None


class _More(msgspec.Struct, gc=False):
    """What matters of the events that most of a stream consists of."""

    delta: str
    output_index: int = 0
    content_index: int = 0


class _Open(msgspec.Struct, gc=False):
    """A block that has begun: whether any of its text came, and the part of a summary that it is in."""

    index: int
    has_text: bool = False
    part: tuple[str, int] | None = None


_decode = msgspec.json.Decoder(_Event).decode
_decode_more = msgspec.json.Decoder(_More).decode


def _data(event: bytes) -> bytes | None:
    """The data of an event, found at once where it is one line, as it is in practice."""
    start = event.find(_DATA)
    if start >= 0 and event.find(b"\n", start) == len(event) - 2:
        return event[start + len(_DATA) : -2]
    return event_data(event)


def _response(event: _Event) -> ResponseFields:
    return ResponseFields() if event.response == NULL else decode_response(event.response)


def _empty(block: Text | Thinking | ToolCall) -> tuple[Text | Thinking | ToolCall, str]:
    """A block as it begins, and the text that it grows by."""
    if isinstance(block, ToolCall):
        return msgspec.structs.replace(block, arguments="", opaque=None), block.arguments
    return Text("") if isinstance(block, Text) else Thinking(), block.text


class ResponsesReader:
    """The stream of one answer from an upstream."""

    repeats = None

    def __init__(self) -> None:
        self._next = 0
        self._open: dict[tuple[int, int], _Open] = {}
        self._has_started = False
        self._has_ended = False
        self._calls = False
        self._refuses = False

    def read(self, event: bytes) -> list[Event]:
        """Raises `Garbage` for an event that is not of this format."""
        if event.startswith(_TEXT_DELTA):
            more = self._more(event[len(_TEXT_DELTA) : -2])
        elif event.startswith(_CALL_DELTA):
            more = self._more(event[len(_CALL_DELTA) : -2])
        else:
            more = None
        return [more] if more is not None else self._read(event)

    def _more(self, data: bytes) -> Delta | None:
        """The hot way: more of a text or a call that has begun. None for what the long way has to look at."""
        try:
            more = _decode_more(data)
        except UNREADABLE:
            return None
        opened = self._open.get((more.output_index, more.content_index))
        if opened is None or not opened.has_text:
            return None
        return Delta(opened.index, more.delta)

    def _read(self, event: bytes) -> list[Event]:
        data = _data(event)
        if data is None or self._has_ended:
            return []
        try:
            read = _decode(data)
            reader = self._readers.get(read.type)
            return list(reader(self, read)) if reader is not None else []
        except UNREADABLE as exc:
            if data.strip() in (b"", b"[DONE]"):
                return []
            raise Garbage(str(exc)) from exc

    def end(self) -> list[Event]:
        return []

    def _start(self, event: _Event) -> Iterator[Event]:
        if not self._has_started:
            self._has_started = True
            response = _response(event)
            yield Started(response.id, response.model)

    def _begin(self, key: tuple[int, int], block: Text | Thinking | ToolCall) -> Iterator[Event]:
        if not self._has_started:
            self._has_started = True
            yield Started("", "")
        self._open[key] = _Open(self._next)
        self._next += 1
        yield BlockStarted(self._open[key].index, block)

    def _add_item(self, event: _Event) -> Iterator[Event]:
        """Reasoning and calls begin here; a message has not said anything yet, and the rest comes whole."""
        raw = event.item
        kind = "" if raw == NULL else kind_of(raw)
        if kind == "reasoning":
            yield from self._begin((event.output_index, 0), Thinking())
        elif kind in CALLS:
            for block in said_blocks(kind, raw):
                if isinstance(block, ToolCall):
                    yield from self._begin((event.output_index, 0), _empty(block)[0])

    def _grow_text(self, event: _Event) -> Iterator[Event]:
        key = (event.output_index, event.content_index)
        self._refuses = self._refuses or event.type == "response.refusal.delta"
        if key not in self._open:
            yield from self._begin(key, Text(""))
        yield from self._grow(self._open[key], event.delta)

    def _grow_thinking(self, event: _Event) -> Iterator[Event]:
        key = (event.output_index, 0)
        if key not in self._open:
            yield from self._begin(key, Thinking())
        opened = self._open[key]
        part = (event.type, event.summary_index + event.content_index)
        if opened.part not in (None, part) and opened.has_text:
            yield Delta(opened.index, BETWEEN_PARTS)
        opened.part = part
        yield from self._grow(opened, event.delta)

    def _grow_call(self, event: _Event) -> Iterator[Event]:
        opened = self._open.get((event.output_index, 0))
        if opened is not None:  # of a call that was not added the name is unknown: it is told when it is done
            yield from self._grow(opened, event.delta)

    @staticmethod
    def _grow(opened: _Open, text: Any) -> Iterator[Event]:
        if isinstance(text, str) and text:
            opened.has_text = True
            yield Delta(opened.index, text)

    def _finish_item(self, event: _Event) -> Iterator[Event]:
        if event.item != NULL:
            yield from self._tell_item(event.output_index, event.item)

    def _tell_item(self, place: int, raw: msgspec.Raw) -> Iterator[Event]:
        """What an item says that its deltas have not said, and its end."""
        kind = kind_of(raw)
        self._calls = self._calls or kind in CALLS
        self._refuses = self._refuses or refuses(kind, raw)
        for part, block in enumerate(said_blocks(kind, raw)):
            yield from self._tell_block((place, part), block)
        for key in [key for key in self._open if key[0] == place]:
            yield BlockStopped(self._open.pop(key).index)

    def _tell_block(self, key: tuple[int, int], block: Block) -> Iterator[Event]:
        if isinstance(block, Media | Foreign):
            yield BlockStarted(self._next, block)
            yield BlockStopped(self._next)
            self._next += 1
        elif isinstance(block, Text | Thinking | ToolCall):
            empty, text = _empty(block)
            if key not in self._open:
                yield from self._begin(key, empty)
            opened = self._open.pop(key)
            if not opened.has_text:
                yield from self._grow(opened, text)
            yield BlockStopped(opened.index, None if isinstance(block, Text) else block.opaque)

    def _finish(self, event: _Event) -> Iterator[Event]:
        response = _response(event)
        yield from self._start(event)
        if not self._next:
            for place, raw in enumerate(response.output or ()):
                yield from self._tell_item(place, raw)
        for opened in self._open.values():
            yield BlockStopped(opened.index)
        self._open.clear()
        self._has_ended = True
        stop = stop_of(response, calls=self._calls, refuses=self._refuses)
        yield Finished(stop, usage=read_usage(response.usage))

    def _fail(self, event: _Event) -> Iterator[Event]:
        self._open.clear()
        self._has_ended = True
        error = event.error or _response(event).error or {"message": event.message, "code": event.code}
        yield Failed(error_text(error))

    _readers: ClassVar[Mapping[str, Callable[[ResponsesReader, _Event], Iterator[Event]]]] = {
        "response.created": _start,
        "response.in_progress": _start,
        "response.queued": _start,
        "response.output_item.added": _add_item,
        "response.output_text.delta": _grow_text,
        "response.refusal.delta": _grow_text,
        "response.reasoning_summary_text.delta": _grow_thinking,
        "response.reasoning_text.delta": _grow_thinking,
        # As the Open Responses specification spells the two.
        "response.reasoning_summary.delta": _grow_thinking,
        "response.reasoning.delta": _grow_thinking,
        "response.function_call_arguments.delta": _grow_call,
        "response.custom_tool_call_input.delta": _grow_call,
        "response.output_item.done": _finish_item,
        "response.completed": _finish,
        "response.incomplete": _finish,
        "response.failed": _fail,
        "error": _fail,
    }
