"""The request log over HTTP: pages and summaries as JSON, everything as CSV (api.md section 16)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from hypereal.api.deps import DOCUMENTED, Served, UsageRead
from hypereal.api.shapes import NATIVE_REFUSALS, Credits, Shape, Text
from hypereal.identity.principal import Principal
from hypereal.usage import reports
from hypereal.usage.export import csv_pieces, file_name
from hypereal.usage.selection import Selection, parse_statuses, whole_days

MAX_DAYS = 366
MAX_ROWS = 1000
MAX_TEXT = 300


class UsageLog(Shape):
    """One request. `creditsUsed` is what its answer said and what the ledger took."""

    request_id: str = Field(examples=["req_5xVb2Kq0TtRw9LmN0000002a"])
    created_at: datetime
    key_id: str | None
    endpoint: str = Field(examples=["/v1/chat/completions"])
    model: str = Field(description="What the client asked for", examples=["gpt-5"])
    served_model: str | None = Field(description="What answered", examples=["gpt-5"])
    provider: str | None = Field(examples=["openai"])
    attempts: int = Field(description="How many targets were tried", examples=[1])
    status: int = Field(examples=[200])
    streamed: bool
    input_tokens: int = Field(description="Without cached ones")
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int = Field(alias="cacheWrite1hTokens", description="Kept for an hour")
    output_tokens: int = Field(description="Without reasoning")
    reasoning_tokens: int
    credits_used: Credits = Field(validation_alias="credits", examples=[0.0125])
    cache_savings: Credits = Field(description="What caches saved of the cost", examples=[0.4])
    basis: str = Field(description="Where the token counts come from", examples=["provider"])
    latency_ms: int = Field(description="To the last byte")
    first_token_ms: int | None = Field(description="To the first event of a stream")
    error: str | None


class ModelCost(Shape):
    """What one model cost. Tokens include cached and reasoning ones; `errors` are answers with a status from 400."""

    model: str = Field(examples=["gpt-5"])
    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    credits_used: Credits = Field(validation_alias="credits", examples=[12.5])
    cache_savings: Credits = Field(description="What caches saved of the cost", examples=[0.4])


class DayCost(Shape):
    """What one day (UTC) cost."""

    day: date = Field(serialization_alias="date")
    requests: int
    credits_used: Credits = Field(validation_alias="credits", examples=[3.2])


class UsagePage(Shape):
    """A page of the log, newest first. `nextCursor` is null on the last one."""

    logs: list[UsageLog]
    next_cursor: str | None


class UsageReport(UsagePage):
    """The first page, and summaries of everything selected."""

    cost_by_model: list[ModelCost]
    top_expensive_requests: list[UsageLog]
    daily_cost: list[DayCost]


class Filters(Shape):
    """Which requests: all of the last `days` calendar days (UTC, today included), narrowed by what is given."""

    days: int = Field(30, ge=1, le=MAX_DAYS)
    model: Text | None = Field(None, max_length=MAX_TEXT, description="Exactly this model, as the client asked for it")
    endpoint: Text | None = Field(None, max_length=MAX_TEXT, examples=["/v1/chat/completions"])
    status: Text | None = Field(None, description="A status code, or a class of them such as `4xx`", examples=["200"])
    key_id: Text | None = Field(None, max_length=MAX_TEXT)
    q: Text | None = Field(None, max_length=MAX_TEXT, description="Text anywhere in ids, models, providers and errors")

    def select(self, principal: Principal, now: datetime) -> Selection:
        """The caller's own requests that these filters mean."""
        since, until = whole_days(self.days, now)
        return Selection(
            account_id=principal.account_id,
            since=since,
            until=until,
            model=self.model,
            endpoint=self.endpoint,
            statuses=parse_statuses(self.status) if self.status is not None else None,
            key_id=self.key_id,
            search=self.q,
        )


class PagedFilters(Filters):
    limit: int = Field(100, ge=1, le=MAX_ROWS, description="Rows of the log in one answer")
    cursor: Text | None = Field(None, max_length=MAX_TEXT, description="`nextCursor` of the page before")


router = APIRouter(prefix="/api/api-usage", tags=["Usage"], dependencies=DOCUMENTED, responses=dict(NATIVE_REFUSALS))


@router.get("", summary="The request log and what was spent")
async def get_usage(
    services: Served, principal: UsageRead, filters: Annotated[PagedFilters, Query()]
) -> UsageReport | UsagePage:
    """The log, newest first, with the cost by model and by day and the ten most expensive requests.

    With `cursor` only `logs` and `nextCursor` come: the summaries are of the whole selection and came with page one.
    """
    selection = filters.select(principal, datetime.now(UTC))
    if filters.cursor is not None:
        page = await reports.log_page(services.engine, selection, limit=filters.limit, cursor=filters.cursor)
        return UsagePage(logs=_logs(page.rows), next_cursor=page.next_cursor)
    report = await reports.report(services.engine, selection, limit=filters.limit)
    return UsageReport(
        logs=_logs(report.page.rows),
        next_cursor=report.page.next_cursor,
        cost_by_model=[ModelCost.model_validate(cost) for cost in report.models],
        top_expensive_requests=_logs(report.top),
        daily_cost=[DayCost.model_validate(day) for day in report.days],
    )


@router.get(
    "/export",
    summary="The request log as CSV",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}, "description": "One line for each request, newest first"}},
)
async def export_usage(
    services: Served, principal: UsageRead, filters: Annotated[Filters, Query()]
) -> StreamingResponse:
    """Every selected request, as a download that is sent while it is read: millions of rows are fine."""
    now = datetime.now(UTC)
    pieces = csv_pieces(services.engine, filters.select(principal, now))
    headers = {"content-disposition": f'attachment; filename="{file_name(now)}"', "cache-control": "no-store"}
    return StreamingResponse(pieces, media_type="text/csv; charset=utf-8", headers=headers)


def _logs(rows: Sequence[reports.LogRow]) -> list[UsageLog]:
    return [UsageLog.model_validate(row) for row in rows]
