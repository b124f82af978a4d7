"""Anthropic's Messages and its counting of tokens: requests and whole answers between two sides that both speak it.

Reference: Anthropic's API reference, "Messages" and "Count tokens", and the types of its SDK; api.md section 6.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.kit.money import Micro
from hypereal.wire.anthropic.native_stream import MessagesStream, error_text
from hypereal.wire.anthropic.sealed import is_too_late_to_think, without_sealed
from hypereal.wire.anthropic.usage import read_usage_fields, to_usage
from hypereal.wire.base import Answer, Context, Endpoint, Envelope, Garbage, Renames, Usage
from hypereal.wire.fields import (
    DATA_FIELDS,
    NULL,
    UNREADABLE,
    Fields,
    estimate_input,
    read_flag,
    read_integer,
    read_list,
    read_text,
)
from hypereal.wire.opaque import SEAL_IN_JSON
from hypereal.wire.parsing import Parsing

OURS = frozenset({"hypereal", "intent"})
"""Fields that speak to this server and never reach an upstream."""
NOT_COUNTED = frozenset(
    {
        "container",
        "diagnostics",
        "fallback_credit_token",
        "fallbacks",
        "inference_geo",
        "max_tokens",
        "metadata",
        "service_tier",
        "stop_sequences",
        "stream",
        "temperature",
        "thread",
        "top_k",
        "top_p",
    }
)
"""Fields of a message that the count API refuses: those of the SDK's `MessageCreateParams` that its
`MessageCountTokensParams` lacks."""
OWN_ACCOUNT_BETAS = frozenset({"oauth-2025-04-20"})
"""Betas of a sign-in with the client's own account: with a provider's key they make the upstream refuse."""
_VERSION, _BETA, _SESSION = b"anthropic-version", b"anthropic-beta", b"x-claude-code-session-id"
HEADERS = (_VERSION, _BETA, _SESSION)
"""The request's headers that these endpoints read."""
# Answers that rightly say nothing: turns that go on, and refusals before the first word.
_SILENT_STOPS = frozenset({"refusal", "pause_turn", "compaction", "tool_use", "stop_sequence", "max_tokens"})


class _Metadata(msgspec.Struct, gc=False):
    user_id: str | None = None


class _Body(msgspec.Struct, gc=False):
    type: str | None = None
    content: list[msgspec.Raw] | None = None
    stop_reason: Any = None
    usage: msgspec.Raw = NULL
    error: Any = None


class _Block(msgspec.Struct, gc=False):
    text: str | None = None
    thinking: str | None = None
    input: msgspec.Raw = NULL
    content: msgspec.Raw = NULL


