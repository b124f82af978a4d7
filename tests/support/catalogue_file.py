"""The `hypereal.toml` of a server under test: one upstream and one model for every lane of the faulty upstream.

A lane (`stall~stream`) is a model id, an upstream id and a path of the faulty upstream at once, so a test reads as what
it provokes. `lane+backup` is a model that tries the lane first and a sound upstream after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

PRICE: Mapping[str, str] = {"input": "1", "cache_read": "0.5", "output": "2", "reasoning": "3"}
"""US dollars for a million tokens; each kind has a rate of its own, so that no mix-up goes unnoticed."""
MICRO_PER_TOKEN: Mapping[str, int] = {
    "input": 100,
    "cache_read": 50,
    "cache_write": 100,
    "cache_write_1h": 100,
    "output": 200,
    "reasoning": 300,
}
"""`PRICE` in micro-credits for one token."""
COST_OF_OK = 100 * 100 + 20 * 50 + 30 * 200 + 10 * 300
"""Micro-credits for `openai_format.USAGE`."""
COST_OF_EMBEDDING = 120 * 100
BACKUP = "backup"
DEADLINES: Mapping[str, float] = {"connect_timeout_s": 0.3, "first_byte_timeout_s": 0.4, "silence_timeout_s": 0.4}
"""For lanes that are to time out, so that nobody waits for them; the others keep the defaults."""


def upstream_row(lane: str, base_url: str, **more: Any) -> dict[str, Any]:
    """An upstream of this id. Without `key_env` it needs no credentials."""
    return {"id": lane, "base_url": base_url, "kinds": ["chat", "completion", "embedding"], **more}


def model_row(model: str, targets: Iterable[str], **more: Any) -> dict[str, Any]:
    """A model served by these targets, each `upstream:model name there`."""
    return {
        "id": model,
        "owner": "tests",
        "kinds": ["chat", "completion", "embedding"],
        "price": dict(PRICE),
        "context_tokens": 128_000,
        "max_output_tokens": 16_000,
        "default_output_tokens": 1_000,
        "targets": list(targets),
        **more,
    }


def lane_rows(lane: str, base_url: str, **more: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The upstream of a lane and its two models: alone, and with a backup behind it."""
    target = f"{lane}:served-{lane}"
    models = [model_row(lane, [target]), model_row(f"{lane}+backup", [target, f"{BACKUP}:served-backup"])]
    return upstream_row(lane, base_url, **more), models


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def _table(kind: str, row: Mapping[str, Any]) -> str:
    return "\n".join([f"[[{kind}]]", *(f"{name} = {_value(value)}" for name, value in row.items()), ""])


def render(upstreams: Iterable[Mapping[str, Any]], models: Iterable[Mapping[str, Any]]) -> str:
    """The rows as TOML."""
    tables = [*(_table("upstreams", row) for row in upstreams), *(_table("models", row) for row in models)]
    return "\n".join(tables)
