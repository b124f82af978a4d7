"""Google's `countTokens`: what a request would cost to read."""

from __future__ import annotations

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.wire.base import Answer, Envelope, Garbage, Renames
from hypereal.wire.fields import UNREADABLE, Fields
from hypereal.wire.gemini.native import GeminiDialect, without_refused
from hypereal.wire.gemini.signatures import without_seals
from hypereal.wire.gemini.spelling import read_object
from hypereal.wire.opaque import SEAL_IN_JSON

WRAPPED = "generateContentRequest"
"""The field that holds a whole request; its contents alone may stand beside it."""


class _Count(msgspec.Struct, gc=False, rename="camel"):
    total_tokens: int


_decode_count = msgspec.json.Decoder(_Count).decode
_encode = msgspec.json.encode


class GeminiCount(GeminiDialect):
    """Counting. The Gemini API counts `contents`, or a whole request when it is wrapped; Vertex AI knows no wrapping:
    a row that drops `generateContentRequest` is sent its fields as they are."""

    def _completed(self, fields: Fields) -> Fields:
        if WRAPPED not in fields:
            return super()._completed(fields)
        inner = read_object(fields, WRAPPED)
        if "contents" not in inner:
            raise InvalidRequest(f"{WRAPPED}.contents must be a non-empty array", param="contents")
        return {WRAPPED: msgspec.Raw(_encode({**inner, **super()._completed(inner)}))}

    def build(self, envelope: Envelope, model: str, *, drop: frozenset[str], rename: Renames) -> bytes:
        given = {**envelope.fields, **read_object(envelope.fields, WRAPPED)}
        request, envelope.dropped = without_refused(given, drop | {WRAPPED}, rename)
        if SEAL_IN_JSON in envelope.body:
            request["contents"] = without_seals(request, model)
            envelope.dropped += ("thinking",)
        if WRAPPED not in drop and request.keys() != {"contents"}:
            return _encode({WRAPPED: {"model": f"models/{model}", **request}})
        return _encode(request)

    def read_answer(self, body: bytes) -> Answer:
        try:
            _decode_count(body)
        except UNREADABLE as exc:
            raise Garbage(str(exc)) from exc
        return Answer(is_complete=True)

    def render_count(self, tokens: int) -> bytes:
        """The answer for an estimate of our own."""
        return _encode({"totalTokens": tokens})
