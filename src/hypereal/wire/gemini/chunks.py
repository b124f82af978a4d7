"""What an upstream answers with: a whole answer and a chunk of a stream have one shape, `GenerateContentResponse`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from hypereal.kit.sse import event_data
from hypereal.wire.base import Garbage
from hypereal.wire.conversation import Foreign
from hypereal.wire.fields import IMAGE_TOKENS, LIKELY_BYTES_PER_TOKEN, UNREADABLE
from hypereal.wire.gemini.usage import UsageFields

NO_ARGS = msgspec.Raw(b"{}")
_ABOUT = frozenset({"thought", "thoughtSignature", "mediaResolution", "videoMetadata", "partMetadata"})
"""What says something about a part and is not the part itself."""
_FILE_BYTES = IMAGE_TOKENS * LIKELY_BYTES_PER_TOKEN
"""What an inline file counts for in estimates: its base64 text would suggest a hundred times that."""

# Google's finish reasons that say that it would not answer.
REFUSALS = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
        "ESCALATION",
    }
)


class FunctionCall(msgspec.Struct, gc=False):
    name: str | None = None
    id: str | None = None
    args: msgspec.Raw = NO_ARGS


class Blob(msgspec.Struct, gc=False, rename="camel"):
    mime_type: str | None = None
    data: str | None = None
    display_name: str | None = None


class FileData(msgspec.Struct, gc=False, rename="camel"):
    mime_type: str | None = None
    file_uri: str | None = None
    display_name: str | None = None


class Part(msgspec.Struct, gc=False, rename="camel"):
    """The parts that have a place in every format; any other has none of these fields."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None


class Content(msgspec.Struct, gc=False):
    parts: list[Part] | None = None


class Candidate(msgspec.Struct, gc=False, rename="camel"):
    content: Content | None = None
    index: int | None = None
    finish_reason: str | None = None
    finish_message: str | None = None


class PromptFeedback(msgspec.Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class BareChunk(msgspec.Struct, gc=False, rename="camel"):
    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None

    @property
    def is_blocked(self) -> bool:
        """Whether the prompt itself was refused."""
        return self.prompt_feedback is not None and bool(self.prompt_feedback.block_reason)


class Chunk(BareChunk, gc=False, rename="camel"):
    usage_metadata: UsageFields | None = None


class _RawContent(msgspec.Struct, gc=False):
    parts: list[msgspec.Raw] | None = None


class _RawCandidate(msgspec.Struct, gc=False):
    content: _RawContent | None = None


class _RawChunk(msgspec.Struct, gc=False):
    candidates: list[_RawCandidate]


_decode_chunk = msgspec.json.Decoder(Chunk).decode
_decode_bare_chunk = msgspec.json.Decoder(BareChunk).decode
_decode_raw_chunk = msgspec.json.Decoder(_RawChunk).decode


def read_chunk(data: bytes) -> Chunk | BareChunk:
    """One answer or chunk; raises `Garbage` when it is not one. A usage object of an unknown shape is no usage."""
    try:
        return _decode_chunk(data)
    except msgspec.ValidationError:
        try:
            return _decode_bare_chunk(data)
        except UNREADABLE as exc:
            raise Garbage(str(exc)) from exc
    except UNREADABLE as exc:
        raise Garbage(str(exc)) from exc


def chunk_data(event: bytes) -> bytes:
    """The JSON in one event; nothing for an event without any. Google writes one line, and ends it with CRLF."""
    if event.startswith(b"data: ") and event.find(b"\n") >= len(event) - 3:
        return event[6:].rstrip()
    return (event_data(event) or b"").strip()


def usage_fields(chunk: Chunk | BareChunk) -> UsageFields | None:
    return chunk.usage_metadata if isinstance(chunk, Chunk) else None


def raw_part(data: bytes, candidate: int, part: int) -> bytes:
    """The bytes of one part of a chunk that `read_chunk` has read."""
    content = _decode_raw_chunk(data).candidates[candidate].content
    parts = content.parts if content is not None else None
    return bytes(parts[part]) if parts else b""


def foreign_block(raw: bytes, names: Iterable[str]) -> Foreign | None:
    """A part that only Google knows, by the names of its fields; None for one that says nothing."""
    kind = next((name for name in names if name not in _ABOUT), None)
    return Foreign(origin="gemini", kind=kind, raw=raw) if kind else None


def error_text(error: Any) -> str:
    """The message in an `error` field."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("status") or "unnamed error")
    return str(error)


def _part_bytes(part: Part) -> int:
    size = len(part.text.encode()) if part.text else 0
    if part.function_call is not None:
        size += len((part.function_call.name or "").encode()) + len(part.function_call.args)
    return size + _FILE_BYTES if part.inline_data is not None or part.file_data is not None else size


def generated_bytes(candidates: Iterable[Candidate] | None) -> int:
    """Bytes of generated text and calls."""
    return sum(
        _part_bytes(part)
        for candidate in candidates or ()
        if candidate.content is not None
        for part in candidate.content.parts or ()
    )
