"""Google AI Studio: Gemini's own format, and beside it Google's rendering of OpenAI's API.

`base_url` is given with or without `/openai`. Reference: ai.google.dev, "Gemini API" and "OpenAI compatibility".
"""

from __future__ import annotations

from hypereal.catalog.types import Target, Upstream
from hypereal.providers.openai import OpenAIAdapter
from hypereal.wire.base import Kind


class GoogleAdapter(OpenAIAdapter):
    """Gemini models by path and verb; the other formats below `/openai`."""

    def suffix(self, target: Target, kind: Kind, *, dialect: str, stream: bool) -> str:
        suffix = super().suffix(target, kind, dialect=dialect, stream=stream)
        return suffix if dialect == "gemini" else f"openai/{suffix}"

    def path(self, target: Target, base: str, *, suffix: str) -> str:
        return f"{base.removesuffix('/openai')}/{suffix}"

    def signature(self, upstream: Upstream, dialect: str) -> dict[str, str]:
        if upstream.secret is not None and dialect == "gemini":
            return {"x-goog-api-key": upstream.secret}
        return super().signature(upstream, dialect)
