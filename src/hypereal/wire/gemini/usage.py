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


def to_usage(fields: UsageFields | None) -> Usage | None:
    """Disjoint kinds; None when nothing was counted, which is not the same as zero."""
    if fields is None:
        return None
    counts = fields.prompt_token_count, fields.candidates_token_count, fields.thoughts_token_count
    if counts == (None, None, None):
        return None
    prompt, output, reasoning = (max(count or 0, 0) for count in counts)
    cached = min(max(fields.cached_content_token_count or 0, 0), prompt)
    return Usage(
        input=prompt - cached + max(fields.tool_use_prompt_token_count or 0, 0),
        cache_read=cached,
        output=output,
        reasoning=reasoning,
    )


def render_usage(usage: Usage) -> dict[str, int]:
    """`usage` as Google would report it."""
    rendered = {"promptTokenCount": usage.input_total, "candidatesTokenCount": usage.output}
    if usage.reasoning:
        rendered["thoughtsTokenCount"] = usage.reasoning
    if usage.cache_read:
        rendered["cachedContentTokenCount"] = usage.cache_read
    return {**rendered, "totalTokenCount": usage.input_total + usage.output_total}
