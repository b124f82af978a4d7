"""Usage as Anthropic reports it: three disjoint kinds of input, and output with the thinking inside.

A stream says it twice: `message_start` carries the input side, `message_delta` the output so far and, in newer versions
of the API, the input side again. Source: the types `Usage` and `MessageDeltaUsage` of Anthropic's SDK.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from hypereal.wire.base import Usage
from hypereal.wire.fields import UNREADABLE


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class UsageFields(msgspec.Struct, gc=False):
    """The `usage` object of a message, of `message_start` and of `message_delta`; None is what was not said."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None


_decode: Callable[[msgspec.Raw], UsageFields | None] = msgspec.json.Decoder(UsageFields | None).decode


def read_usage_fields(raw: msgspec.Raw) -> UsageFields | None:
    """A `usage` object as it came; one of an unknown shape is no usage."""
    try:
        return _decode(raw)
    except UNREADABLE:
        return None


def merge(first: UsageFields | None, last: UsageFields | None) -> UsageFields | None:
    """What a stream said at its start and at its end: the end wins wherever it says something, even zero."""
    if first is None or last is None:
        return last or first
    later = {name: value for name in last.__struct_fields__ if (value := getattr(last, name)) is not None}
    return msgspec.structs.replace(first, **later)


def _cache_writes(fields: UsageFields) -> tuple[int, int]:
    """Tokens written to the cache, to be kept for minutes and for an hour. The total counts where the two differ."""
    tiers = fields.cache_creation or _CacheCreation()
    minutes, hour = max(tiers.ephemeral_5m_input_tokens or 0, 0), max(tiers.ephemeral_1h_input_tokens or 0, 0)
    if fields.cache_creation_input_tokens is None:
        return minutes, hour
    total = max(fields.cache_creation_input_tokens, 0)
    hour = min(hour, total)
    return total - hour, hour


def to_usage(fields: UsageFields | None) -> Usage | None:
    """Disjoint kinds; None when nothing was counted, which is not the same as zero."""
    if fields is None or (fields.input_tokens is None and fields.output_tokens is None):
        return None
    output = max(fields.output_tokens or 0, 0)
    details = fields.output_tokens_details or _OutputDetails()
    minutes, hour = _cache_writes(fields)
    reasoning = min(max(details.thinking_tokens or 0, 0), output)
    return Usage(
        input=max(fields.input_tokens or 0, 0),
        cache_read=max(fields.cache_read_input_tokens or 0, 0),
        cache_write=minutes,
        cache_write_1h=hour,
        output=output - reasoning,
        reasoning=reasoning,
    )


def render_usage(usage: Usage) -> dict[str, Any]:
    """`usage` in Anthropic's shape."""
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output_total,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "server_tool_use": None,
        "service_tier": None,
        "inference_geo": None,
    }
