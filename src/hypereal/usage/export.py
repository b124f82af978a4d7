"""The request log as CSV, in pieces: memory stays flat however many rows there are.

Each piece is a query of its own that starts where the last one ended. A cursor held open on the server would do as
well for memory, but a slow download would then keep a connection and a snapshot for as long as it lasts.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.kit.money import credits_text
from hypereal.usage.reports import LOG_COLUMNS, LogRow, log_page
from hypereal.usage.selection import Selection

PIECE_ROWS = 500  # some 5 ms of work between two waits: other requests of the process hardly notice
MONEY = frozenset({"credits", "cache_savings"})
# What makes a spreadsheet read a cell as a formula (OWASP, "CSV injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def _title(name: str) -> str:
    """`cache_read_tokens` is cacheReadTokens, as in the JSON of the log."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


NAMES = tuple(column.name for column in LOG_COLUMNS)
HEADER = tuple("creditsUsed" if name == "credits" else _title(name) for name in NAMES)


def file_name(now: datetime) -> str:
    """`hypereal-usage-2026-11-21.csv`"""
    return f"hypereal-usage-{now:%Y-%m-%d}.csv"


async def csv_pieces(
    engine: AsyncEngine, selection: Selection, *, piece_rows: int = PIECE_ROWS
) -> AsyncIterator[bytes]:
    """The header and every row, newest first, in UTF-8 with CRLF line ends (RFC 4180)."""
    page = await log_page(engine, selection, limit=piece_rows)
    yield _lines([HEADER, *map(_cells, page.rows)])
    while page.next_cursor is not None:
        page = await log_page(engine, selection, limit=piece_rows, cursor=page.next_cursor)
        yield _lines(map(_cells, page.rows))


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cells(row: LogRow) -> Iterable[object]:
    return map(_cell, NAMES, row)


def _cell(name: str, value: object) -> object:
    match value:
        case str():
            return _harmless(value)
        case bool():
            return str(value).lower()
        case int() if name in MONEY:
            return credits_text(value)
        case datetime():
            return value.isoformat()
        case _:
            return value


def _harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe goes before what could start one."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
