"""The request log as CSV: whole, harmless to spreadsheets, and never in memory at once."""

from __future__ import annotations

import csv
import io
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from hypereal.db import AsyncEngine
from hypereal.usage.export import HEADER, csv_pieces, file_name
from hypereal.usage.selection import Selection
from tests.management.conftest import Caller, MakeCaller, MakeRecord

EXPORT = "/api/api-usage/export"

FILL = text("""
    INSERT INTO usage_records (request_id, created_at, account_id, endpoint, model, attempts, status, streamed,
        input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, credits, basis,
        latency_ms)
    SELECT 'req_' || n, now() - n * interval '1 ms', :account, '/v1/chat/completions', 'gpt-5', 1, 200, false,
        10, 0, 0, 20, 0, 12500, 'provider', 800
    FROM generate_series(1, :count) AS n
""")


def rows_of(body: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body, newline="")))


def selection(account_id: str) -> Selection:
    now = datetime.now(UTC)
    return Selection(account_id=account_id, since=now - timedelta(days=30), until=now + timedelta(days=1))


async def test_the_export_is_a_dated_csv_download_of_the_accounts_own_rows(
    caller: Caller, make_caller: MakeCaller, make_record: MakeRecord
) -> None:
    await make_record((await make_caller()).account_id)
    older = await make_record(caller.account_id, created_at=datetime.now(UTC) - timedelta(hours=1))
    newer = await make_record(caller.account_id, key_id=caller.key_id)
    answer = await caller.http.get(EXPORT, params={"days": 30})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    name = f"hypereal-usage-{datetime.now(UTC):%Y-%m-%d}.csv"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    rows = rows_of(answer.text)
    assert tuple(rows[0]) == HEADER
    assert [row["requestId"] for row in rows] == [newer, older]
    assert (rows[0]["creditsUsed"], rows[0]["streamed"], rows[0]["keyId"]) == ("0.0125", "false", caller.key_id)
    assert (rows[1]["keyId"], rows[1]["error"]) == ("", "")


async def test_an_empty_log_is_a_header(caller: Caller) -> None:
    assert (await caller.http.get(EXPORT)).text == ",".join(HEADER) + "\r\n"


async def test_filters_narrow_the_export(caller: Caller, make_record: MakeRecord) -> None:
    await make_record(caller.account_id)
    failed = await make_record(caller.account_id, status=502)
    rows = rows_of((await caller.http.get(EXPORT, params={"status": "5xx"})).text)
    assert [row["requestId"] for row in rows] == [failed]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＠"])  # noqa: RUF001
async def test_no_cell_can_be_taken_for_a_formula(caller: Caller, make_record: MakeRecord, start: str) -> None:
    attack = f'{start}HYPERLINK("http://evil.example","x, y")'
    await make_record(caller.account_id, model=attack, error=attack)
    (row,) = rows_of((await caller.http.get(EXPORT)).text)
    assert row["model"] == row["error"] == f"'{attack}"


async def test_quotes_commas_line_ends_and_other_scripts_survive(caller: Caller, make_record: MakeRecord) -> None:
    message = 'said "no", then\r\nstopped: 잔액 부족'
    await make_record(caller.account_id, error=message)
    (row,) = rows_of((await caller.http.get(EXPORT)).text)
    assert row["error"] == message


async def test_memory_stays_flat_however_many_rows_there_are(caller: Caller, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(FILL, {"account": caller.account_id, "count": 20_000})
    peaks, seen = [], 0
    tracemalloc.start()
    try:
        async for piece in csv_pieces(engine, selection(caller.account_id), piece_rows=500):
            seen += piece.count(b"\r\n")
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
    finally:
        tracemalloc.stop()
    assert seen == 20_001
    assert max(peaks[20:]) < max(peaks[:20]) * 1.5


async def test_no_connection_is_kept_while_the_client_reads(caller: Caller, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(FILL, {"account": caller.account_id, "count": 10})
    pieces = csv_pieces(engine, selection(caller.account_id), piece_rows=4)
    async for _ in pieces:
        assert engine.pool.status().endswith("Current Checked out connections: 0")


def test_the_file_is_named_for_the_day() -> None:
    assert file_name(datetime(2026, 11, 21, 23, 59, tzinfo=UTC)) == "hypereal-usage-2026-11-21.csv"
