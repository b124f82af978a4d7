"""The wire formats, and `ENDPOINTS`: the table of contents of the product.

Pure: bytes to meaning and back. A new path for a known format is one line here; a new format is one file and its lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hypereal.wire.anthropic import HEADERS as ANTHROPIC_HEADERS
from hypereal.wire.anthropic import AnthropicCount, AnthropicMessages
from hypereal.wire.base import Dialect, Endpoint, Family, Kind
from hypereal.wire.native_chat import NativeChat
from hypereal.wire.openai_chat.native import OpenAIDialect

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(path="/v1/chat/completions", kind=Kind.CHAT, dialect="openai_chat", family=Family.OPENAI),
    Endpoint(path="/v1/completions", kind=Kind.COMPLETION, dialect="openai_completion", family=Family.OPENAI),
    Endpoint(path="/v1/embeddings", kind=Kind.EMBEDDING, dialect="openai_embedding", family=Family.OPENAI),
    Endpoint(path="/v1/chat", kind=Kind.CHAT, dialect="native_chat", family=Family.NATIVE, stream_default=True),
    Endpoint(path="/v1/spicy-chat", kind=Kind.CHAT, dialect="native_chat", family=Family.NATIVE, stream_default=True),
    Endpoint(
        path="/v1/messages",
        kind=Kind.CHAT,
        dialect="anthropic",
        family=Family.ANTHROPIC,
        headers=ANTHROPIC_HEADERS,
    ),
    Endpoint(
        path="/v1/messages/count_tokens",
        kind=Kind.COUNT,
        dialect="anthropic_count",
        family=Family.ANTHROPIC,
        headers=ANTHROPIC_HEADERS,
    ),
)

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "openai_chat": OpenAIDialect("messages"),
        "openai_completion": OpenAIDialect("prompt"),
        "openai_embedding": OpenAIDialect("input", streams=False),
        "native_chat": NativeChat(),
        "anthropic": AnthropicMessages(),
        "anthropic_count": AnthropicCount(),
    }
)

__all__ = ["DIALECTS", "ENDPOINTS", "Dialect", "Endpoint", "Family", "Kind"]
