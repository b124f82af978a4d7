"""The balance and the ledger over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from hypereal.billing import ledger
from hypereal.billing.wallet import Owner, hold
from hypereal.db import AsyncEngine
from hypereal.kit.money import Micro
from tests.management.conftest import Caller, MakeCaller, give

LEDGER = "/api/credits/ledger"


async def test_the_balance_is_shown_in_credits_and_in_dollars(caller: Caller, engine: AsyncEngine) -> None:
    await give(engine, caller.account_id, "1000.25")
    async with engine.begin() as connection:
        await hold(
            connection,
            Owner(wallet_id=caller.account_id),
            reference=f"job:{caller.account_id}",
            amount=Micro(250_000),
            ttl_s=60,
        )
    assert (await caller.http.get("/api/credits")).json() == {
        "balance": 1000.25,
        "held": 0.25,
        "available": 1000,
        "currency": "USD",
        "creditsPerDollar": 100,
        "balanceUsd": 10.0025,
        "availableUsd": 10,
        "minimumBalance": 200,
    }


async def test_an_account_without_a_wallet_has_nothing(caller: Caller) -> None:
    balance = (await caller.http.get("/api/credits")).json()
    assert (balance["balance"], balance["held"], balance["available"]) == (0, 0, 0)


@pytest.mark.parametrize("path", ["/v1/account/balance", "/v1/user", "/v1/user/info"])
async def test_older_clients_find_the_balance_where_they_look(caller: Caller, engine: AsyncEngine, path: str) -> None:
    await give(engine, caller.account_id, "42.5")
    assert (await caller.http.get(path)).json() == {"balance": 42.5, "credits": 42.5, "held": 0, "available": 42.5}


async def test_answers_show_the_rate_limit_and_do_not_count_against_it(caller: Caller) -> None:
    for _ in range(3):
        headers = (await caller.http.get("/api/credits")).headers
        assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("1000", "1000")
        assert int(headers["x-ratelimit-reset"]) > 1_700_000_000


async def entries(caller: Caller, **params: Any) -> list[dict[str, Any]]:
    answer = await caller.http.get(LEDGER, params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["entries"]
    return found


async def test_the_ledger_is_listed_newest_first_in_pages_and_sums_to_the_balance(
    caller: Caller, engine: AsyncEngine
) -> None:
    await give(engine, caller.account_id, "100")
    grant = f"grant:{caller.account_id}"
    charges = [
        ledger.Entry(
            wallet_id=caller.account_id,
            kind=ledger.EntryKind.CHARGE,
            amount=-1_250_000,
            reference=f"charge:{year}:{caller.account_id}",
            key_id=caller.key_id,
            created_at=datetime(year, 6, 1, tzinfo=UTC),
        )
        for year in (2024, 2025)
    ]
    async with engine.begin() as connection:
        await ledger.append(connection, charges)
    first = (await caller.http.get(LEDGER, params={"limit": 2})).json()
    second = (await caller.http.get(LEDGER, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    found = first["entries"] + second["entries"]
    assert [entry["reference"] for entry in found] == [charges[1].reference, charges[0].reference, grant]
    assert [entry["amount"] for entry in found] == [-1.25, -1.25, 100]
    assert [entry["keyId"] for entry in found] == [caller.key_id, caller.key_id, None]
    assert second["nextCursor"] is None
    assert (await caller.http.get("/api/credits")).json()["balance"] == 97.5
    assert [entry["reference"] for entry in await entries(caller, kind="grant")] == [grant]
    early = await entries(caller, **{"from": "2024-01-01T00:00:00Z", "to": "2025-06-01T00:00:00Z"})
    assert [entry["reference"] for entry in early] == [charges[0].reference]


async def test_somebody_elses_entries_are_not_listed(
    caller: Caller, make_caller: MakeCaller, engine: AsyncEngine
) -> None:
    stranger = await make_caller()
    await give(engine, stranger.account_id, "100")
    assert await entries(caller) == []


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"kind": "gift"}, "kind"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-01T00:00:00"}, "from"),
        ({"to": "9999-12-31T23:59:59-14:00"}, "to"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "from"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"cursor": "9" * 30}, "cursor"),
        ({"cursor": "-1"}, "cursor"),
    ],
)
async def test_a_bad_filter_is_a_400_that_names_it(caller: Caller, params: dict[str, Any], field: str) -> None:
    answer = await caller.http.get(LEDGER, params=params)
    assert (answer.status_code, answer.json()["param"]) == (400, field)


@pytest.mark.parametrize("path", ["/api/credits", LEDGER, "/v1/user"])
async def test_credits_need_a_key_with_the_scope(
    make_caller: MakeCaller, anonymous: httpx2.AsyncClient, path: str
) -> None:
    refused = await anonymous.get(path)
    assert (refused.status_code, refused.json()["message"]) == (401, "Unauthorized. Please log in...")
    other = await make_caller(scopes=["usage:read"])
    assert (await other.http.get(path)).status_code == 403
