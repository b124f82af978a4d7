"""Writing the request log: settlements as rows of `usage_records`, by COPY. Reading it is for `reports`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Protocol

import psycopg

from hypereal.db.copying import Copying
from hypereal.usage.tables import UsageRecord

COLUMNS = tuple(UsageRecord.__table__.columns.keys())
_COPYING = Copying(UsageRecord.__tablename__, COLUMNS)
_CREATED_AT = COLUMNS.index("created_at")
_FIND = """
    SELECT request_id FROM usage_records JOIN unnest(%s::text[], %s::timestamptz[]) AS wanted (request_id, created_at)
    USING (request_id, created_at) WHERE usage_records.created_at BETWEEN %s AND %s"""


class Logged(Protocol):
    """A settlement (`gateway.records.Settlement`): it has a field for each column of the log, of the same name except
    for its time and its account."""

    @property
    def request_id(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def wallet_id(self) -> str: ...


def _field(column: str) -> str:
    """What a settlement calls a column."""
    match column:
        case "created_at":
            return "at"
        case "account_id":
            return "wallet_id"
        case _:
            return column


_values = attrgetter(*map(_field, COLUMNS))


def write(cursor: psycopg.Cursor[Any], records: Sequence[Logged]) -> None:
    """Add a row for each record. Raises `psycopg.errors.UniqueViolation` for one that is there already."""
    _COPYING.write(cursor, map(_row, records))


def find_logged(cursor: psycopg.Cursor[Any], records: Sequence[Logged]) -> set[str]:
    """The request ids of those records that have a row."""
    if not records:
        return set()
    times = [datetime.fromtimestamp(record.at, UTC) for record in records]
    names = [record.request_id for record in records]
    cursor.execute(_FIND, (names, times, min(times), max(times)))
    return {request_id for (request_id,) in cursor}


def _row(record: Logged) -> list[object]:
    row = list(_values(record))
    row[_CREATED_AT] = datetime.fromtimestamp(record.at, UTC)
    return row
