"""What server processes tell one another about their windows: one row per subject, window, bucket and process."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from hypereal.db import Base


class WindowCount(Base):
    """What one process (`instance`) admitted for one subject in one bucket of time; rewritten whole, so never twice.

    `kind` is `hour`, `minute` or `open`; `bucket` is the bucket's start in seconds since the epoch. Of kind `open`
    there is one row (bucket 0) that says how many requests are in flight; it is believed while it is fresh.
    """

    __tablename__ = "window_counts"
    __table_args__ = (
        Index("ix_window_counts_subject_updated", "subject", "updated_at"),
        Index("ix_window_counts_kind_bucket", "kind", "bucket"),
    )

    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    instance: Mapped[str] = mapped_column(Text, primary_key=True)
    requests: Mapped[int] = mapped_column(default=0, server_default="0")
    tokens: Mapped[int] = mapped_column(default=0, server_default="0")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
