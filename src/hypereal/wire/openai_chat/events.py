"""Streams of Chat Completions, to and from the canonical events.

Chat has no blocks: text and reasoning are fields of a delta, and only calls are numbered. A block begins with the first
delta of its kind and ends when another kind begins. A call stays open until its arguments are whole and something else
begins, because some upstreams interleave parallel calls.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.kit.money import Micro
from hypereal.kit.sse import data_event, event_data
from hypereal.wire.base import Envelope, Usage
from hypereal.wire.conversation import Media, Opaque, Text, Thinking, ToolCall
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Failed, Finished, Serial, Started, as_deltas
from hypereal.wire.fields import UNREADABLE
from hypereal.wire.openai_chat.answer import (
    ERROR,
    FINISHES,
    answer_id,
    arguments_text,
    as_list,
    content_pieces,
    made_up_id,
    read_extra,
    read_usage,
    stop_of,
    write_call,
    write_extra,
)
from hypereal.wire.openai_chat.media import read_media, write_image
from hypereal.wire.openai_chat.reasoning import (
    DETAILS,
    DIALECT,
    FIELDS,
    as_text,
    detail_opaque,
    detail_text,
    detail_token,
    read_details,
    write_detail,
)
from hypereal.wire.openai_chat.stream import DONE, error_text
from hypereal.wire.openai_chat.usage import render_usage
from hypereal.wire.repeats import Repeats

_NOTHING = msgspec.Raw()
_encode = msgspec.json.encode


class _Function(msgspec.Struct, gc=False):
    name: Any = None
    arguments: Any = None
    input: Any = None


class _CallDelta(msgspec.Struct, gc=False):
    index: Any = None
    id: Any = None
    function: _Function | None = None
    custom: _Function | None = None
    extra_content: Any = None


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    refusal: Any = None
    tool_calls: list[_CallDelta] | None = None
    function_call: _Function | None = None
    images: Any = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: Any = None
    stop_reason: Any = None
    index: Any = 0
    error: Any = None


class _Chunk(msgspec.Struct, gc=False):
    id: Any = None
    model: Any = None
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = _NOTHING
    error: Any = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


def _place(detail: dict[str, Any]) -> tuple[Any, Any]:
    """What the pieces of one block's details have in common."""
    return detail.get("type"), detail.get("index")


class _Thought:
    """Reasoning under way: which field it came in, and what its details have said."""

    __slots__ = ("detail", "field", "index", "place")

    def __init__(self, index: int) -> None:
        self.index = index
        self.field: str | None = None
        self.detail: dict[str, Any] = {}
        self.place: Any = None

    @property
    def opaque(self) -> Opaque | None:
        if self.detail:
            return detail_opaque(self.detail)
        return Opaque(DIALECT, self.field) if self.field is not None else None


