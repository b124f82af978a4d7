"""Usage as OpenAI-shaped upstreams report it, in the spellings seen in the wild."""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.wire.base import Usage
from hypereal.wire.fields import LIKELY_BYTES_PER_TOKEN


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class UsageFields(msgspec.Struct, gc=False):
    """The `usage` object; DeepSeek reports cache hits in a field of its own."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None


def to_usage(fields: UsageFields | None) -> Usage | None:
    """Disjoint kinds from OpenAI's nested ones; None when nothing was counted, which is not the same as zero."""
    if fields is None or (fields.prompt_tokens is None and fields.completion_tokens is None):
        return None
    prompt = max(fields.prompt_tokens or 0, 0)
    completion = max(fields.completion_tokens or 0, 0)
    details = fields.prompt_tokens_details, fields.completion_tokens_details, fields.prompt_cache_hit_tokens
    if details == (None, None, None):
        return Usage(input=prompt, output=completion)
    read = fields.prompt_cache_hit_tokens or 0
    write = reasoning = 0
    if fields.prompt_tokens_details is not None:
        read = fields.prompt_tokens_details.cached_tokens or read
        write = fields.prompt_tokens_details.cache_write_tokens or 0
    if fields.completion_tokens_details is not None:
        reasoning = fields.completion_tokens_details.reasoning_tokens or 0
    read = min(max(read, 0), prompt)
    write = min(max(write, 0), prompt - read)
    total = fields.total_tokens or 0
    # Some providers (xAI) leave reasoning out of completion_tokens; the total tells.
    separate = reasoning > 0 and total >= prompt + completion + reasoning
    output = completion if separate else completion - min(max(reasoning, 0), completion)
    return Usage(
        input=prompt - read - write,
        cache_read=read,
        cache_write=write,
        output=output,
        reasoning=reasoning if separate else completion - output,
    )


def estimate_tokens(size_bytes: int) -> int:
    """Tokens in `size_bytes` of text, when nobody counted them; at least one for any text."""
    return -(-size_bytes // LIKELY_BYTES_PER_TOKEN)


def render_usage(usage: Usage) -> dict[str, Any]:
    """`usage` in OpenAI's shape, for streams whose upstream sent none."""
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.input_total + usage.output_total,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
