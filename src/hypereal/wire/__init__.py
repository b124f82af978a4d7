"""The wire formats, and `ENDPOINTS`: the table of contents of the product.

Pure: bytes to meaning and back. A new path for a known format is one line here; a new format is one folder and its
lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hypereal.wire import anthropic, gemini, openai_chat, openai_responses
from hypereal.wire.base import Counter, Dialect, Endpoint, Family, Kind
from hypereal.wire.codec import Codec
from hypereal.wire.gemini_or_chat import GeminiOrChat
from hypereal.wire.native_chat import NativeChat
from hypereal.wire.openai_chat.native import OpenAIDialect


def _openai(path: str, kind: Kind, dialect: str) -> Endpoint:
    return Endpoint(path=path, kind=kind, dialect=dialect, family=Family.OPENAI)


def _native(path: str) -> Endpoint:
    return Endpoint(path=path, kind=Kind.CHAT, dialect="native_chat", family=Family.NATIVE, stream_default=True)


def _anthropic(path: str, kind: Kind, dialect: str) -> Endpoint:
    return Endpoint(path=path, kind=kind, dialect=dialect, family=Family.ANTHROPIC, headers=anthropic.HEADERS)


def _responses(path: str, kind: Kind, dialect: str) -> Endpoint:
    return Endpoint(
        path=path,
        kind=kind,
        dialect=dialect,
        family=Family.OPENAI,
        headers=openai_responses.HEADERS,
        goes_on=True,
        has_socket=kind is Kind.CHAT,
    )


def _gemini(verb: str, kind: Kind, dialect: str, *, streams: bool = False) -> tuple[Endpoint, ...]:
    """A verb on each of the paths that Google's clients know."""
    return tuple(
        Endpoint(
            path=f"{version}/models/{{model}}:{verb}",
            kind=kind,
            dialect=dialect,
            family=Family.GEMINI,
            stream_default=streams,
        )
        for version in ("/v1beta", "/v1")
    )


ENDPOINTS: tuple[Endpoint, ...] = (
    _openai("/v1/chat/completions", Kind.CHAT, "openai_chat"),
    _openai("/v1/completions", Kind.COMPLETION, "openai_completion"),
    _openai("/v1/embeddings", Kind.EMBEDDING, "openai_embedding"),
    _native("/v1/chat"),
    _native("/v1/spicy-chat"),
    _responses("/v1/responses", Kind.CHAT, "openai_responses"),
    _responses("/v1/responses/compact", Kind.COMPACT, "openai_responses_compact"),
    _responses("/v1/responses/input_tokens", Kind.COUNT, "openai_responses_count"),
    _anthropic("/v1/messages", Kind.CHAT, "anthropic"),
    _anthropic("/v1/messages/count_tokens", Kind.COUNT, "anthropic_count"),
    Endpoint(path="/v1/gemini", kind=Kind.CHAT, dialect="gemini_or_chat", family=Family.GEMINI),
    *_gemini("generateContent", Kind.CHAT, "gemini"),
    *_gemini("streamGenerateContent", Kind.CHAT, "gemini", streams=True),
    *_gemini("countTokens", Kind.COUNT, "gemini_count"),
)

COUNTERS: Mapping[str, Counter] = MappingProxyType(
    {
        "anthropic_count": anthropic.AnthropicCount(),
        "gemini_count": gemini.GeminiCount(),
        "openai_responses_count": openai_responses.CountDialect(),
    }
)
"""The dialects of endpoints that count tokens."""

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "openai_chat": OpenAIDialect("messages"),
        "openai_completion": OpenAIDialect("prompt"),
        "openai_embedding": OpenAIDialect("input", streams=False),
        "native_chat": NativeChat(),
        "openai_responses": openai_responses.ResponsesDialect(),
        "openai_responses_compact": openai_responses.CompactDialect(),
        "anthropic": anthropic.AnthropicMessages(),
        "gemini": gemini.GeminiDialect(),
        "gemini_or_chat": GeminiOrChat(),
        "gemini_chat": OpenAIDialect("messages"),
        **COUNTERS,
    }
)

CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        "openai_chat": openai_chat.CODEC,
        "openai_responses": openai_responses.CODEC,
        "anthropic": anthropic.CODEC,
        "gemini": gemini.CODEC,
    }
)
"""The formats that translate into each other, by the names of their dialects."""

__all__ = ["CODECS", "COUNTERS", "DIALECTS", "ENDPOINTS", "Codec", "Counter", "Dialect", "Endpoint", "Family", "Kind"]
