"""Google's `generateContent` and `streamGenerateContent`: requests and whole answers.

The model and whether to stream stand in the path, so a body has neither; `POST /v1/gemini` takes both in the body.
Reference: the Gemini API's reference, "Generating content"; api.md section 8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.kit.money import Micro
from hypereal.wire.base import Answer, Context, Endpoint, Envelope, Renames, Usage
from hypereal.wire.fields import DATA_FIELDS, Fields, estimate_input, read_flag, read_integer, read_list, read_text
from hypereal.wire.gemini.chunks import REFUSALS, error_text, generated_bytes, read_chunk, usage_fields
from hypereal.wire.gemini.signatures import without_seals
from hypereal.wire.gemini.spelling import is_string, read_object, spelled
from hypereal.wire.gemini.stream import GeminiStream
from hypereal.wire.gemini.usage import to_usage
from hypereal.wire.opaque import SEAL_IN_JSON
from hypereal.wire.parsing import Parsing

OURS = frozenset({"hypereal", "intent", "model", "stream"})
"""Fields that speak to this server and never reach an upstream."""
MAX_CANDIDATES = 8  # the ceiling in Google's reference
_ASK_FOR_EVENTS = frozenset({b"alt=sse", b"$alt=sse", b"%24alt=sse"})
_MODEL_PREFIX = re.compile(r"^(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?models/")
_ARRAY, _OBJECT = b"[{"
_encode = msgspec.json.encode


def speaks_openai(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether a body of `/v1/gemini` has the shape of Chat Completions, and wants its answer in it."""
    return "messages" in fields and "contents" not in fields


def model_name(given: str | None) -> str | None:
    """A model without the collections that Google's clients put before its name."""
    return _MODEL_PREFIX.sub("", given) if given else None


def _prose(raw: msgspec.Raw) -> dict[str, list[dict[str, msgspec.Raw]]]:
    return {"parts": [{"text": raw}]}


def _whole_contents(fields: Fields) -> msgspec.Raw | None:
    """`contents` as Google takes them, where a client wrote a single turn or a plain string; None when they are."""
    raw = fields.get("contents")
    start = bytes(memoryview(raw)[:2]) if raw is not None else b""
    if raw is None or (start and start[0] == _ARRAY and start[1] == _OBJECT):
        return None if raw is not None else msgspec.Raw(_encode(read_list(fields, "contents")))
    if start[0] == _OBJECT:
        return msgspec.Raw(b"[" + bytes(raw) + b"]")
    if is_string(raw):
        return msgspec.Raw(_encode([{"role": "user", **_prose(raw)}]))
    items = read_list(fields, "contents")
    if not any(map(is_string, items)):
        return None
    return msgspec.Raw(_encode([{"role": "user", **_prose(item)} if is_string(item) else item for item in items]))


def _completed(fields: Fields) -> Fields:
    """The fields with the short forms written out that Google's SDKs know and its API does not."""
    completed: Fields = {}
    contents = _whole_contents(fields)
    if contents is not None:
        completed["contents"] = contents
    system = fields.get("systemInstruction")
    if system is not None and is_string(system):
        completed["systemInstruction"] = msgspec.Raw(_encode(_prose(system)))
    return completed


def _asks_for_array(context: Context) -> bool:
    """Whether a stream on a native path goes to the client as one JSON array: unless it says `alt=sse`."""
    return context.model is not None and _ASK_FOR_EVENTS.isdisjoint(context.query.split(b"&"))


def _edited(fields: Fields, drop: frozenset[str], rename: Renames) -> tuple[Fields, tuple[str, ...]]:
    """The fields without those to be dropped, which are named, and with those to be renamed under their new names."""
    dropped = tuple(name for name in fields if name in drop or name in OURS)
    edited = {name: value for name, value in fields.items() if name not in dropped}
    for given, taken in rename:
        if given in edited:
            edited.setdefault(taken, edited[given])
            del edited[given]
    return edited, tuple(name for name in dropped if name not in OURS)


def without_refused(fields: Fields, drop: frozenset[str], rename: Renames) -> tuple[Fields, tuple[str, ...]]:
    """The same for a whole request, whose options stand in its `generationConfig`."""
    edited, dropped = _edited(fields, drop, rename)
    if "generationConfig" in edited and (drop or rename):
        config = read_object(edited, "generationConfig")
        kept, also = _edited(config, drop, rename)
        if kept != config:
            edited["generationConfig"] = msgspec.Raw(_encode(kept))
            dropped += also
    return edited, dropped


class GeminiDialect(Parsing):
    """Google's own format for generating content."""

    required = "contents"

    def _envelope(self, endpoint: Endpoint, body: bytes, fields: Fields, context: Context) -> Envelope:
        fields = spelled(fields)
        model = model_name(context.model or read_text(fields, "model"))
        intent = read_text(fields, "intent")
        if not model and not intent:
            raise InvalidRequest("Model is required", param="model")
        stream = endpoint.stream_default
        if context.model is None:
            stream = read_flag(fields, "stream") or stream
        completed = self._completed(fields)
        if completed:
            fields = {**fields, **completed}
            body = _encode(fields)
        config = read_object(fields, "generationConfig")
        return Envelope(
            endpoint=endpoint,
            model=model,
            stream=stream,
            max_output_tokens=read_integer(config, "maxOutputTokens", 1),
            choices=read_integer(config, "candidateCount", 1, MAX_CANDIDATES) or 1,
            shows_usage=True,
            input_estimate=estimate_input(body, DATA_FIELDS),
            body=body,
            fields=fields,
            intent=intent,
            session=read_text(fields, "cachedContent"),
            as_array=stream and _asks_for_array(context),
        )

    def _completed(self, fields: Fields) -> Fields:
        return _completed(fields)

    def build(self, envelope: Envelope, model: str, *, drop: frozenset[str], rename: Renames) -> bytes:
        fields, envelope.dropped = without_refused(envelope.fields, drop, rename)
        if SEAL_IN_JSON in envelope.body and "contents" in fields:
            fields["contents"] = without_seals(fields, model)
            envelope.dropped += ("thinking",)
        return envelope.body if fields == envelope.fields else _encode(fields)

    def read_answer(self, body: bytes) -> Answer:
        chunk = read_chunk(body)
        if chunk.error is not None:
            return Answer(error=error_text(chunk.error))
        usage = to_usage(usage_fields(chunk))
        size = generated_bytes(chunk.candidates)
        refused = chunk.is_blocked or any(one.finish_reason in REFUSALS for one in chunk.candidates or ())
        generated = size > 0 or (usage is not None and usage.output_total > 0)
        return Answer(usage=usage, is_empty=not generated and not refused, output_bytes=size, is_complete=True)

    def render_answer(self, envelope: Envelope, body: bytes, usage: Usage, charged: Micro) -> bytes:
        return body

    def stream(self, envelope: Envelope) -> GeminiStream:
        return GeminiStream(as_array=envelope.as_array)