class _Call:
    """A call under way. It is told of once it has a name."""

    __slots__ = ("arguments", "block", "id", "is_custom", "is_open", "key", "opaque")

    def __init__(self, key: Any, call_id: str) -> None:
        self.key = key
        self.id = call_id
        self.block: int | None = None
        self.arguments: list[str] = []
        self.is_custom = False
        self.is_open = True
        self.opaque: Opaque | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing can follow: the arguments are an object with its closing brace. Free text never is."""
        if self.is_custom:
            return False
        text = "".join(self.arguments)
        try:
            return isinstance(msgspec.json.decode(text), dict)
        except UNREADABLE:
            return False


class ChatReader:
    """Reads the stream of an upstream that speaks Chat Completions, or nearly."""

    def __init__(self) -> None:
        self._id = ""
        self._model = ""
        self._has_started = False
        self._has_ended = False
        self._blocks = 0
        self._text: int | None = None
        self._thought: _Thought | None = None
        self._calls: list[_Call] = []
        self._finish: str | None = None
        self._sequence: Any = None
        self._has_refused = False
        self._usage: Usage | None = None
        self.repeats = Repeats()

    def read(self, event: bytes) -> list[Event]:
        told = self.repeats.read(event)
        if told is None:
            told = self._decode(event)
            if len(told) == 1 and isinstance(delta := told[0], Delta) and delta.index == self._text:
                self.repeats.learn(event, delta)
        return told

    def _decode(self, event: bytes) -> list[Event]:
        data = event_data(event)
        if data is None or self._has_ended:
            return []
        if data.strip() == DONE:
            return self._end()
        try:
            chunk = _decode_chunk(data)
        except UNREADABLE as exc:
            return self._fail(f"malformed event: {exc}")
        if chunk.error is not None:
            return self._fail(error_text(chunk.error))
        if chunk.usage is not _NOTHING:
            self._usage = read_usage(chunk.usage) or self._usage
        told: list[Event] = []
        if chunk.choices:
            if not self._has_started:
                self._start(chunk, told)
            self._read_choice(chunk.choices[0], told)
        return told

    def end(self) -> list[Event]:
        """An upstream that forgot `[DONE]` has still finished when it said why."""
        return [] if self._has_ended or self._finish is None else self._end()

    def _start(self, chunk: _Chunk, told: list[Event]) -> None:
        self._has_started = True
        self._id, self._model = as_text(chunk.id), as_text(chunk.model)
        told.append(Started(self._id, self._model))

    def _fail(self, message: str) -> list[Event]:
        self._has_ended = True
        return [Failed(message)]

    def _end(self) -> list[Event]:
        self._has_ended = True
        told: list[Event] = [] if self._has_started else [Started(self._id, self._model)]
        self._close_text(told)
        self._close_thought(told)
        for call in self._calls:
            self._close_call(call, told)
        stop, sequence = stop_of(
            self._finish,
            self._sequence,
            has_calls=any(call.block is not None for call in self._calls),
            has_refused=self._has_refused,
        )
        told.append(Finished(stop, sequence, self._usage))
        return told

    def _read_choice(self, choice: _Choice, told: list[Event]) -> None:
        if choice.index not in (0, None):
            return  # a second answer, which nobody asked for
        delta = choice.delta
        if delta is not None:
            if delta.reasoning_content or delta.reasoning or delta.reasoning_details:
                self._think(delta, told)
            if delta.content:
                self._read_content(delta.content, told)
            if delta.refusal and isinstance(delta.refusal, str):
                self._has_refused = True
                self._say(delta.refusal, told)
            if delta.images:
                self._show(delta.images, told)
            if delta.tool_calls or delta.function_call:
                self._read_calls(delta, told)
        if choice.finish_reason == ERROR:
            told += self._fail(error_text(choice.error or "the upstream gave up"))
        elif choice.finish_reason:
            self._finish = as_text(choice.finish_reason)
            self._sequence = choice.stop_reason

    def _open_block(self, block: Text | Thinking | ToolCall | Media, told: list[Event]) -> int:
        index = self._blocks
        self._blocks += 1
        told.append(BlockStarted(index, block))
        return index

    def _read_content(self, content: Any, told: list[Event]) -> None:
        if type(content) is str:
            self._say(content, told)
            return
        for piece in content_pieces(content):
            if isinstance(piece, Text):
                self._say(piece.text, told)
            else:
                self._ponder(piece.text, None, told)

    def _say(self, text: str, told: list[Event]) -> None:
        if self._text is None:
            self._close_thought(told)
            self._close_whole_calls(told)
            self._text = self._open_block(Text(""), told)
        told.append(Delta(self._text, text))

    def _close_text(self, told: list[Event]) -> None:
        if self._text is not None:
            told.append(BlockStopped(self._text))
            self._text = None
            self.repeats.forget()

    def _show(self, images: Any, told: list[Event]) -> None:
        for image in as_list(images):
            media = read_media(image)
            if media is not None:
                self._close_text(told)
                self._close_thought(told)
                told.append(BlockStopped(self._open_block(media, told)))

    def _open_thought(self, told: list[Event]) -> _Thought:
        if self._thought is None:
            self._close_text(told)
            self._close_whole_calls(told)
            self._thought = _Thought(self._open_block(Thinking(), told))
        return self._thought

    def _ponder(self, text: str, field: str | None, told: list[Event]) -> None:
        thought = self._open_thought(told)
        thought.field = field
        told.append(Delta(thought.index, text))

    def _close_thought(self, told: list[Event]) -> None:
        if self._thought is not None:
            told.append(BlockStopped(self._thought.index, self._thought.opaque))
            self._thought = None

    def _think(self, delta: _Delta, told: list[Event]) -> None:
        """Text comes in a field, in details, or in both: then the details only tell where a block ends, and how."""
        details = read_details(delta.reasoning_details) if delta.reasoning_details else []
        first = next((detail for detail in details if detail_text(detail)), None)
        if first is not None:
            self._turn_to(first, told)
        name = FIELDS[0] if delta.reasoning_content else FIELDS[1]
        text = as_text(delta.reasoning_content or delta.reasoning)
        if text:
            self._ponder(text, name, told)
        for detail in details:
            self._read_detail(detail, told)

    def _turn_to(self, detail: dict[str, Any], told: list[Event]) -> None:
        """Close the reasoning that came before, if `detail` belongs to another block."""
        if self._thought is not None and self._thought.place not in (None, _place(detail)):
            self._close_thought(told)

    def _read_detail(self, detail: dict[str, Any], told: list[Event]) -> None:
        text = detail_text(detail)
        if text:
            self._turn_to(detail, told)
        elif detail.get("data"):
            self._close_thought(told)
        thought = self._open_thought(told)
        thought.place = _place(detail)
        if text and thought.field is None:
            told.append(Delta(thought.index, text))
        thought.detail.update((name, value) for name, value in detail.items() if value not in (None, ""))
        if detail_token(detail):
            self._close_thought(told)

    def _read_calls(self, delta: _Delta, told: list[Event]) -> None:
        self._close_text(told)
        self._close_thought(told)
        for part in delta.tool_calls or ():
            self._read_call(part, told)
        if delta.function_call is not None:
            self._read_call(_CallDelta(index="function_call", function=delta.function_call), told)

    def _read_call(self, part: _CallDelta, told: list[Event]) -> None:
        function = part.custom or part.function
        name = as_text(function.name) if function is not None else ""
        call = self._find(part, name)
        if call is None:
            call = _Call(part.index, as_text(part.id) or made_up_id(self._id, len(self._calls)))
            self._calls.append(call)
        if part.extra_content is not None:
            call.opaque = read_extra(part.extra_content, DIALECT) or call.opaque
        if not call.is_open:
            return  # blanks after whole arguments
        if call.block is None and name:
            self._close_whole_calls(told)
            call.is_custom = part.custom is not None
            call.block = self._open_block(ToolCall(id=call.id, name=name, arguments="", is_custom=call.is_custom), told)
            if call.arguments:
                told.append(Delta(call.block, "".join(call.arguments)))
        text = "" if function is None else arguments_text(function.input if call.is_custom else function.arguments)
        if text:
            call.arguments.append(text)
            if call.block is not None:
                told.append(Delta(call.block, text))

    def _find(self, part: _CallDelta, name: str) -> _Call | None:
        """The call that a delta goes on with; None when it begins one.

        By number; where there is none, or it is the same for all, by id; where there is neither, a name begins a call.
        """
        for call in reversed(self._calls):
            if part.index is None:
                if part.id == call.id or not (part.id or name):
                    return call
            elif part.index == call.key:
                return None if name and part.id and part.id != call.id else call
        return None

    def _close_whole_calls(self, told: list[Event]) -> None:
        for call in self._calls:
            if call.is_open and call.block is not None and call.is_whole:
                self._close_call(call, told)

    @staticmethod
    def _close_call(call: _Call, told: list[Event]) -> None:
        if call.is_open and call.block is not None:
            call.is_open = False
            told.append(BlockStopped(call.block, call.opaque))


class ChatWriter:
    """Writes the stream of a client that speaks Chat Completions.

    Each kind of delta is a template around its text. Calls may overlap, as they are numbered; the rest is put in order.
    """

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._head = b""
        self._around: dict[int, tuple[bytes, bytes]] = {}  # the templates of the blocks whose turn it is
        self._thoughts: dict[int, list[str]] = {}
        self._details = 0
        self._calls: dict[int, int] = {}
        self._serial = Serial()
        self._finished: Finished | None = None

    def write(self, event: Event) -> bytes:
        if type(event) is Delta and event.index in self._around:
            return self._delta(event)
        if type(event) is Started:
            return self._start(event)
        if type(event) is BlockStarted and isinstance(event.block, ToolCall):
            return self._call(event.index, event.block)
        if type(event) is BlockStopped and event.index in self._calls:
            extra = write_extra(event.opaque)
            return self._chunk({"tool_calls": [{"index": self._calls[event.index], **extra}]}) if extra else b""
        if type(event) is Finished:
            self._finished = event
        return b"".join([self._written(told) for told in self._serial.arrange(event)])

    def write_texts(self, index: int, texts: list[bytes]) -> bytes:
        if index not in self._around or index in self._thoughts:
            return b"".join(map(self.write, as_deltas(index, texts)))
        before, after = self._around[index]
        return b'%b"%b"%b' % (before, (b'"%b%b"' % (after, before)).join(filter(None, texts)), after)

    def end(self, usage: Usage, charged: Micro) -> bytes:
        stop = self._finished.stop if self._finished is not None else "end"
        return (
            self._chunk({}, FINISHES[stop])
            + self._head
            + b'[],"usage":%b}\n\n' % _encode(render_usage(usage))
            + data_event(DONE)
        )

    def _start(self, event: Started) -> bytes:
        envelope = self._envelope
        head = {
            "id": answer_id(event.id, envelope),
            "object": "chat.completion.chunk",
            "created": envelope.at,
            "model": event.model or envelope.model or "",
        }
        self._head = b'data: %b,"choices":' % _encode(head)[:-1]
        return self._chunk({"role": "assistant", "content": ""})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choices = _encode([{"index": 0, "delta": delta, "finish_reason": finish}])
        return b"%b%b}\n\n" % (self._head, choices)

    def _template(self, delta: dict[str, Any]) -> tuple[bytes, bytes]:
        """What stands before and after the text of a delta; `delta` holds null where the text goes."""
        before, _, after = _encode(delta).partition(b"null")
        return self._head + b'[{"index":0,"delta":' + before, after + b',"finish_reason":null}]}\n\n'

    def _written(self, event: Event) -> bytes:
        if type(event) is Delta:
            return self._delta(event)
        if type(event) is BlockStarted:
            return self._begin(event)
        if type(event) is BlockStopped and event.index in self._thoughts:
            thinking = Thinking(text="".join(self._thoughts.pop(event.index)), opaque=event.opaque)
            detail = write_detail(thinking, self._details)
            self._details += 1
            return self._chunk({DETAILS: [detail]}) if detail is not None else b""
        return b""

    def _delta(self, event: Delta) -> bytes:
        before, after = self._around[event.index]
        if self._thoughts and event.index in self._thoughts:
            self._thoughts[event.index].append(event.text)
        return before + _encode(event.text) + after

    def _begin(self, event: BlockStarted) -> bytes:
        block = event.block
        if isinstance(block, Text):
            self._around[event.index] = self._template({"content": None})
        elif isinstance(block, Thinking):
            self._thoughts[event.index] = []
            self._around[event.index] = self._template({FIELDS[0]: None})
        elif isinstance(block, Media) and (image := write_image(block)) is not None:
            return self._chunk({"images": [image]})
        return b""

    def _call(self, index: int, call: ToolCall) -> bytes:
        number = self._calls[index] = len(self._calls)
        inner = {"custom": {"input": None}} if call.is_custom else {"function": {"arguments": None}}
        self._around[index] = self._template({"tool_calls": [{"index": number, **inner}]})
        return self._chunk({"tool_calls": [{"index": number, **write_call(call)}]})
