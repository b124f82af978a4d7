"""Google AI Studio: Gemini's own format, and beside it Google's rendering of OpenAI's API.

`base_url` is given with or without `/openai`. Reference: ai.google.dev, "Gemini API" and "OpenAI compatibility".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

from hypereal.catalog.types import Target, Upstream
from hypereal.providers.openai import OpenAIAdapter
from hypereal.wire.base import Kind

VERBS: Mapping[tuple[Kind, bool], str] = MappingProxyType(
    {
        (Kind.CHAT, False): "generateContent",
        (Kind.CHAT, True): "streamGenerateContent?alt=sse",
        (Kind.COUNT, False): "countTokens",
        (Kind.COUNT, True): "countTokens",
    }
)


class GoogleAdapter(OpenAIAdapter):
    """Gemini models by path and verb; the other formats below `/openai`."""

    def suffix(self, target: Target, kind: Kind, *, dialect: str, stream: bool) -> str:
        if dialect != "gemini":
            return f"openai/{super().suffix(target, kind, dialect=dialect, stream=stream)}"
        return f"models/{quote(target.model, safe='')}:{VERBS[kind, stream]}"

    def path(self, target: Target, base: str, *, suffix: str) -> str:
        return f"{base.removesuffix('/openai')}/{suffix}"

    def signature(self, upstream: Upstream, dialect: str) -> dict[str, str]:
        if upstream.secret is not None and dialect == "gemini":
            return {"x-goog-api-key": upstream.secret}
        return super().signature(upstream, dialect)
