"""Whole answers of Chat Completions, to and from the canonical reply.

A chat message has one place for each kind of content, so text blocks run together as they would in a stream, and
reasoning stands before text, text before calls.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.wire.base import Envelope, Garbage, Usage
from hypereal.wire.conversation import Block, Media, Opaque, Reply, Stop, Text, Thinking, ToolCall
from hypereal.wire.fields import UNREADABLE
from hypereal.wire.opaque import SEAL, seal, unseal
from hypereal.wire.openai_chat.media import read_media, write_image
from hypereal.wire.openai_chat.reasoning import DIALECT, as_object, as_text, read_reasoning, write_reasoning
from hypereal.wire.openai_chat.stream import ID_PREFIX, error_text
from hypereal.wire.openai_chat.usage import UsageFields, render_usage, to_usage

_NOTHING = msgspec.Raw()
_STOPS: dict[str, Stop] = {
    "length": "length",
    "model_length": "length",  # Mistral: the context is full
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "refusal",
}
ERROR = "error"
"""The finish reason with which OpenRouter ends what broke on its way."""
FINISHES: dict[Stop, str] = {
    "end": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "stop_sequence": "stop",
    "refusal": "content_filter",
    "pause": "stop",
}


class _Choice(msgspec.Struct, gc=False):
    message: dict[str, Any] | None = None
    finish_reason: Any = None
    stop_reason: Any = None
    error: Any = None


class _Body(msgspec.Struct, gc=False):
    id: Any = None
    model: Any = None
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = _NOTHING
    error: Any = None


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_usage = msgspec.json.Decoder(UsageFields | None).decode


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """A usage object; none, or one of an unknown shape, is no usage."""
    try:
        return to_usage(_decode_usage(raw))
    except UNREADABLE:
        return None


def stop_of(finish: str | None, sequence: Any, *, has_calls: bool, has_refused: bool) -> tuple[Stop, str | None]:
    """Why an answer ended, and at which stop sequence. Many upstreams say "stop", or nothing, when they made calls;
    some say that they made calls when they made none.

    `sequence` is vLLM's `stop_reason`: the matched text, or a token's number.
    """
    stop = _STOPS.get(finish or "stop", "end")
    if has_refused:
        return "refusal", None
    if stop not in ("end", "tool_calls"):
        return stop, None
    if has_calls:
        return "tool_calls", None
    return ("stop_sequence", sequence) if sequence and isinstance(sequence, str) else ("end", None)


def content_pieces(content: Any) -> list[Text | Thinking]:
    """Content as a string or, as Mistral sends it, in parts of text and thinking."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    pieces: list[Text | Thinking] = []
    for part in content if isinstance(content, list) else []:
        if not isinstance(part, dict):
            continue
        thought = part.get("thinking")
        if isinstance(thought, list):
            thought = "".join(as_text(piece.get("text")) for piece in thought if isinstance(piece, dict))
        if thought and isinstance(thought, str):
            pieces.append(Thinking(text=thought))
        elif part.get("text") and isinstance(part["text"], str):
            pieces.append(Text(part["text"]))
    return pieces


def arguments_text(value: Any) -> str:
    """A call's arguments: JSON text by the book; an object, or null, in practice."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def made_up_id(reply_id: str, number: int) -> str:
    """A name for a call that was given none: the same in a stream and in the whole, and unlike those of other turns."""
    return f"call_{reply_id}_{number}"


def read_extra(extra: Any, origin: str) -> Opaque | None:
    """The token in a call's `extra_content`, where Google's servers put the thought signature of a call.

    For the upstream that sent it, it is kept whole; from a client, it is Gemini's own token.
    """
    if not isinstance(extra, dict) or not extra:
        return None
    if origin == DIALECT:
        return Opaque(DIALECT, msgspec.json.encode(extra).decode())
    google = extra.get("google")
    token = as_text(google.get("thought_signature")) if isinstance(google, dict) else ""
    if token.startswith(SEAL):
        return unseal(token, DIALECT)
    return Opaque(origin, token) if token else None


def write_extra(opaque: Opaque | None) -> dict[str, Any]:
    """The `extra_content` that brings a call's token; a Gemini token is at home there and needs no seal."""
    if opaque is None:
        return {}
    known = as_object(opaque.data) if opaque.origin == DIALECT else None
    token = opaque.data if opaque.origin == "gemini" else seal(opaque, DIALECT)
    return {"extra_content": known or {"google": {"thought_signature": token}}}


