"""Stored responses."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from hypereal.db import Base


class StoredResponse(Base):
    """One answer of the Responses API, and all the input that led to it (earlier turns included).

    `input` is a JSON array of items and `answer` the response object, both as they were sent. Gone after `expires_at`.
    """

    __tablename__ = "stored_responses"
    __table_args__ = (Index("ix_stored_responses_expires_at", "expires_at"),)

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    input: Mapped[bytes] = mapped_column(LargeBinary)
    answer: Mapped[bytes] = mapped_column(LargeBinary)
