"""The turns of a client's request: `contents` and `systemInstruction` as messages of blocks.

Calls often have no id. They are then counted through the whole conversation, and a result without an id answers the
oldest call of its name that still waits for one.
"""

from __future__ import annotations

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.wire.conversation import (
    Block,
    Media,
    Message,
    Opaque,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from hypereal.wire.fields import UNREADABLE, Fields, read_flag, read_text
from hypereal.wire.gemini.chunks import foreign_block
from hypereal.wire.gemini.media import inline_media, linked_media
from hypereal.wire.gemini.signatures import read_signature
from hypereal.wire.gemini.spelling import as_object, is_string, read_items, read_object

_ROLES: dict[str, Role] = {"model": "assistant", "assistant": "assistant", "system": "system"}


class _TextPart(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: str


class _TextTurn(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    parts: list[_TextPart]
    role: str = "user"


_decode_text_turn = msgspec.json.Decoder(_TextTurn).decode


class Calls:
    """The calls of a conversation: their ids, and which of them have not been answered."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: list[tuple[str, str]] = []

    def _next_id(self) -> str:
        self._count += 1
        return f"call_{self._count - 1}"

    def asked(self, call_id: str | None, name: str) -> str:
        """The id of a call."""
        call_id = call_id or self._next_id()
        self._waiting.append((call_id, name))
        return call_id

    def answered(self, call_id: str | None, name: str) -> str:
        """The id of the call that a result answers: as it says, else by its name, else by its place."""
        matches = [one for one in self._waiting if one[0] == call_id] if call_id else []
        if not call_id:
            matches = [one for one in self._waiting if one[1] == name] or self._waiting
        if matches:
            call_id = matches[0][0]
            self._waiting.remove(matches[0])
        return call_id or self._next_id()


def read_turns(fields: Fields) -> tuple[Message, ...]:
    """The messages of `contents`."""
    calls = Calls()
    return tuple(_message(raw, calls) for raw in read_items(fields, "contents"))


def read_system(fields: Fields) -> tuple[tuple[Text, ...], bool]:
    """The text of `systemInstruction`, and whether it held anything else."""
    blocks = [block for raw in read_items(fields, "systemInstruction") for block in _message(raw, Calls()).blocks]
    texts = tuple(block for block in blocks if isinstance(block, Text))
    return texts, len(texts) < len(blocks)


def _message(raw: msgspec.Raw, calls: Calls) -> Message:
    """A content as a message; so is a part that stands where a content is expected, or a mere string."""
    if is_string(raw):
        return Message("user", (Text(_string(raw)),))
    try:
        turn = _decode_text_turn(raw)  # most are nothing but text
    except UNREADABLE:
        return _mixed_message(raw, calls)
    return Message(_role(turn.role), tuple(Text(part.text) for part in turn.parts if part.text))


def _mixed_message(raw: msgspec.Raw, calls: Calls) -> Message:
    content = as_object(raw, "contents")
    parts = read_items(content, "parts") if "parts" in content or "role" in content else [raw]
    return Message(
        _role(read_text(content, "role")), tuple(block for part in parts for block in _read_part(part, calls))
    )


def _role(name: str | None) -> Role:
    return _ROLES.get(name or "user", "user")


def _string(raw: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(raw, type=str)
    except UNREADABLE as exc:
        raise InvalidRequest("contents holds text that is not valid Unicode", param="contents") from exc


def _read_part(raw: msgspec.Raw, calls: Calls) -> list[Block]:
    if is_string(raw):
        return [Text(_string(raw))]
    part = as_object(raw, "parts")
    signature = read_signature(read_text(part, "thoughtSignature"))
    if "functionCall" in part:
        return [_call(read_object(part, "functionCall"), signature, calls)]
    if "functionResponse" in part:
        return [_result(read_object(part, "functionResponse"), calls)]
    media = _media(part)
    if media is not None:
        return [media, *_signed(signature)]
    text = read_text(part, "text")
    if text is None:
        foreign = foreign_block(bytes(raw), part)
        return [foreign] if foreign else _signed(signature)
    if read_flag(part, "thought"):
        return [Thinking(text=text, opaque=signature)] if text or signature else []
    return [*([Text(text)] if text else []), *_signed(signature)]


def _signed(signature: Opaque | None) -> list[Block]:
    return [Thinking(opaque=signature)] if signature else []


def _media(part: Fields) -> Media | None:
    """The file of a part, or of a part of a function's result."""
    if "inlineData" in part:
        blob = read_object(part, "inlineData")
        return inline_media(read_text(blob, "mimeType"), read_text(blob, "data") or "", read_text(blob, "displayName"))
    if "fileData" in part:
        file = read_object(part, "fileData")
        return linked_media(
            read_text(file, "mimeType"), read_text(file, "fileUri") or "", read_text(file, "displayName")
        )
    return None


def _call(call: Fields, signature: Opaque | None, calls: Calls) -> ToolCall:
    name = read_text(call, "name")
    if not name:
        raise InvalidRequest("functionCall.name is required", param="contents")
    args = call.get("args")
    if args is not None:
        as_object(args, "args")
    return ToolCall(
        id=calls.asked(read_text(call, "id"), name),
        name=name,
        arguments=bytes(args).decode() if args is not None else "{}",
        opaque=signature,
    )


def _result(result: Fields, calls: Calls) -> ToolResult:
    name = read_text(result, "name")
    text, is_error = _result_text(result)
    files = [_media(as_object(raw, "functionResponse.parts")) for raw in read_items(result, "parts")]
    return ToolResult(
        call_id=calls.answered(read_text(result, "id"), name or ""),
        content=(*((Text(text),) if text else ()), *(file for file in files if file is not None)),
        name=name,
        is_error=is_error,
    )


def _result_text(result: Fields) -> tuple[str, bool]:
    """What a function answered: Google's keys for output and for an error mean their texts, anything else its JSON."""
    raw = result.get("response")
    if raw is None:
        return "", False
    response = read_object(result, "response")
    if len(response) == 1:
        (key, value) = next(iter(response.items()))
        if key in ("output", "error") and is_string(value):
            return _string(value), key == "error"
    return bytes(raw).decode(), False
