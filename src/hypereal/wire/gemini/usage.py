"""Usage as Google reports it: `usageMetadata`, counted up in every chunk of a stream."""

from __future__ import annotations

import msgspec

from hypereal.wire.base import Usage


class UsageFields(msgspec.Struct, gc=False, rename="camel"):
    """The `usageMetadata` object. The prompt includes what was read from the cache, the candidates exclude thoughts."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None

    @property
    def counts_something(self) -> bool:
        return not (self.prompt_token_count is self.candidates_token_count is self.thoughts_token_count is None)


def to_usage(fields: UsageFields | None) -> Usage | None:
    """Disjoint kinds; None when nothing was counted, which is not the same as zero."""
    if fields is None or not fields.counts_something:
        return None
    prompt = max(fields.prompt_token_count or 0, 0)
    cached = min(max(fields.cached_content_token_count or 0, 0), prompt)
    return Usage(
        input=prompt - cached + max(fields.tool_use_prompt_token_count or 0, 0),
        cache_read=cached,
        output=max(fields.candidates_token_count or 0, 0),
        reasoning=max(fields.thoughts_token_count or 0, 0),
    )


def render_usage(usage: Usage) -> dict[str, int]:
    """`usage` as Google would report it."""
    rendered = {"promptTokenCount": usage.input_total, "candidatesTokenCount": usage.output}
    if usage.reasoning:
        rendered["thoughtsTokenCount"] = usage.reasoning
    if usage.cache_read:
        rendered["cachedContentTokenCount"] = usage.cache_read
    return {**rendered, "totalTokenCount": usage.input_total + usage.output_total}
