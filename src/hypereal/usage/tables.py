"""The request log: one row per request, partitioned by day so that retention is dropping a partition."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from hypereal.db import Base


class UsageRecord(Base):
    """One request. `credits` is micro-credits and equals the ledger's charge for `request_id`.

    `provider` and `served_model` are what answered last; `basis` says whether tokens came from the provider or were
    estimated. `latency_ms` runs to the last byte, `first_token_ms` to the first event of a stream. `cache_savings` is
    what the request would have cost more without caches, in micro-credits. The log, its export and its metrics take
    their columns from here.
    """

    __tablename__ = "usage_records"
    __table_args__ = (
        Index("ix_usage_records_account", "account_id", "created_at", "request_id"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )

    request_id: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(primary_key=True, server_default=func.now())
    account_id: Mapped[str] = mapped_column(Text)
    key_id: Mapped[str | None] = mapped_column(Text)
    endpoint: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    served_model: Mapped[str | None] = mapped_column(Text)
    provider: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int]
    status: Mapped[int]
    streamed: Mapped[bool]
    input_tokens: Mapped[int]
    cache_read_tokens: Mapped[int]
    cache_write_tokens: Mapped[int]
    output_tokens: Mapped[int]
    reasoning_tokens: Mapped[int]
    credits: Mapped[int]
    basis: Mapped[str] = mapped_column(Text)
    latency_ms: Mapped[int]
    first_token_ms: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
    cache_write_1h_tokens: Mapped[int] = mapped_column(server_default="0")
    cache_savings: Mapped[int] = mapped_column(server_default="0")
