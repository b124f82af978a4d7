"""Taking the sealed tokens of other providers out of a native body.

A client that switched models sends back reasoning that another provider made. It is recognised by its seal; only those
blocks go, and everything around them stays byte for byte.
"""

from __future__ import annotations

import msgspec

from hypereal.wire.opaque import SEAL, SEAL_IN_JSON


class _Block(msgspec.Struct, gc=False):
    type: str | None = None
    signature: str | None = None
    data: str | None = None

    @property
    def is_sealed(self) -> bool:
        token = {"thinking": self.signature, "redacted_thinking": self.data}.get(self.type or "")
        return token is not None and token.startswith(SEAL)


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
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return messages
    if all(kept is message for kept, message in zip(left, given, strict=True)):
        return messages
    return msgspec.Raw(_encode([kept for kept in left if kept is not None]))
