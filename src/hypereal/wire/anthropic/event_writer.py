"""Canonical events written as a client's stream."""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.kit.money import Micro
from hypereal.wire.anthropic.answer import call_block, message_id, render_stop, text_block
from hypereal.wire.anthropic.messages import legal_id
from hypereal.wire.anthropic.native_stream import MESSAGE_STOP
from hypereal.wire.anthropic.thinking import ORIGIN, is_redacted, render_call_token, render_signature, render_thinking
from hypereal.wire.anthropic.usage import render_usage
from hypereal.wire.base import Envelope, Usage
from hypereal.wire.conversation import Foreign, Opaque, Text, Thinking, ToolCall
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Finished, Serial, Started, as_deltas
from hypereal.wire.fields import likely_input

_encode = msgspec.json.encode
_DELTA_ENDS = b"}}\n\n"


def _delta_head(index: int, kind: bytes, field: bytes) -> bytes:
    return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":' % (
        index,
        kind,
        field,
    )


def _event(name: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode({"type": name, **fields}))


class MessagesEventWriter:
    """Writes one stream. Blocks that hold nothing are never begun, and so never told."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._serial = Serial()
        self._index = -1
        self._source: int | None = None
        self._block: Text | Thinking | ToolCall | None = None
        self._head = b""
        self._finished = Finished("end")

    def write(self, event: Event) -> bytes:
        if type(event) is Delta and event.index == self._source and self._head:
            return self._head + _encode(event.text) + _DELTA_ENDS if event.text else b""
        return b"".join(map(self._tell, self._serial.arrange(event)))

    def write_texts(self, index: int, texts: list[bytes]) -> bytes:
        if index != self._source or not self._head:
            return b"".join(map(self.write, as_deltas(index, texts)))
        before, after = self._head + b'"', b'"' + _DELTA_ENDS
        return b"%b%b%b" % (before, (after + before).join(filter(None, texts)), after)

    def end(self, usage: Usage, charged: Micro) -> bytes:
        delta = {"stop_reason": render_stop(self._finished.stop), "stop_sequence": self._finished.stop_sequence}
        return _event("message_delta", delta=delta, usage=render_usage(usage)) + MESSAGE_STOP

    def _tell(self, event: Event) -> bytes:
        if type(event) is Delta:
            return self._more(event.text)
        if type(event) is BlockStarted:
            return self._start_block(event)
        if type(event) is BlockStopped:
            return self._stop_block(event.opaque)
        if type(event) is Started:
            return self._start(event)
        if type(event) is Finished:
            self._finished = event
        return b""  # a failure is told by who ends the stream

    def _start(self, event: Started) -> bytes:
        usage = event.usage or Usage(input=likely_input(self._envelope.input_estimate))
        message: dict[str, Any] = {
            "id": message_id(event.id, self._envelope),
            "type": "message",
            "role": "assistant",
            "model": self._envelope.model or event.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": render_usage(usage),
        }
        return _event("message_start", message=message)

    def _start_block(self, event: BlockStarted) -> bytes:
        block = event.block
        self._source, self._head, self._block = event.index, b"", None
        if type(block) is Text or type(block) is Thinking:
            self._block = block
            return self._more(block.text)
        if isinstance(block, Foreign):
            return self._whole(msgspec.Raw(block.raw)) if block.origin == ORIGIN else b""
        if isinstance(block, ToolCall):
            self._block = block
            call = call_block(legal_id(block.id), block.name, {})
            return self._begin(call, b"input_json_delta", b"partial_json") + self._more(block.arguments)
        return b""

    def _begin(self, shown: Any, kind: bytes, field: bytes) -> bytes:
        self._index += 1
        self._head = _delta_head(self._index, kind, field)
        return _event("content_block_start", index=self._index, content_block=shown)

    def _begin_empty(self, block: Text | Thinking | ToolCall) -> bytes:
        """Begin a block of text or thinking, now that there is something in it."""
        if isinstance(block, Thinking):
            shown = {"type": "thinking", "thinking": "", "signature": ""}
            return self._begin(shown, b"thinking_delta", b"thinking")
        return self._begin(text_block(""), b"text_delta", b"text")

    def _more(self, text: str) -> bytes:
        if not text or self._block is None:
            return b""
        begun = b"" if self._head else self._begin_empty(self._block)
        return begun + self._head + _encode(text) + _DELTA_ENDS

    def _stop_block(self, opaque: Opaque | None) -> bytes:
        block, has_begun = self._block, bool(self._head)
        self._source, self._block, self._head = None, None, b""
        if isinstance(block, Thinking):
            return self._stop_thinking(block, opaque or block.opaque, has_begun=has_begun)
        if not has_begun:
            return b""
        stopped = self._stop()
        opaque = opaque or (block.opaque if isinstance(block, ToolCall) else None)
        if isinstance(block, ToolCall) and opaque is not None:
            return stopped + self._whole(render_call_token(legal_id(block.id), opaque))
        return stopped

    def _stop_thinking(self, block: Thinking, opaque: Opaque | None, *, has_begun: bool) -> bytes:
        if not has_begun and opaque is None:
            return b""
        if not has_begun and is_redacted(opaque):
            return self._whole(render_thinking(Thinking(opaque=opaque)))
        begun = b"" if has_begun else self._begin_empty(block)
        signature = _delta_head(self._index, b"signature_delta", b"signature")
        self._head = b""
        return begun + signature + _encode(render_signature(opaque)) + _DELTA_ENDS + self._stop()

    def _stop(self) -> bytes:
        return _event("content_block_stop", index=self._index)

    def _whole(self, shown: Any) -> bytes:
        """A block that comes in one piece."""
        self._index += 1
        return _event("content_block_start", index=self._index, content_block=shown) + self._stop()
