"""Taking the sealed tokens of other providers out of a native body.

A client that switched models sends back reasoning that another provider made. It is recognised by its seal; only those
blocks go, and everything around them stays byte for byte.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.wire.anthropic.reasoning import is_in_open_loop_without_thinking
from hypereal.wire.fields import NULL, UNREADABLE, Fields
from hypereal.wire.opaque import SEAL, SEAL_IN_JSON


class _Block(msgspec.Struct, gc=False):
    type: str | None = None
    signature: str | None = None
    data: str | None = None

    @property
    def is_sealed(self) -> bool:
        token = {"thinking": self.signature, "redacted_thinking": self.data}.get(self.type or "")
        return token is not None and token.startswith(SEAL)


class _Turn(msgspec.Struct, gc=False):
    role: str
    content: Any


class _Thinking(msgspec.Struct, gc=False):
    type: str | None = None


_decode_turns = msgspec.json.Decoder(list[_Turn]).decode
_decode_thinking = msgspec.json.Decoder(_Thinking | None).decode
_decode_messages = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_message = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_block = msgspec.json.Decoder(_Block).decode
_encode = msgspec.json.encode


def _is_sealed(raw: msgspec.Raw) -> bool:
    if SEAL_IN_JSON not in bytes(raw):
        return False
    try:
        return _decode_block(raw).is_sealed
    except msgspec.DecodeError:
        return False  # not one of ours, whatever it is


def _without(message: msgspec.Raw) -> msgspec.Raw | None:
    """The message without its sealed blocks; None when nothing is left of it."""
    if SEAL_IN_JSON not in bytes(message):
        return message
    fields = _decode_message(message)
    blocks = _decode_messages(fields.get("content", msgspec.Raw(b"[]")))
    left = [block for block in blocks if not _is_sealed(block)]
    if len(left) == len(blocks):
        return message
    return msgspec.Raw(_encode({**fields, "content": left})) if left else None


def without_sealed(messages: msgspec.Raw) -> msgspec.Raw:
    """`messages` without the sealed blocks; as it came when it has none, or is not what it should be."""
    try:
        given = _decode_messages(messages)
        left = [_without(message) for message in given]
    except UNREADABLE:
        return messages
    if all(kept is message for kept, message in zip(left, given, strict=True)):
        return messages
    return msgspec.Raw(_encode([kept for kept in left if kept is not None]))


def is_too_late_to_think(fields: Fields) -> bool:
    """Whether `thinking` asks for what Anthropic refuses: to begin to think between a call and what comes of it."""
    try:
        thinking = _decode_thinking(fields.get("thinking", NULL))
        if thinking is None or thinking.type != "enabled":
            return False
        turns = _decode_turns(fields["messages"])
    except UNREADABLE:
        return False
    return is_in_open_loop_without_thinking(_merged(turns))


def _merged(turns: list[_Turn]) -> list[tuple[str, list[Any]]]:
    """The turns, what one side says in several messages taken together."""
    merged: list[tuple[str, list[Any]]] = []
    for turn in turns:
        blocks = turn.content if isinstance(turn.content, list) and turn.content else [turn.content]
        if merged and merged[-1][0] == turn.role:
            merged[-1][1].extend(blocks)
        else:
            merged.append((turn.role, list(blocks)))
    return merged
