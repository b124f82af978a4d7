"""Which rows of the request log a question is about, and where a page of them ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import ColumnElement, or_, tuple_

from hypereal.errors import InvalidRequest
from hypereal.identity.fields import parse_cursor
from hypereal.usage.tables import UsageRecord

SEARCHED = (
    UsageRecord.request_id,
    UsageRecord.model,
    UsageRecord.served_model,
    UsageRecord.endpoint,
    UsageRecord.provider,
    UsageRecord.error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One account's requests from `since` up to, not including, `until`, narrowed by what is not None.

    `statuses` is an inclusive range of status codes; `search` is text anywhere in the ids, names and errors.
    """

    account_id: str
    since: datetime
    until: datetime
    model: str | None = None
    endpoint: str | None = None
    statuses: tuple[int, int] | None = None
    key_id: str | None = None
    search: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The SQL of it; account and time come first in the log's index."""
        found = [
            UsageRecord.account_id == self.account_id,
            UsageRecord.created_at >= self.since,
            UsageRecord.created_at < self.until,
        ]
        if self.model is not None:
            found.append(UsageRecord.model == self.model)
        if self.endpoint is not None:
            found.append(UsageRecord.endpoint == self.endpoint)
        if self.statuses is not None:
            found.append(UsageRecord.status.between(*self.statuses))
        if self.key_id is not None:
            found.append(UsageRecord.key_id == self.key_id)
        if self.search:
            found.append(or_(*(column.icontains(self.search, autoescape=True) for column in SEARCHED)))
        return found


def after(cursor: str) -> ColumnElement[bool]:
    """The SQL of "the rows that follow this one", newest first; InvalidRequest when the cursor is not one of ours."""
    return tuple_(UsageRecord.created_at, UsageRecord.request_id) < tuple_(*parse_cursor(cursor))


def parse_statuses(text: str) -> tuple[int, int]:
    """`404` is that status, `4xx` the whole class; InvalidRequest for anything else."""
    if len(text) == 3 and text[0] in "12345":
        if text[1:].lower() == "xx":
            return int(text[0]) * 100, int(text[0]) * 100 + 99
        if text.isascii() and text.isdigit():
            return int(text), int(text)
    raise InvalidRequest("status must be a code such as 200 or a class such as 4xx", param="status")


def whole_days(days: int, now: datetime) -> tuple[datetime, datetime]:
    """The last `days` calendar days (UTC), today included: from the first midnight to now."""
    first = now.astimezone(UTC).date() - timedelta(days=days - 1)
    return datetime.combine(first, time(), tzinfo=UTC), now
