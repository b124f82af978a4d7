"""Day partitions of the request log: made ahead of time, dropped when they pass the retention.

Reading and writing the log does not belong here; a row whose day has no partition lands in `usage_records_default`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, text

_TABLE = "usage_records"
_ADVISORY_LOCK = 0x7573_6167  # any number that nothing else in this database locks: "usag"
_PARTITION = re.compile(rf"{_TABLE}_(\d{{8}})")


def list_partitions(connection: Connection) -> list[date]:
    """The days (UTC) that have a partition of their own, oldest first."""
    query = text(f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{_TABLE}'::regclass")  # noqa: S608
    found = (_PARTITION.fullmatch(name) for name in connection.scalars(query))
    return sorted(datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC).date() for match in found if match)


def ensure_partitions(connection: Connection, days_ahead: int, *, today: date | None = None) -> list[date]:
    """Make the partitions of today and the next `days_ahead` days that are missing; returns the days made.

    Runs in the caller's transaction; safe to call from several processes. Rows of such a day that already lie in the
    default partition are moved.
    """
    _lock(connection)
    first = today or datetime.now(UTC).date()
    wanted = [first + timedelta(days=ahead) for ahead in range(days_ahead + 1)]
    missing = sorted(set(wanted) - set(list_partitions(connection)))
    for day in missing:
        _make(connection, day)
    return missing


def drop_partitions_before(connection: Connection, day: date) -> list[date]:
    """Drop every partition of a day before `day`, and such rows of the default one; returns the days dropped."""
    _lock(connection)
    old = [found for found in list_partitions(connection) if found < day]
    for found in old:
        connection.execute(text(f"DROP TABLE {_name(found)}"))
    connection.execute(
        text(f"DELETE FROM {_TABLE}_default WHERE created_at < :midnight"),  # noqa: S608
        {"midnight": _midnight(day)},
    )
    return old


def _make(connection: Connection, day: date) -> None:
    """Filled first and attached after: PostgreSQL refuses a partition whose rows lie in the default one."""
    name = _name(day)
    since, until = _midnight(day), _midnight(day + timedelta(days=1))
    bounds = {"since": since, "until": until}
    connection.execute(text(f"CREATE TABLE {name} (LIKE {_TABLE} INCLUDING ALL)"))
    moved = f"DELETE FROM {_TABLE}_default WHERE created_at >= :since AND created_at < :until RETURNING *"  # noqa: S608
    connection.execute(text(f"WITH moved AS ({moved}) INSERT INTO {name} SELECT * FROM moved"), bounds)  # noqa: S608
    connection.execute(text(f"ALTER TABLE {_TABLE} ATTACH PARTITION {name} FOR VALUES FROM ('{since}') TO ('{until}')"))


def _lock(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def _name(day: date) -> str:
    return f"{_TABLE}_{day:%Y%m%d}"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
