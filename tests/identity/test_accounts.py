from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hypereal.errors import InvalidRequest, NotFound
from hypereal.identity import accounts
from hypereal.identity.accounts import AccountRecord
from hypereal.identity.principal import Limits


async def test_an_account_is_what_it_was_created_as(connection: AsyncConnection) -> None:
    made = await accounts.create(
        connection, " Analytical Engines ", kind="organisation", email="ada@example.org", requests_per_hour=5000
    )
    assert made.id.startswith("acct_")
    assert (made.name, made.kind, made.email) == ("Analytical Engines", "organisation", "ada@example.org")
    assert made.limits == Limits(requests_per_hour=5000)
    assert await accounts.get(connection, made.id) == made


async def test_a_change_sets_what_is_given_and_nothing_else(connection: AsyncConnection) -> None:
    made = await accounts.create(connection, "Ada", email="ada@example.org", requests_per_minute=5)
    changed = await accounts.change(connection, made.id, concurrency=3)
    assert changed.limits == Limits(requests_per_minute=5, concurrency=3)
    assert changed.email == "ada@example.org"
    cleared = await accounts.change(connection, made.id, requests_per_minute=None)
    assert cleared.limits == Limits(concurrency=3)
    assert await accounts.change(connection, made.id) == cleared


@pytest.mark.parametrize("account_id", ["acct_nobody", "", "acct_\x00", "acct_\ud800", "acct_é"])
async def test_an_unknown_account_is_not_found(connection: AsyncConnection, account_id: str) -> None:
    with pytest.raises(NotFound):
        await accounts.get(connection, account_id)
    with pytest.raises(NotFound):
        await accounts.change(connection, account_id, concurrency=1)


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "\ud800", "x" * 201])
async def test_a_name_that_cannot_be_is_refused(connection: AsyncConnection, name: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await accounts.create(connection, name)
    assert refusal.value.param == "name"


async def test_a_ceiling_must_be_positive(connection: AsyncConnection, account: AccountRecord) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await accounts.change(connection, account.id, tokens_per_minute=0)
    assert refusal.value.param == "tokensPerMinute"
    with pytest.raises(InvalidRequest) as refusal:
        await accounts.create(connection, "x", requests_per_hour=2**63)
    assert refusal.value.param == "requestsPerHour"


async def test_servers_that_start_at_once_make_one_first_account(engine: AsyncEngine) -> None:
    async def start() -> tuple[str, bool]:
        async with engine.begin() as connection:
            first, is_new = await accounts.ensure_first(connection, "first")
            return first.id, is_new

    starts = await asyncio.gather(*(start() for _ in range(8)))
    assert len({account_id for account_id, _ in starts}) == 1
    assert sum(is_new for _, is_new in starts) == 1


async def test_before_the_first_start_there_is_no_account(connection: AsyncConnection) -> None:
    assert await accounts.find_first(connection) is None
