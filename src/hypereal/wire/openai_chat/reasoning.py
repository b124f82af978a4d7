"""Reasoning in Chat Completions, for which OpenAI's own reference has no place.

DeepSeek, and after it most servers, put the text into `reasoning_content`; OpenRouter puts it into `reasoning`, with
`reasoning_details` that hold what the provider wants back: items of type `reasoning.text` (with a `signature`),
`reasoning.summary`, and `reasoning.encrypted` (with `data`).

An upstream's reasoning is returned to it as it came, because DeepSeek, Moonshot and OpenRouter refuse or forget without
it: its `Opaque` holds the name of the field, or the detail's JSON without the text. To a client, a token of another
format goes sealed, as the signature or data of a detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hypereal.wire.conversation import Opaque, Thinking
from hypereal.wire.fields import UNREADABLE
from hypereal.wire.opaque import SEAL, seal, unseal

DIALECT = "openai_chat"
FIELDS = ("reasoning_content", "reasoning")
"""Where the text is, by how widely the name is used."""
DETAILS = "reasoning_details"

_TEXTS = ("text", "summary")
_PLACES = frozenset({*_TEXTS, "index"})

_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def as_object(text: str) -> dict[str, Any] | None:
    """The object that `text` is the JSON of, if it is."""
    try:
        return _decode_object(text) if text.startswith("{") else None
    except UNREADABLE:
        return None


def as_text(value: Any) -> str:
    """A string that may be absent, null or of another type."""
    return value if isinstance(value, str) else ""


def read_details(value: Any) -> list[dict[str, Any]]:
    """The items of a `reasoning_details` field that say anything."""
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, dict) and (detail_text(item) or detail_token(item))]


def detail_text(item: Mapping[str, Any]) -> str:
    return as_text(item.get("text")) or as_text(item.get("summary"))


def detail_token(item: Mapping[str, Any]) -> str:
    return as_text(item.get("signature")) or as_text(item.get("data"))


def detail_opaque(item: Mapping[str, Any]) -> Opaque:
    """What a detail must hold when it goes back: everything but its text and its place in the list."""
    kept = {name: value for name, value in item.items() if name not in _PLACES and value not in (None, "")}
    return Opaque(DIALECT, _encode_sorted(kept).decode())


def _unsealed(item: Mapping[str, Any]) -> Opaque:
    token = detail_token(item)
    return unseal(token, DIALECT) if token.startswith(SEAL) else detail_opaque(item)


def read_reasoning(message: Mapping[str, Any], *, is_request: bool) -> list[Thinking]:
    """The reasoning of a whole message. Only what a client sends back can bear our seal."""
    opaque_of = _unsealed if is_request else detail_opaque
    blocks = [Thinking(text=detail_text(item), opaque=opaque_of(item)) for item in read_details(message.get(DETAILS))]
    if any(block.text for block in blocks):
        return blocks  # the field of text says the same again
    for name in FIELDS:
        text = as_text(message.get(name))
        if text:
            return [Thinking(text=text, opaque=Opaque(DIALECT, name)), *blocks]
    return blocks


def write_detail(thinking: Thinking, index: int) -> dict[str, Any] | None:
    """The detail that brings a block's token; None where a field of text says all."""
    opaque = thinking.opaque
    if opaque is None or (opaque.origin == DIALECT and opaque.data in FIELDS):
        return None
    text = thinking.text
    known = as_object(opaque.data) if opaque.origin == DIALECT else None
    if known is not None:
        place = "summary" if known.get("type") == "reasoning.summary" else "text"
        return {**known, **({place: text} if text else {}), "index": index}
    token = seal(opaque, DIALECT)
    if text:
        return {"type": "reasoning.text", "text": text, "signature": token, "index": index}
    return {"type": "reasoning.encrypted", "data": token, "index": index}


def write_reasoning(blocks: list[Thinking]) -> dict[str, Any]:
    """The fields of a message that hold `blocks`."""
    fields: dict[str, Any] = {}
    for block in blocks:
        own = block.opaque.data if block.opaque is not None and block.opaque.origin == DIALECT else ""
        name = own if own in FIELDS else FIELDS[0]
        if block.text:
            fields[name] = fields.get(name, "") + block.text
    details = [write_detail(block, index) for index, block in enumerate(blocks)]
    told = [detail for detail in details if detail is not None]
    return {**fields, DETAILS: told} if told else fields
