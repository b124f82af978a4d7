"""The records of a journal: what a server process appends about each request, and the writer applies.

One record carries both the charge and the usage row, so money and log cannot disagree (credits.md, invariant 5).
Encoded as msgpack arrays: small, and quick enough for the end of every request.
"""

from __future__ import annotations

import msgspec


class Settlement(msgspec.Struct, frozen=True, array_like=True, tag="s", gc=False):
    """The end of a request: what was charged against which lease or hold, and its row in the request log.

    `at` is seconds since the epoch. `lease_id` is None when the request held for itself (a `holds` row under its own
    request id) and "" when it never held anything. `credits` is micro-credits; zero makes no ledger entry.
    `cache_savings` is what it would have cost more without caches, negative when they cost more than they saved.
    `cache_family` is the same for requests whose prompts start alike, and "" when no cache was used. New fields go last
    and have defaults: a journal may be older than the writer.
    """

    request_id: str
    at: float
    wallet_id: str
    key_id: str | None
    lease_id: str | None
    period: str | None
    credits: int
    endpoint: str
    model: str
    served_model: str | None
    provider: str | None
    attempts: int
    status: int
    streamed: bool
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    basis: str
    latency_ms: int
    first_token_ms: int | None
    error: str | None
    cache_write_1h_tokens: int = 0
    cache_savings: int = 0
    cache_family: str = ""


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="o", gc=False):
    """A stream whose first event went to the client: from here on a crash owes the wallet's charge for what was sent.

    `provisional` is what to settle when nothing further is found.
    """

    provisional: Settlement


class Progress(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="p", gc=False):
    """How far an open stream has come, noted about once a second; replaces the estimate of its `Opened`."""

    request_id: str
    credits: int
    output_tokens: int


Record = Settlement | Opened | Progress
