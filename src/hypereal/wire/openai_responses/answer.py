"""A whole Responses answer to and from the canonical reply."""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.wire.base import Envelope, Garbage, Usage
from hypereal.wire.conversation import Foreign, Media, Opaque, Reply, Stop, Text, Thinking, ToolCall
from hypereal.wire.fields import NULL, UNREADABLE
from hypereal.wire.opaque import UNSIGNED, seal
from hypereal.wire.openai_responses.items import (
    CALLS,
    NAME,
    SIGNED,
    decode_message,
    kind_of,
    said_blocks,
)
from hypereal.wire.openai_responses.native_stream import error_text
from hypereal.wire.openai_responses.response import ID_PREFIX, echo, own_id, response_object
from hypereal.wire.openai_responses.tools import flat_names
from hypereal.wire.openai_responses.usage import read_usage

Piece = str | msgspec.Raw
"""A string, as text or in JSON."""
FlatNames = dict[str, tuple[str, str]]
_REFUSAL = b'"refusal"'
_REASONS = {"content_filter": "refusal", "max_output_tokens": "length"}
_INCOMPLETE: dict[Stop, str] = {"length": "max_output_tokens", "refusal": "content_filter"}


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class ResponseFields(msgspec.Struct, gc=False):
    """The response object, as far as it tells of the answer."""

    id: str = ""
    model: str = ""
    status: str | None = None
    output: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = NULL
    incomplete_details: _Incomplete | None = None
    error: Any = None


decode_response = msgspec.json.Decoder(ResponseFields).decode


def stop_of(response: ResponseFields, *, calls: bool, refuses: bool) -> Stop:
    """Why the answer ended, from its status and from what it holds."""
    if response.status == "incomplete":
        reason = (response.incomplete_details or _Incomplete()).reason
        return "refusal" if _REASONS.get(reason or "") == "refusal" else "length"
    if refuses:
        return "refusal"
    return "tool_calls" if calls else "end"


def refuses(kind: str, raw: msgspec.Raw) -> bool:
    """Whether an item is a message that declines to answer."""
    if kind != "message" or _REFUSAL not in bytes(raw):
        return False
    content = decode_message(raw).content
    return isinstance(content, list) and any(part.type == "refusal" for part in content)


def read_reply(body: bytes) -> Reply:
    """What an upstream's whole answer says. Raises `Garbage`."""
    try:
        response = decode_response(body)
        if response.error is not None:
            raise Garbage(error_text(response.error))
        if response.output is None:
            raise Garbage("an answer without output")
        items = [(kind_of(raw), raw) for raw in response.output]
        blocks = tuple(block for kind, raw in items for block in said_blocks(kind, raw))
        refusing = any(refuses(kind, raw) for kind, raw in items)
    except UNREADABLE as exc:
        raise Garbage(str(exc)) from exc
    return Reply(
        id=response.id,
        model=response.model,
        blocks=blocks,
        stop=stop_of(response, calls=any(kind in CALLS for kind, _ in items), refuses=refusing),
        usage=read_usage(response.usage),
    )


def message_item(name: Piece, text: Piece, status: str = "completed") -> dict[str, Any]:
    """A `message` of one text."""
    content = [text_part(text)] if status == "completed" else []
    return {"id": name, "type": "message", "status": status, "role": "assistant", "content": content}


def text_part(text: Piece) -> dict[str, Any]:
    """A part of a message."""
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def summary_part(text: str) -> dict[str, Any]:
    """A part of a summary."""
    return {"type": "summary_text", "text": text}


def reasoning_item(name: str, text: str, opaque: Opaque | None) -> dict[str, Any]:
    """A `reasoning` item; another format's token travels in it under seal.

    One without a token has a seal too: an upstream would look in its store for what it knows by its id alone.
    """
    summary = [summary_part(text)] if text else []
    return {"id": name, "type": "reasoning", "summary": summary, "encrypted_content": seal(opaque or UNSIGNED, NAME)}


def call_item(name: str, call: ToolCall, names: FlatNames, status: str = "completed") -> dict[str, Any]:
    """A `function_call` or `custom_tool_call`, under the name that the client gave the tool."""
    namespace, called = names.get(call.name, (None, call.name))
    placed = {"namespace": namespace} if namespace is not None else {}
    if call.is_custom:
        kind, said = "custom_tool_call", {"input": call.arguments}
    else:
        kind, said = "function_call", {"arguments": call.arguments}
    return {"id": name, "type": kind, "status": status, "call_id": call.id, "name": called, **placed, **said}


def image_item(name: str, media: Media) -> dict[str, Any] | None:
    """The `image_generation_call` that shows an image; None for any file that no item can show."""
    if media.kind != "image" or media.data is None:
        return None
    form = (media.media_type or "image/png").removeprefix("image/")
    return {
        "id": name,
        "type": "image_generation_call",
        "status": "completed",
        "result": media.data,
        "output_format": form,
    }


class ItemNames:
    """Names for the items of one answer: by kind, the answer's id, and their place."""

    def __init__(self, response_id: str) -> None:
        self._stem = response_id.removeprefix(ID_PREFIX)

    def name(self, prefix: str, place: int) -> str:
        return f"{prefix}_{self._stem}_{place}"


def signature_items(names: ItemNames, place: int, call: ToolCall) -> list[Any]:
    """The `reasoning` item in which the client keeps the token of a call, since a call has no room for one."""
    opaque = call.opaque
    if opaque is None or opaque.origin == NAME:  # no call of this format has one
        return []
    token = f"{seal(opaque, NAME)}{SIGNED}{call.id}"
    return [{"id": names.name("rs", place), "type": "reasoning", "summary": [], "encrypted_content": token}]


def whole_items(block: Media | Foreign, names: ItemNames, place: int) -> list[Any]:
    """The item of a block that comes whole; none for what this format cannot show."""
    if isinstance(block, Foreign):
        return [msgspec.Raw(block.raw)] if block.origin == NAME else []
    image = image_item(names.name("ig", place), block)
    return [image] if image is not None else []


def _items(reply: Reply, names: ItemNames, flat: FlatNames) -> list[Any]:
    items: list[Any] = []
    for block in reply.blocks:
        place = len(items)
        if isinstance(block, Text):
            items.append(message_item(names.name("msg", place), block.text))
        elif isinstance(block, Thinking):
            items.append(reasoning_item(names.name("rs", place), block.text, block.opaque))
        elif isinstance(block, ToolCall):
            items.append(call_item(names.name(call_prefix(block), place), block, flat))
            items += signature_items(names, place + 1, block)
        elif isinstance(block, Media | Foreign):
            items += whole_items(block, names, place)
    return items


def call_prefix(call: ToolCall) -> str:
    """What the id of a call's item begins with."""
    return "ctc" if call.is_custom else "fc"


def ending(stop: Stop) -> dict[str, Any]:
    """The status of an answer that ended so."""
    reason = _INCOMPLETE.get(stop)
    return {"status": "incomplete", "incomplete": reason} if reason else {"status": "completed"}


def write_reply(reply: Reply, envelope: Envelope, usage: Usage) -> bytes:
    """The whole answer for a client."""
    name = own_id(reply.id, envelope.request_id)
    return response_object(
        echo(envelope),
        id=name,
        model=reply.model or envelope.model or "",
        created_at=envelope.at,
        output=_items(reply, ItemNames(name), flat_names(envelope)),
        usage=usage,
        **ending(reply.stop),
    )
