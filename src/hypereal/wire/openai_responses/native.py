"""The Responses API as client and upstream both speak it: requests, whole answers, and its endpoints beside.

`/v1/responses` answers; `/v1/responses/compact` answers with one compacted history, never as a stream;
`/v1/responses/input_tokens` counts. All are forwarded with only `model` changed. Reference: OpenAI's API reference,
"Responses"; api.md section 7.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.kit.money import Micro
from hypereal.wire.base import Answer, Context, Endpoint, Envelope, Garbage, Renames, Usage
from hypereal.wire.fields import NULL, UNREADABLE, Fields, estimate_input, read_flag, read_integer, read_text
from hypereal.wire.opaque import SEAL_IN_JSON
from hypereal.wire.openai_responses.history import PREVIOUS, input_items, without_sealed
from hypereal.wire.openai_responses.native_stream import ResponsesStream, error_text, item_size, with_previous
from hypereal.wire.openai_responses.usage import read_usage
from hypereal.wire.parsing import Parsing

OURS = frozenset({"hypereal", "intent"})
"""Fields that speak to this server and never reach an upstream."""
FORWARDED = (b"openai-beta", b"x-openai-internal-codex-responses-lite", b"x-codex-beta-features")
"""Headers that change what the upstream makes of the body. `originator`, `session-id` and the like only name the
client, and stay here."""
SESSIONS = (b"session-id", b"thread-id", b"x-session-id")
"""Where clients name their session (Codex: the first two; opencode: the last), best first."""
HEADERS = FORWARDED + SESSIONS
_OTHER_BEGINNINGS = ("prompt", PREVIOUS, "conversation")
"""What a request may go on from, in place of `input`."""
COUNTED = frozenset(
    {
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "personality",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    }
)
"""The fields that the counting endpoint takes; any other is an error to it."""
_STARTS = b'"['
_encode = msgspec.json.encode


class _Body(msgspec.Struct, gc=False):
    output: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = NULL
    error: Any = None
    status: Any = None


class _Count(msgspec.Struct, gc=False):
    input_tokens: int


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_count = msgspec.json.Decoder(_Count).decode


def _is_set(fields: Fields, name: str) -> bool:
    return name in fields and bytes(fields[name]) not in (b"null", b'""')


class ResponsesDialect(Parsing):
    """The API's main endpoint."""

    def _envelope(self, endpoint: Endpoint, body: bytes, fields: Fields, context: Context) -> Envelope:
        envelope = Envelope(
            endpoint=endpoint,
            model=read_text(fields, "model"),
            stream=False,
            max_output_tokens=None,
            choices=1,
            shows_usage=True,
            input_estimate=estimate_input(body),
            body=body,
            fields=fields,
            intent=read_text(fields, "intent"),
            session=read_text(fields, "prompt_cache_key"),
            went_on_from=context.went_on_from,
        )
        if not envelope.model and not envelope.intent:
            raise InvalidRequest("Model is required", param="model")
        self._check_input(fields)
        self._read_options(envelope)
        if context.headers:
            self._read_headers(envelope, context)
        return envelope

    @staticmethod
    def _check_input(fields: Fields) -> None:
        """Look at the first byte only: the value itself is the upstream's business, and may be large."""
        raw = fields.get("input")
        if raw is not None and memoryview(raw)[0] in _STARTS:
            return
        if _is_set(fields, "input"):
            raise InvalidRequest("input must be a string or an array", param="input")
        if not any(_is_set(fields, name) for name in _OTHER_BEGINNINGS):
            raise InvalidRequest("input is required", param="input")

    def _read_options(self, envelope: Envelope) -> None:
        fields = envelope.fields
        stream = read_flag(fields, "stream")
        envelope.stream = envelope.endpoint.stream_default if stream is None else stream
        envelope.max_output_tokens = read_integer(fields, "max_output_tokens", 1)
        read_flag(fields, "store")  # whoever keeps the answer goes by it
        if read_flag(fields, "background"):
            # Its answer would come by another request, after this one was settled.
            raise InvalidRequest("background responses are not supported", param="background")

    @staticmethod
    def _read_headers(envelope: Envelope, context: Context) -> None:
        given = context.headers
        envelope.headers = tuple((name.decode(), given[name].decode("latin-1")) for name in FORWARDED if name in given)
        if not envelope.session:
            named = (given[name].decode("latin-1") for name in SESSIONS if given.get(name))
            envelope.session = next(named, None)

    def build(self, envelope: Envelope, model: str, *, drop: frozenset[str], rename: Renames) -> bytes:
        fields = envelope.fields
        envelope.dropped = ()
        sealed = SEAL_IN_JSON in envelope.body
        is_touched = sealed or model != envelope.model or not self._is_clean(fields)
        if not is_touched and drop.isdisjoint(fields) and not any(given in fields for given, _ in rename):
            return envelope.body
        outgoing = self._outgoing(fields)
        outgoing["model"] = msgspec.Raw(_encode(model))
        for given, taken in rename:
            value = outgoing.pop(given, None)
            if value is not None and not _is_set(outgoing, taken):
                outgoing[taken] = value
        for name in (OURS | drop) & outgoing.keys():
            del outgoing[name]
        if sealed:
            self._unburden(envelope, outgoing)
        return _encode(outgoing)

    def _is_clean(self, fields: Fields) -> bool:
        """Whether the upstream takes every field as it is."""
        return OURS.isdisjoint(fields)

    def _outgoing(self, fields: Fields) -> Fields:
        """The client's fields that go to the upstream, in a dictionary of their own."""
        return fields.copy()

    @staticmethod
    def _unburden(envelope: Envelope, outgoing: Fields) -> None:
        """Take the reasoning of other formats' models out of the history: their tokens mean nothing to this one."""
        items = input_items(outgoing)
        kept = without_sealed(items)
        if len(kept) < len(items):
            outgoing["input"] = msgspec.Raw(_encode(kept))
            envelope.dropped = ("thinking",)

    def read_answer(self, body: bytes) -> Answer:
        try:
            read = _decode_body(body)
            if read.error is not None:
                return Answer(error=error_text(read.error))
            if read.output is None:
                raise Garbage("an answer without output")
            size = sum(map(item_size, read.output))
        except UNREADABLE as exc:
            raise Garbage(str(exc)) from exc
        if read.status == "failed":
            return Answer(error=error_text({}))
        usage = read_usage(read.usage)
        is_empty = not size and not (usage is not None and usage.output_total)
        return Answer(usage=usage, output_bytes=size, is_empty=is_empty, is_complete=True)

    def render_answer(self, envelope: Envelope, body: bytes, usage: Usage, charged: Micro) -> bytes:
        return with_previous(body, envelope.went_on_from)

    def stream(self, envelope: Envelope) -> ResponsesStream:
        return ResponsesStream(envelope)


class CompactDialect(ResponsesDialect):
    """Compaction: the same request, and an answer (`response.compaction`) whose output is the shorter history."""

    def _read_options(self, envelope: Envelope) -> None:
        """It has none: it never streams and takes no limit."""


class CountDialect(ResponsesDialect):
    """Counting the tokens of a request."""

    def _read_options(self, envelope: Envelope) -> None:
        """It has none: nothing is generated."""

    def _is_clean(self, fields: Fields) -> bool:
        return fields.keys() <= COUNTED

    def _outgoing(self, fields: Fields) -> Fields:
        return {name: raw for name, raw in fields.items() if name in COUNTED}

    def read_answer(self, body: bytes) -> Answer:
        try:
            _decode_count(body)
        except UNREADABLE as exc:
            raise Garbage(str(exc)) from exc
        return Answer(is_complete=True)

    def render_count(self, tokens: int) -> bytes:
        """An answer of our own, where no upstream can count."""
        return _encode({"object": "response.input_tokens", "input_tokens": tokens})
