"""Blocks as Google's parts, for requests and answers alike.

A signature on a text or a file is read as `Thinking` without text right after that block. So it is written back onto
the part before it, or, where there is none that could bear it, onto an empty text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from hypereal.wire.conversation import Foreign, Media, Opaque, Text, Thinking, ToolCall
from hypereal.wire.fields import UNREADABLE
from hypereal.wire.gemini.media import media_part
from hypereal.wire.gemini.signatures import NAME, UNSIGNED

Part = dict[str, Any]

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def compact(raw: bytes) -> bytes:
    """JSON on one line, as events need it."""
    return msgspec.json.format(raw, indent=-1) if b"\n" in raw or b"\r" in raw else raw


def arguments_object(arguments: str, *, is_custom: bool) -> msgspec.Raw:
    """The arguments of a call as the object that Google's must be; free text, or JSON cut short, as its `input`."""
    text = arguments.encode()
    if not is_custom:
        try:
            _decode_fields(text or b"{}")
        except UNREADABLE:
            pass
        else:
            return msgspec.Raw(compact(text or b"{}"))
    return msgspec.Raw(msgspec.json.encode({"input": arguments}))


def call_part(call: ToolCall, signature: str | None) -> Part:
    args = arguments_object(call.arguments, is_custom=call.is_custom)
    part: Part = {"functionCall": {"id": call.id, "name": call.name, "args": args}}
    return {**part, "thoughtSignature": signature} if signature else part


class Parts:
    """The parts of one turn as they grow. `sign` gives the text of a token, or None where it may not be shown;
    `signs_calls` puts Google's own word for it onto the first call when no call before it is signed."""

    def __init__(self, sign: Callable[[Opaque], str | None], *, signs_calls: bool) -> None:
        self.items: list[Part] = []
        self._sign = sign
        self._signs_calls = signs_calls

    def add(self, block: Text | Media | Thinking | ToolCall | Foreign) -> bool:
        """Write one block; false when it cannot be written."""
        if isinstance(block, Text):
            if block.text:
                self.items.append({"text": block.text})
            return True
        if isinstance(block, Thinking):
            return self._think(block)
        if isinstance(block, ToolCall):
            self._call(block)
            return block.opaque is None or self._sign(block.opaque) is not None
        part = self._whole(block)
        if part is not None:
            self.items.append(part)
        return part is not None

    def _whole(self, block: Media | Foreign) -> Any:
        if isinstance(block, Media):
            return media_part(block)
        return msgspec.Raw(compact(block.raw)) if block.origin == NAME else None

    def _think(self, block: Thinking) -> bool:
        token = self._sign(block.opaque) if block.opaque is not None else None
        if block.opaque is not None and token is None:
            return False
        signed = {"thoughtSignature": token} if token else {}
        last = self.items[-1] if self.items else None
        if block.text:
            self.items.append({"text": block.text, "thought": True, **signed})
        elif isinstance(last, dict) and last.keys() <= {"text", "inlineData", "fileData"}:
            last.update(signed)
        elif signed:
            self.items.append({"text": "", **signed})
        return True

    def _call(self, call: ToolCall) -> None:
        token = self._sign(call.opaque) if call.opaque is not None else None
        if token is None and self._signs_calls:
            token = UNSIGNED
        self._signs_calls = False
        self.items.append(call_part(call, token))
