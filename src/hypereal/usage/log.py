"""Writing the request log: settlements as rows of `usage_records`, by COPY. Reading it is for `reports`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import psycopg

COLUMNS = (
    "request_id",
    "created_at",
    "account_id",
    "key_id",
    "endpoint",
    "model",
    "served_model",
    "provider",
    "attempts",
    "status",
    "streamed",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "credits",
    "basis",
    "latency_ms",
    "first_token_ms",
    "error",
)
_COPY = f"COPY usage_records ({', '.join(COLUMNS)}) FROM STDIN"
_FIND = """
    SELECT request_id FROM usage_records JOIN unnest(%s::text[], %s::timestamptz[]) AS wanted (request_id, created_at)
    USING (request_id, created_at) WHERE usage_records.created_at BETWEEN %s AND %s"""


class Logged(Protocol):
    """What is read of a settlement (`gateway.records.Settlement`, which says what the fields mean)."""

    @property
    def request_id(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def wallet_id(self) -> str: ...
    @property
    def key_id(self) -> str | None: ...
    @property
    def credits(self) -> int: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def served_model(self) -> str | None: ...
    @property
    def provider(self) -> str | None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def status(self) -> int: ...
    @property
    def streamed(self) -> bool: ...
    @property
    def input_tokens(self) -> int: ...
    @property
    def cache_read_tokens(self) -> int: ...
    @property
    def cache_write_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def reasoning_tokens(self) -> int: ...
    @property
    def basis(self) -> str: ...
    @property
    def latency_ms(self) -> int: ...
    @property
    def first_token_ms(self) -> int | None: ...
    @property
    def error(self) -> str | None: ...


def write(cursor: psycopg.Cursor[Any], records: Sequence[Logged]) -> None:
    """Add a row for each record. Raises `psycopg.errors.UniqueViolation` for one that is there already."""
    with cursor.copy(_COPY) as copy:
        for record in records:
            copy.write_row(_row(record))


def find_logged(cursor: psycopg.Cursor[Any], records: Sequence[Logged]) -> set[str]:
    """The request ids of those records that have a row."""
    if not records:
        return set()
    times = [datetime.fromtimestamp(record.at, UTC) for record in records]
    names = [record.request_id for record in records]
    cursor.execute(_FIND, (names, times, min(times), max(times)))
    return {request_id for (request_id,) in cursor}


def _row(record: Logged) -> tuple[object, ...]:
    return (
        record.request_id,
        datetime.fromtimestamp(record.at, UTC),
        record.wallet_id,
        record.key_id,
        record.endpoint,
        record.model,
        record.served_model,
        record.provider,
        record.attempts,
        record.status,
        record.streamed,
        record.input_tokens,
        record.cache_read_tokens,
        record.cache_write_tokens,
        record.output_tokens,
        record.reasoning_tokens,
        record.credits,
        record.basis,
        record.latency_ms,
        record.first_token_ms,
        record.error,
    )
