"""Canonical events as the typed events of a Responses stream, numbered from 0.

One block is one item, told from its beginning to its end before the next one begins: clients such as Codex take deltas
to be of the item that was added last. What does not change between two deltas is encoded once, when their item begins.
"""

from __future__ import annotations

from collections.abc import Iterable
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

# Holes in the templates of events: pieces of JSON but for the two numbers.
_ID, _TEXT, _RESPONSE = (msgspec.Raw(hole) for hole in (b"%(id)b", b"%(text)b", b"%(response)b"))
_PLACE, _NUMBER = msgspec.Raw(b"%(place)d"), msgspec.Raw(b"%(number)d")
_WHERE = {"item_id": _ID, "output_index": _PLACE}
_END = b"}\n\n"
_NUMBERS = tuple(b"%d" % number for number in range(1_000))


def _event(kind: str, fields: dict[str, Any], number: Any) -> bytes:
    return typed_event(kind, _encode({"type": kind, **fields, "sequence_number": number}))


def _templates(*events: _Told) -> tuple[bytes, ...]:
    """Events to be told with `ResponsesWriter._fill`."""
    return tuple(_event(kind, fields, _NUMBER) for kind, fields in events)


_BEGINNING = _templates(
    ("response.created", {"response": _RESPONSE}),
    ("response.in_progress", {"response": _RESPONSE}),
)
_ENDINGS = {
    status: _templates((f"response.{status}", {"response": _RESPONSE})) for status in ("completed", "incomplete")
}
_TEXT_OPENING = _templates(
    ("response.output_item.added", {"output_index": _PLACE, "item": message_item(_ID, "", "in_progress")}),
    ("response.content_part.added", {**_WHERE, "content_index": 0, "part": text_part("")}),
)
_TEXT_CLOSING = _templates(
    ("response.output_text.done", {**_WHERE, "content_index": 0, "text": _TEXT, "logprobs": []}),
    ("response.content_part.done", {**_WHERE, "content_index": 0, "part": text_part(_TEXT)}),
    ("response.output_item.done", {"output_index": _PLACE, "item": message_item(_ID, _TEXT)}),
)


_DELTA_FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "response.output_text.delta": ({"content_index": 0}, {"logprobs": []}),
    "response.reasoning_summary_text.delta": ({"summary_index": 0}, {}),
    "response.function_call_arguments.delta": ({}, {}),
    "response.custom_tool_call_input.delta": ({}, {}),
}
"""By type of delta, the fields before and after its text."""


def _delta_template(kind: str) -> tuple[bytes, bytes]:
    """What stands before the text of a delta, with holes, and between it and the number, with none."""
    before, after = _DELTA_FIELDS[kind]
    (template,) = _templates((kind, {**_WHERE, **before, "delta": _TEXT, **after}))
    start, rest = template.split(bytes(_TEXT))
    return start, rest.removesuffix(bytes(_NUMBER) + _END)


_DELTAS = {kind: _delta_template(kind) for kind in _DELTA_FIELDS}


def _delta_kind(block: Text | Thinking | ToolCall) -> str:
    """The type of a block's deltas."""
    if isinstance(block, Text):
        return "response.output_text.delta"
    if isinstance(block, Thinking):
        return "response.reasoning_summary_text.delta"
    return f"response.{'custom_tool_call_input' if block.is_custom else 'function_call_arguments'}.delta"


def _digits(first: int, count: int) -> Iterable[bytes]:
    """So many numbers from `first` on."""
    if first + count <= len(_NUMBERS):
        return _NUMBERS[first : first + count]
    return map(b"%d".__mod__, range(first, first + count))


