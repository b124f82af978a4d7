"""Usage as the Responses API reports it."""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.wire.base import Usage
from hypereal.wire.fields import UNREADABLE


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


_decode = msgspec.json.Decoder(_Usage | None).decode


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """Disjoint kinds from the `usage` object; None when nothing was counted or its shape is not the API's."""
    try:
        fields = _decode(raw)
    except UNREADABLE:
        return None
    if fields is None or (fields.input_tokens is None and fields.output_tokens is None):
        return None
    given = max(fields.input_tokens or 0, 0)
    generated = max(fields.output_tokens or 0, 0)
    details = fields.input_tokens_details or _InputDetails()
    read = min(max(details.cached_tokens or 0, 0), given)
    write = min(max(details.cache_write_tokens or 0, 0), given - read)
    thought = (fields.output_tokens_details or _OutputDetails()).reasoning_tokens or 0
    reasoning = min(max(thought, 0), generated)
    return Usage(
        input=given - read - write,
        cache_read=read,
        cache_write=write,
        output=generated - reasoning,
        reasoning=reasoning,
    )


def render_usage(usage: Usage) -> dict[str, Any]:
    """The `usage` object of an answer."""
    return {
        "input_tokens": usage.input_total,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
        },
        "output_tokens": usage.output_total,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input_total + usage.output_total,
    }
