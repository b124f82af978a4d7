"""Wallets, the ledger, holds, leases, and how far each journal has been applied. Amounts are micro-credits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Identity, Index, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from hypereal.db import Base


class Wallet(Base):
    """What an account owns; its id is the account's. `available` is `balance - held` and never negative."""

    __tablename__ = "wallets"
    __table_args__ = (
        CheckConstraint("held >= 0", name="held_not_negative"),
        CheckConstraint("balance >= held", name="available_not_negative"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    balance: Mapped[int] = mapped_column(default=0, server_default="0")
    held: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LedgerEntry(Base):
    """One movement of money, never changed or deleted (a trigger refuses). `amount` is signed: a charge is negative.

    `reference` is unique (`charge:req_…`, `topup:pi_…`), so applying an entry twice changes nothing.
    """

    __tablename__ = "ledger_entries"
    __table_args__ = (Index("ix_ledger_entries_wallet", "wallet_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    wallet_id: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    amount: Mapped[int]
    reference: Mapped[str] = mapped_column(Text, unique=True)
    key_id: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class HoldRow(Base):
    """Credits set aside for one request that no lease could cover, or for a job."""

    __tablename__ = "holds"

    reference: Mapped[str] = mapped_column(Text, primary_key=True)
    wallet_id: Mapped[str] = mapped_column(Text, index=True)
    key_id: Mapped[str | None] = mapped_column(Text)
    period: Mapped[str | None] = mapped_column(Text)
    instance: Mapped[str | None] = mapped_column(Text)
    amount: Mapped[int] = mapped_column()
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LeaseRow(Base):
    """A hold of one server process for many small requests: what it took, less what it gave back and what the writer
    has charged against it. With a spending limit the lease belongs to the key and its month as well."""

    __tablename__ = "leases"
    __table_args__ = (CheckConstraint("amount >= 0", name="amount_not_negative"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    wallet_id: Mapped[str] = mapped_column(Text, index=True)
    key_id: Mapped[str | None] = mapped_column(Text)
    period: Mapped[str | None] = mapped_column(Text)
    instance: Mapped[str] = mapped_column(Text, index=True)
    amount: Mapped[int]
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class KeySpend(Base):
    """What a key has spent in a calendar month (`2026-11`, UTC), and what its leases and holds have set aside.

    The month is part of the key, so there is nothing to reset.
    """

    __tablename__ = "key_spend"
    __table_args__ = (CheckConstraint("reserved >= 0", name="reserved_not_negative"),)

    key_id: Mapped[str] = mapped_column(Text, primary_key=True)
    period: Mapped[str] = mapped_column(Text, primary_key=True)
    spent: Mapped[int] = mapped_column(default=0, server_default="0")
    reserved: Mapped[int] = mapped_column(default=0, server_default="0")


class JournalOffset(Base):
    """How far a journal segment has been applied, in bytes; written in the transaction that applied it."""

    __tablename__ = "journal_offsets"

    segment: Mapped[str] = mapped_column(Text, primary_key=True)
    offset: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