class _Item:
    """The item that is being told. `holes` are what its templates need but for text and number."""

    def __init__(self, index: int, place: int, name: str, block: Text | Thinking | ToolCall) -> None:
        self.index = index
        self.name = name
        self.block = block
        self.where: dict[str, Any] = {"item_id": name, "output_index": place}
        self.holes: dict[bytes, Any] = {b"id": _encode(name), b"place": place}
        self.texts: list[str] = []
        start, self.delta_rest = _DELTAS[_delta_kind(block)]
        self.delta_start = start % self.holes
        self.has_part = isinstance(block, ToolCall)


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
        self._begin("", "")

    def write(self, event: Event) -> bytes:
        item = self._item
        if item is not None and type(event) is Delta and event.index == item.index:
            return self._grow(event)
        return b"".join(map(self._written, self._serial.arrange(event)))

    def write_texts(self, index: int, texts: list[bytes]) -> bytes:
        item = self._item
        if item is None or index != item.index or not item.has_part:
            return b"".join(map(self.write, as_deltas(index, texts)))
        said = [text for text in texts if text]
        item.texts.append(b"".join(said).decode())
        numbers = _digits(self._sequence, len(said))
        self._sequence += len(said)
        before, between = item.delta_start + b'"', b'"' + item.delta_rest
        return before + (_END + before).join(map(between.join, zip(said, numbers, strict=True))) + _END

    def _written(self, event: Event) -> bytes:
        if type(event) is Delta:
            return self._grow(event)
        if type(event) is BlockStarted:
            return self._open(event)
        if type(event) is BlockStopped:
            return self._close(event)
        if type(event) is Started:
            return self._start(event)
        if type(event) is Failed:
            return self._fail(event)
        if type(event) is Finished:
            self._finished = event
        return b""

    def end(self, usage: Usage, charged: Micro) -> bytes:
        stop = ending(self._finished.stop)
        response = self._response(output=self._output, usage=usage, **stop)
        return self._fill(_ENDINGS[stop["status"]], {b"response": response})

    def _begin(self, given_id: str, model: str) -> None:
        self._id = own_id(given_id, self._envelope.request_id)
        self._model = model or self._envelope.model or ""
        self._names = ItemNames(self._id)

    def _response(self, **fields: Any) -> bytes:
        return response_object(self._echo, id=self._id, model=self._model, created_at=self._envelope.at, **fields)

    def _tell(self, *events: _Told) -> bytes:
        told = []
        for kind, fields in events:
            told.append(_event(kind, fields, self._sequence))
            self._sequence += 1
        return b"".join(told)

    def _fill(self, templates: tuple[bytes, ...], holes: dict[bytes, Any]) -> bytes:
        """Tell events by their templates, with what belongs into all their holes but the number."""
        told = []
        for template in templates:
            holes[b"number"] = self._sequence
            told.append(template % holes)
            self._sequence += 1
        return b"".join(told)

    def _start(self, event: Started) -> bytes:
        self._begin(event.id, event.model)
        return self._fill(_BEGINNING, {b"response": self._response()})

    def _open(self, event: BlockStarted) -> bytes:
        block, place = event.block, len(self._output)
        if not isinstance(block, Text | Thinking | ToolCall):
            return b"".join(map(self._tell_whole, whole_items(block, self._names, place)))
        prefix = "msg" if isinstance(block, Text) else "rs" if isinstance(block, Thinking) else call_prefix(block)
        item = self._item = _Item(event.index, place, self._names.name(prefix, place), block)
        if type(block) is Text:
            item.has_part = True
            told = self._fill(_TEXT_OPENING, item.holes)
        else:
            told = self._tell(("response.output_item.added", {"output_index": place, "item": self._added(item)}))
        text = block.arguments if isinstance(block, ToolCall) else block.text
        return told + (self._grow(Delta(event.index, text)) if text else b"")

    def _added(self, item: _Item) -> dict[str, Any]:
        if not isinstance(item.block, ToolCall):
            return {"id": item.name, "type": "reasoning", "summary": []}
        empty = msgspec.structs.replace(item.block, arguments="")
        return call_item(item.name, empty, self._flat, "in_progress")

    def _open_summary(self, item: _Item) -> bytes:
        item.has_part = True
        part = {**item.where, "summary_index": 0, "part": summary_part("")}
        return self._tell(("response.reasoning_summary_part.added", part))

    def _grow(self, event: Delta) -> bytes:
        item = self._item
        if item is None or not event.text:
            return b""
        told = b"" if item.has_part else self._open_summary(item)
        item.texts.append(event.text)
        sequence, self._sequence = self._sequence, self._sequence + 1
        return b"%b%b%b%b%d}\n\n" % (told, item.delta_start, _encode(event.text), item.delta_rest, sequence)

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
        kind = _delta_kind(call).replace(".delta", ".done")
        told = self._tell((kind, {**item.where, field: text}))
        told += self._done(call_item(item.name, call, self._flat))
        return told + b"".join(map(self._tell_whole, signature_items(self._names, len(self._output), call)))

    def _close_text(self, item: _Item, text: str) -> bytes:
        written = _encode(text)
        self._output.append(msgspec.Raw(_encode(message_item(item.name, msgspec.Raw(written)))))
        return self._fill(_TEXT_CLOSING, {**item.holes, b"text": written})

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

    def _fail(self, event: Failed) -> bytes:
        return failure_events(
            self._envelope,
            event.message,
            id=self._id,
            model=self._model,
            sequence=self._sequence,
            output=self._output,
        )
