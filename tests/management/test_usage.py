"""The request log over HTTP: whose it is, how it is narrowed, paged and summed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hypereal.usage.selection import parse_statuses, whole_days
from tests.management.conftest import Caller, MakeCaller, MakeRecord

USAGE = "/api/api-usage"


async def usage(caller: Caller, **params: Any) -> dict[str, Any]:
    answer = await caller.http.get(USAGE, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_request_is_logged_with_all_that_is_known_of_it(caller: Caller, make_record: MakeRecord) -> None:
    request_id = await make_record(caller.account_id, key_id=caller.key_id, streamed=True, first_token_ms=210)
    (log,) = (await usage(caller))["logs"]
    assert datetime.fromisoformat(log.pop("createdAt")).tzinfo is not None
    assert log == {
        "requestId": request_id,
        "keyId": caller.key_id,
        "endpoint": "/v1/chat/completions",
        "model": "gpt-5",
        "servedModel": "gpt-5",
        "provider": "openai",
        "attempts": 1,
        "status": 200,
        "streamed": True,
        "inputTokens": 10,
        "cacheReadTokens": 2,
        "cacheWriteTokens": 1,
        "cacheWrite1hTokens": 3,
        "outputTokens": 20,
        "reasoningTokens": 5,
        "creditsUsed": 0.0125,
        "cacheSavings": 1.5,
        "basis": "provider",
        "latencyMs": 840,
        "firstTokenMs": 210,
        "error": None,
    }


async def test_the_log_is_only_the_accounts_own(
    caller: Caller, make_caller: MakeCaller, make_record: MakeRecord
) -> None:
    stranger = await make_caller()
    await make_record(stranger.account_id)
    mine = await make_record(caller.account_id)
    report = await usage(caller)
    assert [log["requestId"] for log in report["logs"]] == [mine]
    assert report["costByModel"][0]["requests"] == 1
    assert sum(day["requests"] for day in report["dailyCost"]) == 1


async def test_pages_follow_each_other_without_a_gap_or_a_repeat(caller: Caller, make_record: MakeRecord) -> None:
    moment = datetime.now(UTC) - timedelta(hours=1)
    made = [await make_record(caller.account_id, created_at=moment) for _ in range(7)]
    first = await usage(caller, limit=3)
    assert set(first) == {"logs", "nextCursor", "costByModel", "topExpensiveRequests", "dailyCost"}
    seen, cursor = [log["requestId"] for log in first["logs"]], first["nextCursor"]
    while cursor:
        page = await usage(caller, limit=3, cursor=cursor)
        assert set(page) == {"logs", "nextCursor"}
        seen += [log["requestId"] for log in page["logs"]]
        cursor = page["nextCursor"]
    assert seen == sorted(made, reverse=True)


async def test_a_page_that_ends_with_the_last_row_has_no_next(caller: Caller, make_record: MakeRecord) -> None:
    for _ in range(3):
        await make_record(caller.account_id)
    assert (await usage(caller, limit=3))["nextCursor"] is None


async def test_cost_by_model_sums_requests_errors_tokens_and_credits(caller: Caller, make_record: MakeRecord) -> None:
    await make_record(caller.account_id)
    await make_record(caller.account_id, status=502, credits=0, output_tokens=0, reasoning_tokens=0)
    await make_record(caller.account_id, model="deepseek-v3.2", credits=3_000_000)
    assert (await usage(caller))["costByModel"] == [
        {
            "model": "deepseek-v3.2",
            "requests": 1,
            "errors": 0,
            "inputTokens": 16,
            "outputTokens": 25,
            "creditsUsed": 3,
            "cacheSavings": 1.5,
        },
        {
            "model": "gpt-5",
            "requests": 2,
            "errors": 1,
            "inputTokens": 32,
            "outputTokens": 25,
            "creditsUsed": 0.0125,
            "cacheSavings": 3,
        },
    ]


async def test_the_ten_most_expensive_requests_come_dearest_first(caller: Caller, make_record: MakeRecord) -> None:
    for price in range(12):
        await make_record(caller.account_id, credits=price * 1_000_000)
    top = (await usage(caller, limit=1))["topExpensiveRequests"]
    assert [request["creditsUsed"] for request in top] == list(range(11, 1, -1))


async def test_every_day_has_its_cost_and_a_quiet_day_a_zero(caller: Caller, make_record: MakeRecord) -> None:
    now = datetime.now(UTC)
    await make_record(caller.account_id, credits=2_000_000, created_at=now - timedelta(days=2))
    await make_record(caller.account_id, credits=1_000_000, created_at=now - timedelta(seconds=1))
    await make_record(caller.account_id, created_at=now - timedelta(days=9))
    days = (await usage(caller, days=4))["dailyCost"]
    if days[-1]["date"] != f"{now:%Y-%m-%d}":
        pytest.fail("the day changed between the records and the report; run again")
    assert [day["date"] for day in days] == [f"{now - timedelta(days=back):%Y-%m-%d}" for back in (3, 2, 1, 0)]
    assert days[1] == {"date": days[1]["date"], "requests": 1, "creditsUsed": 2}
    assert [days[0]["creditsUsed"], days[2]["creditsUsed"]] == [0, 0]


@pytest.mark.parametrize(
    "filters",
    [
        {"model": "special"},
        {"endpoint": "/v1/embeddings"},
        {"status": "429"},
        {"status": "4xx"},
        {"keyId": "key_special"},
        {"q": "SPECIAL"},
        {"q": "100%_sure"},
    ],
)
async def test_a_filter_narrows_the_log_and_every_summary(
    caller: Caller, make_record: MakeRecord, filters: dict[str, str]
) -> None:
    await make_record(caller.account_id, error="100 percent sure")
    special = await make_record(
        caller.account_id,
        model="special",
        endpoint="/v1/embeddings",
        status=429,
        key_id="key_special",
        error="100%_sure it is special",
    )
    report = await usage(caller, **filters)
    assert [log["requestId"] for log in report["logs"]] == [special]
    assert [cost["model"] for cost in report["costByModel"]] == ["special"]
    assert [log["requestId"] for log in report["topExpensiveRequests"]] == [special]
    assert sum(day["requests"] for day in report["dailyCost"]) == 1


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"days": 0}, "days"),
        ({"days": 367}, "days"),
        ({"days": "all"}, "days"),
        ({"limit": 1001}, "limit"),
        ({"status": "ok"}, "status"),
        ({"status": "4x"}, "status"),
        ({"q": "a\x00b"}, "q"),
        ({"model": "x" * 301}, "model"),
        ({"cursor": "AAAA"}, "cursor"),
    ],
)
@pytest.mark.parametrize("path", [USAGE, f"{USAGE}/export"])
async def test_a_bad_filter_is_a_400_that_names_it(
    caller: Caller, path: str, params: dict[str, Any], field: str
) -> None:
    if path.endswith("export") and field in {"limit", "cursor"}:
        params, field = {"days": -1}, "days"
    answer = await caller.http.get(path, params=params)
    assert (answer.status_code, answer.json()["param"]) == (400, field)


async def test_the_log_needs_its_scope(make_caller: MakeCaller) -> None:
    other = await make_caller(scopes=["inference"])
    for path in (USAGE, f"{USAGE}/export"):
        assert (await other.http.get(path)).status_code == 403


def test_statuses_are_a_code_or_a_class() -> None:
    assert parse_statuses("404") == (404, 404)
    assert parse_statuses("5XX") == (500, 599)


def test_thirty_days_are_thirty_dates_with_today() -> None:
    now = datetime(2026, 11, 21, 0, 30, tzinfo=UTC)
    assert whole_days(30, now) == (datetime(2026, 10, 23, tzinfo=UTC), now)
    assert whole_days(1, now)[0] == datetime(2026, 11, 21, tzinfo=UTC)
