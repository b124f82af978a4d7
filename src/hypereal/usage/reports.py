"""Questions to the request log: pages of it, and what was spent on what. Reading only; one query per answer.

Everything is scoped to one account. Amounts are micro-credits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Date, Row, SQLColumnExpression, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hypereal.identity.fields import build_cursor
from hypereal.usage.selection import Selection, after
from hypereal.usage.tables import UsageRecord

TOP_REQUESTS = 10
MAX_MODELS = 100  # names that clients made up are in the log too


# All that the log has of an account's request, when it was made first.
LOG_COLUMNS = (
    UsageRecord.__table__.c.created_at,
    *(column for column in UsageRecord.__table__.c if column.name not in ("created_at", "account_id")),
)
LogRow = Row[Any]
"""One request of the log, with the values of `LOG_COLUMNS` as attributes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows, newest first, and where the next page begins; None when there is none."""

    rows: Sequence[LogRow]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """What one model cost. Tokens include the cached and the reasoning ones; `errors` are statuses from 400.
    `cache_savings` is what it would have cost more without caches."""

    model: str
    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    credits: int
    cache_savings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCost:
    """What one day (UTC) cost."""

    day: date
    requests: int
    credits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The first page of the log and the summaries of the whole selection, all of one instant."""

    page: Page
    models: Sequence[ModelCost]
    top: Sequence[LogRow]
    days: Sequence[DayCost]


async def report(engine: AsyncEngine, selection: Selection, *, limit: int) -> Report:
    """The usage page's data in one snapshot, so that its parts agree with each other."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return Report(
            page=await _page(connection, selection, limit, None),
            models=await _cost_by_model(connection, selection),
            top=await _most_expensive(connection, selection),
            days=await _daily_cost(connection, selection),
        )


async def log_page(engine: AsyncEngine, selection: Selection, *, limit: int, cursor: str | None = None) -> Page:
    """At most `limit` rows of the log, newest first, after `cursor`. Raises `InvalidRequest` for a foreign cursor."""
    async with engine.connect() as connection:
        return await _page(connection, selection, limit, cursor)


async def _page(connection: AsyncConnection, selection: Selection, limit: int, cursor: str | None) -> Page:
    conditions = selection.conditions() if cursor is None else [*selection.conditions(), after(cursor)]
    newest_first = (UsageRecord.created_at.desc(), UsageRecord.request_id.desc())
    # One more than asked for tells whether another page follows.
    statement = select(*LOG_COLUMNS).where(*conditions).order_by(*newest_first).limit(limit + 1)
    rows = (await connection.execute(statement)).all()
    if len(rows) <= limit:
        return Page(rows=rows, next_cursor=None)
    last = rows[limit - 1]
    return Page(rows=rows[:limit], next_cursor=build_cursor(last.created_at, last.request_id))


def _sum(amount: SQLColumnExpression[int]) -> ColumnElement[int]:
    """A sum that stays an integer: PostgreSQL's own is a numeric."""
    return cast(func.sum(amount), BigInteger)


async def _cost_by_model(connection: AsyncConnection, selection: Selection) -> list[ModelCost]:
    cached = UsageRecord.cache_read_tokens + UsageRecord.cache_write_tokens + UsageRecord.cache_write_1h_tokens
    tokens_out = UsageRecord.output_tokens + UsageRecord.reasoning_tokens
    spent = _sum(UsageRecord.credits).label("credits")
    statement = (
        select(
            UsageRecord.model,
            func.count().label("requests"),
            func.count().filter(UsageRecord.status >= 400).label("errors"),
            _sum(UsageRecord.input_tokens + cached).label("input_tokens"),
            _sum(tokens_out).label("output_tokens"),
            spent,
            _sum(UsageRecord.cache_savings).label("cache_savings"),
        )
        .where(*selection.conditions())
        .group_by(UsageRecord.model)
        .order_by(spent.desc(), UsageRecord.model)
        .limit(MAX_MODELS)
    )
    return [ModelCost(**row) for row in (await connection.execute(statement)).mappings()]


async def _most_expensive(connection: AsyncConnection, selection: Selection) -> Sequence[LogRow]:
    statement = (
        select(*LOG_COLUMNS)
        .where(*selection.conditions(), UsageRecord.credits > 0)
        .order_by(UsageRecord.credits.desc(), UsageRecord.created_at.desc(), UsageRecord.request_id)
        .limit(TOP_REQUESTS)
    )
    return (await connection.execute(statement)).all()


async def _daily_cost(connection: AsyncConnection, selection: Selection) -> list[DayCost]:
    """Every day of the selection, oldest first; a day without requests is a zero, so that a chart has no gaps."""
    day = cast(func.timezone("UTC", UsageRecord.created_at), Date).label("day")
    statement = (
        select(day, func.count().label("requests"), _sum(UsageRecord.credits).label("credits"))
        .where(*selection.conditions())
        .group_by(day)
    )
    found = {row["day"]: DayCost(**row) for row in (await connection.execute(statement)).mappings()}
    first, last = selection.since.astimezone(UTC).date(), selection.until.astimezone(UTC).date()
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    return [found.get(day, DayCost(day=day, requests=0, credits=0)) for day in days]
