"""PostgreSQL: engines, the embedded server, migrations. Tables live with the domain that owns them."""

from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.db.base import Base
from hypereal.db.engine import connection_string, open_engine, open_sync_engine

__all__ = ["AsyncEngine", "Base", "connection_string", "open_engine", "open_sync_engine"]