def read_call(call: Any, spare_id: str, origin: str) -> ToolCall | None:
    """One item of `tool_calls`; None for what has no name to call."""
    if not isinstance(call, dict):
        return None
    custom = call.get("custom")
    function = custom if isinstance(custom, dict) else call.get("function")
    if not isinstance(function, dict) or not as_text(function.get("name")):
        return None
    return ToolCall(
        id=as_text(call.get("id")) or spare_id,
        name=function["name"],
        arguments=arguments_text(function.get("input" if function is custom else "arguments")),
        is_custom=function is custom,
        opaque=read_extra(call.get("extra_content"), origin),
    )


def write_call(call: ToolCall) -> dict[str, Any]:
    if call.is_custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def each_call(message: dict[str, Any]) -> list[Any]:
    """The calls of a message, with the one of the legacy field `function_call` among them."""
    calls = message.get("tool_calls")
    legacy = message.get("function_call")
    return [*(calls if isinstance(calls, list) else []), *([{"function": legacy}] if legacy else [])]


def read_reply(body: bytes) -> Reply:
    """Raises `Garbage` for what is not a chat completion."""
    try:
        read = _decode_body(body)
    except UNREADABLE as exc:
        raise Garbage(str(exc)) from exc
    if read.error is not None:
        raise Garbage(error_text(read.error))
    if not read.choices:
        raise Garbage("the answer has no choices")
    choice = read.choices[0]
    if choice.finish_reason == ERROR:
        raise Garbage(error_text(choice.error or "the upstream gave up"))
    message = choice.message or {}
    reply_id = as_text(read.id)
    blocks: list[Block] = list(read_reasoning(message, is_request=False))
    refusal = as_text(message.get("refusal"))
    blocks += content_pieces(message.get("content"))
    blocks += [Text(refusal)] if refusal else []
    blocks += [media for image in as_list(message.get("images")) if isinstance(media := read_media(image), Media)]
    calls = [
        call
        for number, item in enumerate(each_call(message))
        if (call := read_call(item, made_up_id(reply_id, number), DIALECT)) is not None
    ]
    stop, sequence = stop_of(
        as_text(choice.finish_reason), choice.stop_reason, has_calls=bool(calls), has_refused=bool(refusal)
    )
    return Reply(
        id=reply_id,
        model=as_text(read.model),
        blocks=(*blocks, *calls),
        stop=stop,
        stop_sequence=sequence,
        usage=read_usage(read.usage),
    )


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def write_message(reply: Reply) -> dict[str, Any]:
    """The assistant's message; blocks that chat has no place for are left out."""
    texts = [block.text for block in reply.blocks if isinstance(block, Text)]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None, "refusal": None}
    message |= write_reasoning([block for block in reply.blocks if isinstance(block, Thinking)])
    images = [image for block in reply.blocks if isinstance(block, Media) and (image := write_image(block))]
    if images:
        message["images"] = images
    calls = [block for block in reply.blocks if isinstance(block, ToolCall)]
    if calls:
        message["tool_calls"] = [{**write_call(call), **write_extra(call.opaque)} for call in calls]
    return message


def answer_id(reply_id: str, envelope: Envelope) -> str:
    """The id of an answer that is told to a client of this format, whatever its upstream called it."""
    name = reply_id or envelope.request_id
    return name if name.startswith(ID_PREFIX) else ID_PREFIX + name


def write_reply(reply: Reply, envelope: Envelope, usage: Usage) -> bytes:
    choice = {"index": 0, "message": write_message(reply), "logprobs": None, "finish_reason": FINISHES[reply.stop]}
    answer = {
        "id": answer_id(reply.id, envelope),
        "object": "chat.completion",
        "created": envelope.at,
        "model": reply.model or envelope.model or "",
        "choices": [choice],
        "usage": render_usage(usage),
    }
    return msgspec.json.encode(answer)
