"""What a request wrote to caches that keep it for an hour, and what caches saved of its cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Added to every partition by way of the table. A constant default rewrites no rows, and processes that are still
    of the version before can go on writing without the columns."""
    for name in ("cache_write_1h_tokens", "cache_savings"):
        op.add_column("usage_records", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
