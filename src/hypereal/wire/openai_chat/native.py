"""OpenAI's Chat Completions, Completions and Embeddings: requests and whole answers.

The three differ in the field that they require and in whether they stream; everything else is forwarded untouched.
Reference: OpenAI's API reference, "Chat", "Completions" and "Embeddings"; api.md section 5.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.kit.money import Micro
from hypereal.wire.base import Answer, Context, Endpoint, Envelope, Garbage, Renames, Usage
from hypereal.wire.fields import NULL, UNREADABLE, Fields, estimate_input, read_flag, read_integer, read_list, read_text
from hypereal.wire.openai_chat.stream import ChatStream, error_text
from hypereal.wire.openai_chat.usage import UsageFields, to_usage
from hypereal.wire.parsing import Parsing

OURS = frozenset({"hypereal", "intent"})
"""Fields that speak to this server and never reach an upstream."""
_OPTIONS = frozenset({"best_of", "intent", "max_completion_tokens", "max_tokens", "n", "stream", "stream_options"})
INCLUDE_USAGE = msgspec.Raw(b'{"include_usage":true}')
MAX_CHOICES = 128  # the ceiling in OpenAI's reference
_ARRAY, _OBJECT, _STRING = b'[{"'


class _Choice(msgspec.Struct, gc=False):
    message: dict[str, Any] | None = None
    text: str | None = None


class _Body(msgspec.Struct, gc=False):
    choices: list[msgspec.Raw] | None = None
    data: list[msgspec.Raw] | None = None
    usage: UsageFields | None = None
    error: Any = None


class _BodyWithoutUsage(msgspec.Struct, gc=False):
    choices: list[msgspec.Raw] | None = None
    data: list[msgspec.Raw] | None = None
    error: Any = None


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_body_without_usage = msgspec.json.Decoder(_BodyWithoutUsage).decode
_decode_choice = msgspec.json.Decoder(_Choice).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def _choice_size(raw: msgspec.Raw) -> int:
    """Bytes of generated text and calls in a choice; zero when it holds nothing at all."""
    choice = _decode_choice(raw)
    if choice.text:
        return len(choice.text.encode())
    message = choice.message or {}
    return sum(
        len(value.encode()) if isinstance(value, str) else len(_encode(value))
        for name, value in message.items()
        if value and name not in ("role", "annotations")
    )


def _count_prompts(raw: msgspec.Raw) -> int:
    """How many prompts a Completions request carries: each is answered on its own. A list of token ids is one."""
    start = bytes(memoryview(raw)[:2])
    if start[0] != _ARRAY or start[1:].isdigit():
        return 1
    return max(1, sum(memoryview(item)[0] in (_ARRAY, _STRING) for item in _decode_list(raw)))


def _is_unset(raw: msgspec.Raw | None) -> bool:
    return raw is None or raw == NULL


class OpenAIDialect(Parsing):
    """One of OpenAI's token-billed formats. `required` is the field without which there is nothing to do."""

    def __init__(self, required: str, *, streams: bool = True) -> None:
        self.required = required
        self.streams = streams

    def _envelope(self, endpoint: Endpoint, body: bytes, fields: Fields, context: Context) -> Envelope:
        given = _OPTIONS & fields.keys()
        envelope = Envelope(
            endpoint=endpoint,
            model=read_text(fields, "model"),
            stream=endpoint.stream_default,
            max_output_tokens=None,
            choices=1,
            shows_usage=True,
            input_estimate=estimate_input(body),
            body=body,
            fields=fields,
            intent=read_text(fields, "intent") if "intent" in given else None,
        )
        if not envelope.model and not envelope.intent:
            raise InvalidRequest("Model is required", param="model")
        self._check_required(fields)
        if given or self.required == "prompt":
            self._read_options(envelope, fields)
        return envelope

    def _read_options(self, envelope: Envelope, fields: Fields) -> None:
        """The fields that most requests do without, or have only some of."""
        if "stream" in fields and self.streams and (stream := read_flag(fields, "stream")) is not None:
            envelope.stream = stream
        limit = read_integer(fields, "max_tokens", 1)
        if "max_completion_tokens" in fields:
            # Upstreams differ in which of the two they heed, so the larger one is what has to be paid for.
            limit = max(limit or 0, read_integer(fields, "max_completion_tokens", 1) or 0) or None
        envelope.max_output_tokens = limit
        if "n" in fields or self.required == "prompt":
            envelope.choices = self._choices(fields)
        if "stream_options" in fields:
            envelope.shows_usage = self._shows_usage(fields)

    def _choices(self, fields: Fields) -> int:
        """How many answers are generated, shown or not: each may be as long as the limit."""
        choices = read_integer(fields, "n", 1, MAX_CHOICES) or 1
        if self.required != "prompt":
            return choices
        best_of = read_integer(fields, "best_of", 1, MAX_CHOICES) or 1
        return max(choices, best_of) * _count_prompts(fields["prompt"])

    def _check_required(self, fields: Fields) -> None:
        """Look at the first bytes only: the value itself is the upstream's business, and may be large."""
        raw = fields.get(self.required)
        start = bytes(memoryview(raw)[:2]) if raw is not None else b""
        if self.required == "messages":
            if len(start) < 2 or start[0] != _ARRAY or start[1] != _OBJECT:
                read_list(fields, "messages")
        elif not start or start[0] not in (_ARRAY, _STRING):
            raise InvalidRequest(f"{self.required} must be a string or an array", param=self.required)

    def _shows_usage(self, fields: Fields) -> bool:
        raw = fields.get("stream_options")
        if raw is None:
            return True
        try:
            options = msgspec.json.decode(raw)
        except msgspec.DecodeError:  # a deeper fault than the outer read looked for
            options = ""
        if options is not None and not isinstance(options, dict):
            raise InvalidRequest("stream_options must be an object", param="stream_options")
        included = options.get("include_usage") if options else None
        if included is not None and not isinstance(included, bool):
            name = "stream_options.include_usage"
            raise InvalidRequest(f"{name} must be true or false", param=name)
        return included is not False

    def build(self, envelope: Envelope, model: str, *, drop: frozenset[str], rename: Renames) -> bytes:
        fields = envelope.fields
        asks_usage = envelope.stream and "stream_options" not in drop
        is_touched = asks_usage or model != envelope.model or not OURS.isdisjoint(fields)
        if not is_touched and drop.isdisjoint(fields) and not any(given in fields for given, _ in rename):
            return envelope.body
        outgoing = fields.copy()
        outgoing["model"] = msgspec.Raw(_encode(model))
        if asks_usage:
            outgoing["stream_options"] = self._with_usage(fields.get("stream_options"))
        for given, taken in rename:
            value = outgoing.pop(given, None)
            if value is not None and _is_unset(outgoing.get(taken)):
                outgoing[taken] = value
        for name in (OURS | drop) & outgoing.keys():
            del outgoing[name]
        return _encode(outgoing)

    @staticmethod
    def _with_usage(given: msgspec.Raw | None) -> msgspec.Raw:
        options = msgspec.json.decode(given) if given is not None else None
        return msgspec.Raw(_encode({**options, "include_usage": True})) if options else INCLUDE_USAGE

    def read_answer(self, body: bytes) -> Answer:
        try:
            read: _Body | _BodyWithoutUsage = _decode_body(body)
        except msgspec.ValidationError:
            # A usage object of an unknown shape is no usage; the answer itself may be sound.
            try:
                read = _decode_body_without_usage(body)
            except UNREADABLE as exc:
                raise Garbage(str(exc)) from exc
        except UNREADABLE as exc:
            raise Garbage(str(exc)) from exc
        if read.error is not None:
            return Answer(error=error_text(read.error))
        return self._fold(read.choices or read.data or [], to_usage(getattr(read, "usage", None)))

    def _fold(self, items: list[msgspec.Raw], usage: Usage | None) -> Answer:
        if not items:
            return Answer(usage=usage, is_empty=True, is_complete=True)
        if self.required == "input" or (usage is not None and usage.output_total > 0):
            return Answer(usage=usage, is_complete=True)
        try:
            size = sum(map(_choice_size, items))
        except UNREADABLE as exc:
            raise Garbage(str(exc)) from exc
        return Answer(usage=usage, is_empty=size == 0, output_bytes=size, is_complete=True)

    def render_answer(self, envelope: Envelope, body: bytes, usage: Usage, charged: Micro) -> bytes:
        return body

    def stream(self, envelope: Envelope) -> ChatStream:
        return ChatStream(envelope, hides_usage=not envelope.shows_usage)