class _Count(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    error: Any = None


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_block = msgspec.json.Decoder(_Block).decode
_decode_count = msgspec.json.Decoder(_Count).decode
_decode_metadata = msgspec.json.Decoder(_Metadata | None).decode
_encode = msgspec.json.encode


def _block_size(raw: msgspec.Raw) -> int:
    """Bytes of generated text and calls in a block."""
    try:
        block = _decode_block(raw)
    except UNREADABLE:
        return len(bytes(raw))
    texts = sum(len(text.encode()) for text in (block.text, block.thinking) if text)
    return texts + sum(len(bytes(part)) for part in (block.input, block.content) if part != NULL)


def _betas(value: bytes) -> str:
    """The betas to ask an upstream for; empty when none is left."""
    names = [name.strip() for name in value.decode("latin-1").split(",")]
    return ",".join(name for name in names if name and name not in OWN_ACCOUNT_BETAS)


def _forwarded(context: Context) -> tuple[tuple[str, str], ...]:
    headers = []
    version = context.headers.get(_VERSION)
    if version:
        headers.append((_VERSION.decode(), version.decode("latin-1")))
    betas = _betas(context.headers.get(_BETA, b""))
    if betas:
        headers.append((_BETA.decode(), betas))
    return tuple(headers)


def _session(fields: Fields, context: Context) -> str | None:
    """Claude Code's session, else the user that the client names."""
    given = context.headers.get(_SESSION)
    if given:
        return given.decode("latin-1")
    raw = fields.get("metadata")
    if raw is None:
        return None
    try:
        metadata = _decode_metadata(raw)
    except UNREADABLE:
        return None
    return (metadata.user_id or None) if metadata is not None else None


class AnthropicMessages(Parsing):
    """The Messages dialect."""

    needs_limit = True
    removed = OURS

    def _envelope(self, endpoint: Endpoint, body: bytes, fields: Fields, context: Context) -> Envelope:
        model, intent = read_text(fields, "model"), read_text(fields, "intent")
        if not model and not intent:
            raise InvalidRequest("model: Field required", param="model")
        if "messages" not in fields:
            raise InvalidRequest("messages: Field required", param="messages")
        if bytes(memoryview(fields["messages"])[:2]) != b"[{":  # what is inside is the upstream's business
            read_list(fields, "messages")
        limit = read_integer(fields, "max_tokens", 0) if self.needs_limit else None  # 0 only fills the cache
        if self.needs_limit and limit is None:
            raise InvalidRequest("max_tokens: Field required", param="max_tokens")
        stream = read_flag(fields, "stream") if self.needs_limit else False
        return Envelope(
            endpoint=endpoint,
            model=model,
            stream=endpoint.stream_default if stream is None else stream,
            max_output_tokens=limit,
            choices=1,
            shows_usage=True,
            input_estimate=estimate_input(body, DATA_FIELDS),
            body=body,
            fields=fields,
            intent=intent,
            headers=_forwarded(context),
            session=_session(fields, context),
        )

    def build(self, envelope: Envelope, model: str, *, drop: frozenset[str], rename: Renames) -> bytes:
        fields = envelope.fields
        envelope.dropped = ()
        removed = (self.removed | drop) & fields.keys()
        is_renamed = any(given in fields for given, _ in rename)
        has_seals = SEAL_IN_JSON in envelope.body
        if model == envelope.model and not removed and not is_renamed and not has_seals:
            return envelope.body
        outgoing = {**fields, "model": msgspec.Raw(_encode(model))}
        if has_seals:
            outgoing["messages"] = without_sealed(fields["messages"])
            if outgoing["messages"] is not fields["messages"]:
                envelope.dropped = ("thinking",)
                if is_too_late_to_think(outgoing):
                    del outgoing["thinking"]
        for given, taken in rename:
            value = outgoing.pop(given, None)
            if value is not None and outgoing.get(taken, NULL) == NULL:
                outgoing[taken] = value
        for name in removed:
            outgoing.pop(name, None)
        return _encode(outgoing)

    def read_answer(self, body: bytes) -> Answer:
        try:
            read = _decode_body(body)
        except UNREADABLE as exc:
            raise Garbage(str(exc)) from exc
        if read.error is not None or read.type == "error":
            return Answer(error=error_text(read.error))
        if read.content is None:
            raise Garbage("no content")
        usage = to_usage(read_usage_fields(read.usage))
        if usage is not None and usage.output_total > 0:
            return Answer(usage=usage, is_complete=True)
        size = sum(map(_block_size, read.content))
        is_empty = size == 0 and read.stop_reason not in _SILENT_STOPS
        return Answer(usage=usage, is_empty=is_empty, output_bytes=size, is_complete=True)

    def render_answer(self, envelope: Envelope, body: bytes, usage: Usage, charged: Micro) -> bytes:
        return body

    def stream(self, envelope: Envelope) -> MessagesStream:
        return MessagesStream()


class AnthropicCount(AnthropicMessages):
    """Counting the tokens of a message that is not sent: no limit, no stream, no charge."""

    needs_limit = False
    removed = OURS | NOT_COUNTED

    def read_answer(self, body: bytes) -> Answer:
        try:
            count = _decode_count(body)
        except UNREADABLE as exc:
            raise Garbage(str(exc)) from exc
        if count.error is not None:
            return Answer(error=error_text(count.error))
        if count.input_tokens is None:
            raise Garbage("no input_tokens")
        return Answer(is_complete=True)

    def render_count(self, tokens: int) -> bytes:
        """An answer of our own, where no upstream can count."""
        return _encode({"input_tokens": tokens})
