"""Answers that become history: `previous_response_id` resolved to the items it stands for, and foreign reasoning kept
from an upstream that could not read it.

Pure: whoever stored the items hands them over.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.kit.sse import event_data, read_data
from hypereal.wire.base import Garbage
from hypereal.wire.fields import NULL, UNREADABLE, Fields
from hypereal.wire.opaque import SEAL
from hypereal.wire.openai_responses.items import CALLS, kind_of

TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""The events after which nothing of the answer follows."""
PREVIOUS = "previous_response_id"
"""Under this name a body that was written out still says what it goes on from, for the answer to repeat it."""
_OWN_WORDS = CALLS | {"message", "reasoning"}
"""Items that say everything themselves: their id and status mean something only to the upstream that made them."""

_encode = msgspec.json.encode
_decode_items = msgspec.json.Decoder(str | list[msgspec.Raw] | None).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Token(msgspec.Struct, gc=False):
    encrypted_content: str | None = None


class _Answer(msgspec.Struct, gc=False):
    id: str | None = None
    output: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    response: msgspec.Raw = NULL
    item: msgspec.Raw = NULL


_decode_token = msgspec.json.Decoder(_Token).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_event = msgspec.json.Decoder(_Event).decode


def input_items(fields: Fields) -> list[msgspec.Raw]:
    """The items of `input`; a string is one message of the user. Raises `InvalidRequest`."""
    raw = fields.get("input")
    if raw is None:
        return []
    try:
        given = _decode_items(raw)
    except UNREADABLE as exc:
        raise InvalidRequest("input must be a string or an array", param="input") from exc
    if isinstance(given, str):
        content = [{"type": "input_text", "text": given}]
        return [msgspec.Raw(_encode({"type": "message", "role": "user", "content": content}))]
    return given or []


def _token_of(raw: msgspec.Raw) -> str:
    try:
        return (kind_of(raw) == "reasoning" and _decode_token(raw).encrypted_content) or ""
    except UNREADABLE:  # of another shape: not ours to judge
        return ""


def without_sealed(items: Iterable[msgspec.Raw]) -> list[msgspec.Raw]:
    """The items but for the reasoning that carries another format's token; what stays, stays byte for byte."""
    return [raw for raw in items if not _token_of(raw).startswith(SEAL)]


def _replayed(output: Iterable[msgspec.Raw]) -> list[msgspec.Raw]:
    """An answer's items as input for any upstream: without reasoning that only the upstream that made it has stored,
    and without the ids by which it would look for the rest in its store."""
    items = []
    for raw in output:
        kind = kind_of(raw)
        if kind == "reasoning" and not _token_of(raw):
            continue
        if kind in _OWN_WORDS:
            fields = _decode_fields(raw)
            items.append(msgspec.Raw(_encode({name: fields[name] for name in fields if name not in ("id", "status")})))
        else:
            items.append(raw)
    return items


def expand(fields: Fields, stored_input: list[msgspec.Raw], stored_output: list[msgspec.Raw]) -> bytes:
    """The body that says everything itself: what was stored of the response that it goes on from, then its own input,
    and no `previous_response_id`."""
    whole = {name: raw for name, raw in fields.items() if name != PREVIOUS}
    items = [*stored_input, *_replayed(stored_output), *input_items(fields)]
    return _encode({**whole, "input": items})


def _answer_of(data: bytes) -> bytes:
    """The response object in an answer: the body itself, or what the terminal event carries."""
    event = _decode_event(event_data(data) or data)
    return data if event.response == NULL else bytes(event.response)


def output_items(data: bytes) -> list[msgspec.Raw]:
    """The output of a whole answer, or of a stream's terminal event. Raises `Garbage`."""
    try:
        return _decode_answer(_answer_of(data)).output or []
    except UNREADABLE as exc:
        raise Garbage(str(exc)) from exc


def response_id(data: bytes) -> str:
    """The id of a whole answer, or of the response in an event; "" where it has none. Raises `Garbage`."""
    try:
        return _decode_answer(_answer_of(data)).id or ""
    except UNREADABLE as exc:
        raise Garbage(str(exc)) from exc


def whole_answer(payload: bytes) -> bytes:
    """The one JSON answer that a whole stream amounts to, for an upstream that streams to who did not ask for it.

    Some upstreams leave `output` out of the last event; the items are then those that were done on the way. Raises
    `Garbage` for a stream without a terminal event.
    """
    items: list[msgspec.Raw] = []
    try:
        for data in read_data(payload):
            if data.strip() == b"[DONE]":
                continue
            event = _decode_event(data)
            if event.type == "response.output_item.done" and event.item != NULL:
                items.append(event.item)
            elif event.type in TERMINAL and event.response != NULL:
                return _filled(bytes(event.response), items)
    except UNREADABLE as exc:
        raise Garbage(str(exc)) from exc
    raise Garbage("the stream ended before the answer did")


def _filled(response: bytes, items: list[msgspec.Raw]) -> bytes:
    if _decode_answer(response).output or not items:
        return response
    return _encode({**_decode_fields(response), "output": items})
