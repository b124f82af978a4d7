"""The items that a Responses request and answer are made of, as far as other formats can say them.

Every other kind of item (the calls of hosted tools, compactions, approvals) is known by its type alone and travels as
`Foreign`. Reference: OpenAI's API reference, "Responses"; the types of the `openai` package, `types/responses`.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from hypereal.wire.conversation import Block, Foreign, Media, Opaque, Text, Thinking, ToolCall
from hypereal.wire.opaque import SEAL, UNSIGNED, unseal

NAME = "openai_responses"
"""The dialect: the origin of what only it understands."""
LONGEST_TOOL_NAME = 64  # what OpenAI, Anthropic and Google all take
BETWEEN_PARTS = "\n\n"
"""What stands between the parts of a summary in the one text of a `Thinking`."""
SIGNED = "."
"""Stands between a sealed token and the id of the call that it belongs to; not a character of base64."""


class _Head(msgspec.Struct, gc=False):
    type: Any = None
    role: Any = None
    id: Any = None


class Audio(msgspec.Struct, gc=False):
    """`input_audio`: base64 and its format, `wav` or `mp3`."""

    data: str
    format: str


class Part(msgspec.Struct, gc=False):
    """A part of a message's content, a tool's output or a summary, whichever its type says."""

    type: str = "input_text"
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    video_url: str | None = None
    filename: str | None = None
    detail: str | None = None
    input_audio: Audio | None = None


Content = str | list[Part] | None


class MessageItem(msgspec.Struct, gc=False):
    """`message`: said by somebody."""

    role: str = ""
    content: Content = None


class ReasoningItem(msgspec.Struct, gc=False):
    """`reasoning`: a summary, or the reasoning itself, and the encrypted token that stands for it."""

    id: str | None = None
    summary: list[Part] | None = None
    content: list[Part] | None = None
    encrypted_content: str | None = None


class CallItem(msgspec.Struct, gc=False):
    """`function_call` with `arguments`, `custom_tool_call` with `input`."""

    call_id: str
    name: str
    namespace: str | None = None
    arguments: str = ""
    input: str = ""


class ResultItem(msgspec.Struct, gc=False):
    """`function_call_output` and `custom_tool_call_output`."""

    call_id: str
    output: Content = None
    name: str | None = None
    namespace: str | None = None


class _ImageItem(msgspec.Struct, gc=False):
    result: str | None = None
    output_format: str | None = None


_decode_head = msgspec.json.Decoder(_Head).decode
decode_message = msgspec.json.Decoder(MessageItem).decode
decode_reasoning = msgspec.json.Decoder(ReasoningItem).decode
decode_call = msgspec.json.Decoder(CallItem).decode
decode_result = msgspec.json.Decoder(ResultItem).decode
_decode_image = msgspec.json.Decoder(_ImageItem).decode

CALLS = frozenset({"function_call", "custom_tool_call"})
RESULTS = frozenset({"function_call_output", "custom_tool_call_output"})


def kind_of(raw: msgspec.Raw) -> str:
    """An item's type. A message may leave it out, and so may a reference, which has only an id."""
    head = _decode_head(raw)
    if isinstance(head.type, str):
        return head.type
    return "message" if head.role is not None or head.id is None else "item_reference"


def flat_name(namespace: str | None, name: str) -> str:
    """The one name that a tool of a namespace has where there are no namespaces.

    One that would be too long ends in a digest of itself, so that it is still the only one of its kind.
    """
    if not namespace:
        return name
    flat = f"{namespace.removesuffix('__')}__{name}"
    if len(flat) <= LONGEST_TOOL_NAME:
        return flat
    digest = hashlib.sha256(flat.encode()).hexdigest()[:8]
    return f"{flat[: LONGEST_TOOL_NAME - len(digest) - 1]}_{digest}"


def part_text(part: Part) -> str:
    """The prose of a part; a refusal is prose too."""
    return part.text or part.refusal or ""


def thought(item: ReasoningItem) -> Thinking:
    """The reasoning that an item holds: its summary, then what it shows of itself."""
    parts = [*(item.summary or ()), *(item.content or ())]
    token = item.encrypted_content
    opaque = unseal(token, NAME, id=item.id) if token else UNSIGNED
    return Thinking(
        text=BETWEEN_PARTS.join(part.text for part in parts if part.text),
        opaque=opaque if opaque.origin else None,
    )


def call_of(kind: str, item: CallItem) -> ToolCall:
    """The call that an item holds."""
    custom = kind == "custom_tool_call"
    return ToolCall(
        id=item.call_id,
        name=flat_name(item.namespace, item.name),
        arguments=item.input if custom else item.arguments,
        is_custom=custom,
    )


def signature_of(item: ReasoningItem) -> tuple[str, Opaque] | None:
    """The id of a call and the token of its origin, if the item is what we made of them for the client to keep."""
    token, separator, call_id = (item.encrypted_content or "").partition(SIGNED)
    if not separator or not token.startswith(SEAL):
        return None
    return call_id, unseal(token, NAME)


def image_of(raw: msgspec.Raw) -> Media | None:
    """The image that an `image_generation_call` came to."""
    image = _decode_image(raw)
    if not image.result:
        return None
    return Media(kind="image", media_type=f"image/{image.output_format or 'png'}", data=image.result)


def said_blocks(kind: str, raw: msgspec.Raw) -> list[Block]:
    """What an item that the model made says; raises `msgspec.DecodeError` when it is not what its type promises."""
    if kind == "message":
        content = decode_message(raw).content
        if isinstance(content, str):
            return [Text(content)]
        return [Text(part_text(part)) for part in content or ()]
    if kind == "reasoning":
        return [thought(decode_reasoning(raw))]
    if kind in CALLS:
        return [call_of(kind, decode_call(raw))]
    if kind == "image_generation_call" and (image := image_of(raw)) is not None:
        return [image]
    return [Foreign(origin=NAME, kind=kind, raw=bytes(raw))]
