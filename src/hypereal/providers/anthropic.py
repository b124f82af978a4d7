"""Anthropic's own API: the key in `x-api-key`, and a version of the API that each request names.

`base_url` is given with or without `/v1`, as Anthropic's own clients take it. Reference: platform.claude.com, "API
overview".
"""

from __future__ import annotations

from hypereal.catalog.types import Target, Upstream
from hypereal.providers.openai import OpenAIAdapter


class AnthropicAdapter(OpenAIAdapter):
    """Messages and the counting of their tokens."""

    def path(self, target: Target, base: str, *, suffix: str) -> str:
        return f"{base.removesuffix('/v1')}/v1/{suffix}"

    def signature(self, upstream: Upstream, dialect: str) -> dict[str, str]:
        return {} if upstream.secret is None else {"x-api-key": upstream.secret}
