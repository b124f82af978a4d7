"""Settlements for tests: a plausible request, with what the test cares about put in."""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.gateway.records import Settlement

AT = 1_795_000_000.0
"""2026-11-18, in seconds since the epoch."""

PLAIN = Settlement(
    request_id="req_0",
    at=AT,
    wallet_id="acct_1",
    key_id="key_1",
    lease_id="",
    period=None,
    credits=0,
    endpoint="/v1/chat/completions",
    model="gpt-5",
    served_model="gpt-5",
    provider="openai",
    attempts=1,
    status=200,
    streamed=False,
    input_tokens=10,
    cache_read_tokens=0,
    cache_write_tokens=0,
    output_tokens=20,
    reasoning_tokens=0,
    basis="provider",
    latency_ms=120,
    first_token_ms=None,
    error=None,
)


def settlement(**fields: Any) -> Settlement:
    """A settlement of a request that cost nothing, changed as told."""
    return msgspec.structs.replace(PLAIN, **fields)
