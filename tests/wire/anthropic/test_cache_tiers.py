"""What Anthropic says of cache writes, by how long they are kept."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from hypereal.wire.anthropic.usage import merge, read_usage_fields, render_usage, to_usage
from hypereal.wire.base import Usage


def tiers(minutes: int | None, hour: int | None) -> dict[str, Any]:
    return {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour}


def usage_of(*said: dict[str, Any]) -> Usage:
    """What a message, or the events of a stream one after the other, say in all."""
    fields = None
    for usage in said:
        raw = msgspec.Raw(json.dumps({"input_tokens": 3, "output_tokens": 4, **usage}).encode())
        fields = merge(fields, read_usage_fields(raw))
    found = to_usage(fields)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("said", "minutes", "hour"),
    [
        ({}, 0, 0),
        ({"cache_creation_input_tokens": 12}, 12, 0),
        ({"cache_creation_input_tokens": 12, "cache_creation": None}, 12, 0),
        ({"cache_creation_input_tokens": 12, "cache_creation": tiers(5, 7)}, 5, 7),
        ({"cache_creation_input_tokens": 12, "cache_creation": tiers(None, 7)}, 5, 7),
        ({"cache_creation_input_tokens": 12, "cache_creation": tiers(0, 70)}, 0, 12),
        ({"cache_creation_input_tokens": -1, "cache_creation": tiers(-5, -7)}, 0, 0),
        ({"cache_creation": tiers(5, 7)}, 5, 7),
    ],
)
def test_writes_are_told_apart_by_how_long_they_are_kept(said: dict[str, Any], minutes: int, hour: int) -> None:
    assert usage_of(said) == Usage(input=3, output=4, cache_write=minutes, cache_write_1h=hour)


def test_a_stream_that_ends_with_the_total_keeps_what_its_start_said() -> None:
    start = {"cache_creation_input_tokens": 12, "cache_creation": tiers(5, 7)}
    assert usage_of(start, {"cache_creation_input_tokens": 12}).cache_write_1h == 7


def test_usage_is_shown_as_it_was_said() -> None:
    said = Usage(input=3, output=4, cache_read=9, cache_write=5, cache_write_1h=7)
    shown = render_usage(said)
    assert shown["cache_creation_input_tokens"] == 12
    assert usage_of(shown) == said
    assert shown["cache_creation"] == {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 7}
