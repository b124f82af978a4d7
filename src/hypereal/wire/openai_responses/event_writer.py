"""Canonical events as the typed events of a Responses stream, numbered from 0.

One block is one item, told from its beginning to its end before the next one begins: clients such as Codex take deltas
to be of the item that was added last. What does not change between two deltas is encoded once, when their item begins.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, count
from typing import Any

import msgspec

from hypereal.kit.money import Micro
from hypereal.wire.base import Envelope, Usage
from hypereal.wire.conversation import Opaque, Text, Thinking, ToolCall
from hypereal.wire.events import (
    BlockStarted,
    BlockStopped,
    Delta,
    Event,
    Failed,
    Finished,
    Serial,
    Started,
    as_deltas,
)
from hypereal.wire.openai_responses.answer import (
    ItemNames,
    call_item,
    call_prefix,
    ending,
    message_item,
    reasoning_item,
    signature_items,
    summary_part,
    text_part,
    whole_items,
)
from hypereal.wire.openai_responses.failure import failure_events, typed_event
from hypereal.wire.openai_responses.response import echo, own_id, response_object
from hypereal.wire.openai_responses.tools import flat_names

_encode = msgspec.json.encode
_Told = tuple[str, dict[str, Any]]
"""A type of event and its fields."""


class _Item:
    """The item that is being told."""

    def __init__(self, index: int, place: int, name: str, block: Text | Thinking | ToolCall) -> None:
        self.index = index
        self.name = name
        self.block = block
        self.where: dict[str, Any] = {"item_id": name, "output_index": place}
        self.texts: list[str] = []
        self.delta_start = b""
        self.delta_end = b""
        self.has_part = False


def _delta_kind(block: Text | Thinking | ToolCall) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The type of a block's deltas, and their fields before and after the text."""
    if isinstance(block, Text):
        return "response.output_text.delta", {"content_index": 0}, {"logprobs": []}
    if isinstance(block, Thinking):
        return "response.reasoning_summary_text.delta", {"summary_index": 0}, {}
    kind = "custom_tool_call_input" if block.is_custom else "function_call_arguments"
    return f"response.{kind}.delta", {}, {}


class ResponsesWriter:
    """The stream of one answer to a client."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._serial = Serial()
        self._sequence = 0
        self._item: _Item | None = None
        self._output: list[msgspec.Raw] = []
        self._finished = Finished("end")
        self._echo = echo(envelope)
        self._flat = flat_names(envelope)
        self._begin(Started("", ""))
        self._tellers: dict[type, Callable[[Any], bytes]] = {
            Started: self._start,
            BlockStarted: self._open,
            Delta: self._grow,
            BlockStopped: self._close,
            Finished: self._finish,
            Failed: self._fail,
        }

    def write(self, event: Event) -> bytes:
        item = self._item
        if item is not None and type(event) is Delta and event.index == item.index:
            if item.has_part:
                sequence = self._sequence
                self._sequence = sequence + 1
                item.texts.append(event.text)
                return item.delta_start + _encode(event.text) + item.delta_end % sequence
            return self._grow(event)
        return b"".join([self._tellers[type(each)](each) for each in self._serial.arrange(event)])

    def write_texts(self, index: int, texts: list[bytes]) -> bytes:
        item = self._item
        if item is None or index != item.index or not item.has_part:
            return b"".join(map(self.write, as_deltas(index, texts)))
        said = [text for text in texts if text]
        item.texts.append(b"".join(said).decode())
        first = self._sequence
        self._sequence += len(said)
        template = b'%b"%%b"%b' % (item.delta_start.replace(b"%", b"%%"), item.delta_end)
        return template * len(said) % tuple(chain.from_iterable(zip(said, count(first))))

    def end(self, usage: Usage, charged: Micro) -> bytes:
        stop = ending(self._finished.stop)
        return self._tell(
            (
                f"response.{stop['status']}",
                {"response": self._response(output=self._output, usage=usage, **stop)},
            )
        )

    def _begin(self, started: Started) -> None:
        self._id = own_id(started.id, self._envelope.request_id)
        self._model = started.model or self._envelope.model or ""
        self._names = ItemNames(self._id)

    def _response(self, **fields: Any) -> msgspec.Raw:
        return response_object(self._echo, id=self._id, model=self._model, created_at=self._envelope.at, **fields)

    def _tell(self, *events: _Told) -> bytes:
        told = []
        for kind, fields in events:
            told.append(typed_event(kind, _encode({"type": kind, **fields, "sequence_number": self._sequence})))
            self._sequence += 1
        return b"".join(told)

    def _start(self, event: Started) -> bytes:
        self._begin(event)
        response = self._response()
        return self._tell(
            ("response.created", {"response": response}), ("response.in_progress", {"response": response})
        )

    def _open(self, event: BlockStarted) -> bytes:
        block, place = event.block, len(self._output)
        if not isinstance(block, Text | Thinking | ToolCall):
            return b"".join(map(self._tell_whole, whole_items(block, self._names, place)))
        prefix = "msg" if isinstance(block, Text) else "rs" if isinstance(block, Thinking) else call_prefix(block)
        item = self._item = _Item(event.index, place, self._names.name(prefix, place), block)
        kind, before, after = _delta_kind(block)
        start = _encode({"type": kind, **item.where, **before})[:-1] + b',"delta":'
        rest = b"".join(b',"%b":%b' % (name.encode(), _encode(value)) for name, value in after.items())
        item.delta_start = b"event: %b\ndata: %b" % (kind.encode(), start)
        item.delta_end = rest + b',"sequence_number":%d}\n\n'
        item.has_part = isinstance(block, ToolCall)
        told = self._tell(("response.output_item.added", {"output_index": place, "item": self._added(item)}))
        if isinstance(block, Text):
            told += self._open_part(item)
        text = block.arguments if isinstance(block, ToolCall) else block.text
        return told + (self._grow(Delta(event.index, text)) if text else b"")

    def _added(self, item: _Item) -> dict[str, Any]:
        if isinstance(item.block, Text):
            return message_item(item.name, "", "in_progress")
        if isinstance(item.block, Thinking):
            return reasoning_item(item.name, "", None)
        empty = msgspec.structs.replace(item.block, arguments="")
        return call_item(item.name, empty, self._flat, "in_progress")

    def _open_part(self, item: _Item) -> bytes:
        item.has_part = True
        if isinstance(item.block, Text):
            part = {**item.where, "content_index": 0, "part": text_part("")}
            return self._tell(("response.content_part.added", part))
        part = {**item.where, "summary_index": 0, "part": summary_part("")}
        return self._tell(("response.reasoning_summary_part.added", part))

    def _grow(self, event: Delta) -> bytes:
        item = self._item
        if item is None or not event.text:
            return b""
        told = b"" if item.has_part else self._open_part(item)
        item.texts.append(event.text)
        told += item.delta_start + _encode(event.text) + item.delta_end % self._sequence
        self._sequence += 1
        return told

    def _close(self, event: BlockStopped) -> bytes:
        item, self._item = self._item, None
        if item is None:
            return b""
        text = "".join(item.texts)
        if isinstance(item.block, Text):
            return self._close_text(item, text)
        if isinstance(item.block, Thinking):
            return self._close_thinking(item, text, event.opaque or item.block.opaque)
        call = msgspec.structs.replace(item.block, arguments=text, opaque=event.opaque or item.block.opaque)
        field = "input" if call.is_custom else "arguments"
        kind = _delta_kind(call)[0].replace(".delta", ".done")
        told = self._tell((kind, {**item.where, field: text}))
        told += self._done(call_item(item.name, call, self._flat))
        return told + b"".join(map(self._tell_whole, signature_items(self._names, len(self._output), call)))

    def _close_text(self, item: _Item, text: str) -> bytes:
        where = {**item.where, "content_index": 0}
        told = self._tell(
            ("response.output_text.done", {**where, "text": text, "logprobs": []}),
            ("response.content_part.done", {**where, "part": text_part(text)}),
        )
        return told + self._done(message_item(item.name, text))

    def _close_thinking(self, item: _Item, text: str, opaque: Opaque | None) -> bytes:
        told = b""
        if item.has_part:
            where = {**item.where, "summary_index": 0}
            told = self._tell(
                ("response.reasoning_summary_text.done", {**where, "text": text}),
                ("response.reasoning_summary_part.done", {**where, "part": summary_part(text)}),
            )
        return told + self._done(reasoning_item(item.name, text, opaque))

    def _done(self, whole: dict[str, Any]) -> bytes:
        place = len(self._output)
        self._output.append(msgspec.Raw(_encode(whole)))
        return self._tell(("response.output_item.done", {"output_index": place, "item": whole}))

    def _tell_whole(self, item: Any) -> bytes:
        """An item that comes in one piece."""
        place = len(self._output)
        self._output.append(msgspec.Raw(_encode(item)))
        fields = {"output_index": place, "item": item}
        return self._tell(("response.output_item.added", fields), ("response.output_item.done", fields))

    def _finish(self, event: Finished) -> bytes:
        self._finished = event
        return b""

    def _fail(self, event: Failed) -> bytes:
        return failure_events(
            self._envelope,
            event.message,
            id=self._id,
            model=self._model,
            sequence=self._sequence,
            output=self._output,
        )
