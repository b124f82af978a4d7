from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hypereal.errors import Conflict, InvalidRequest, NotFound
from hypereal.identity import accounts, keys
from hypereal.identity.accounts import AccountRecord
from hypereal.identity.fields import build_cursor, parse_cursor
from hypereal.identity.keys import KeyChanges
from hypereal.identity.principal import Limits

SOON = datetime.now(UTC) + timedelta(days=1)


async def test_a_key_is_what_it_was_created_as(connection: AsyncConnection, account: AccountRecord) -> None:
    key, secret = await keys.create(
        connection,
        account.id,
        name=" laptop ",
        spending_limit=5_000_000,
        auto_disable=True,
        expires_at=SOON,
        scopes=["usage:read", "inference", "inference"],
        allowed_models=["gpt-5", "anthropic/claude:beta", "gpt-5"],
        requests_per_minute=60,
        concurrency=4,
    )
    assert key.name == "laptop"
    assert (key.spending_limit, key.auto_disable, key.expires_at) == (5_000_000, True, SOON)
    assert key.scopes == ("inference", "usage:read")
    assert key.allowed_models == ("gpt-5", "anthropic/claude:beta")
    assert key.limits == Limits(requests_per_minute=60, concurrency=4)
    assert key.preview == f"{secret[:7]}…{secret[-4:]}"
    assert (key.disabled_at, key.disabled_reason, key.last_used_at) == (None, None, None)
    assert await keys.get(connection, key.id, account_id=account.id) == key
    assert await keys.find_by_secret(connection, secret) == key


async def test_the_secret_is_stored_nowhere(connection: AsyncConnection, account: AccountRecord) -> None:
    key, secret = await keys.create(connection, account.id, name="laptop")
    assert secret.startswith("ck_")
    assert len(secret) >= 43
    row = (await connection.execute(text("SELECT api_keys::text FROM api_keys"))).scalar_one()
    assert secret not in row
    assert secret[7:-4] not in f"{row} {key!r}"


async def test_a_key_of_somebody_else_does_not_exist(connection: AsyncConnection, account: AccountRecord) -> None:
    other = await accounts.create(connection, "Eve")
    key, _ = await keys.create(connection, account.id, name="laptop")
    with pytest.raises(NotFound):
        await keys.get(connection, key.id, account_id=other.id)
    with pytest.raises(NotFound):
        await keys.change(connection, key.id, account_id=other.id, name="mine")
    with pytest.raises(NotFound):
        await keys.change(connection, key.id, account_id=other.id)
    with pytest.raises(NotFound):
        await keys.revoke(connection, key.id, account_id=other.id)
    assert (await keys.list_page(connection, other.id)).keys == ()
    assert await keys.get(connection, key.id, account_id=account.id) == key


@pytest.mark.parametrize("key_id", ["key_nothing", "", "a\x00b", "\ud800", "schlüssel"])
async def test_an_unknown_key_is_not_found(connection: AsyncConnection, account: AccountRecord, key_id: str) -> None:
    with pytest.raises(NotFound):
        await keys.get(connection, key_id, account_id=account.id)
    with pytest.raises(NotFound):
        await keys.change(connection, key_id, account_id=account.id, name="x")
    with pytest.raises(NotFound):
        await keys.revoke(connection, key_id, account_id=account.id)


async def test_a_change_sets_what_is_given_and_nothing_else(
    connection: AsyncConnection, account: AccountRecord
) -> None:
    key, _ = await keys.create(connection, account.id, name="laptop", spending_limit=7, scopes=["inference"])
    changed = await keys.change(connection, key.id, account_id=account.id, name="desktop", expires_at=SOON)
    assert (changed.name, changed.expires_at) == ("desktop", SOON)
    assert (changed.spending_limit, changed.scopes) == (7, ("inference",))
    cleared = await keys.change(
        connection, key.id, account_id=account.id, spending_limit=None, scopes=None, allowed_models=["m"], concurrency=2
    )
    assert (cleared.spending_limit, cleared.scopes, cleared.allowed_models) == (None, None, ("m",))
    assert cleared.limits == Limits(concurrency=2)
    assert await keys.change(connection, key.id, account_id=account.id) == cleared


async def test_a_key_is_switched_off_and_on_by_its_owner(connection: AsyncConnection, account: AccountRecord) -> None:
    key, _ = await keys.create(connection, account.id, name="laptop")
    off = await keys.change(connection, key.id, account_id=account.id, disabled=True)
    assert off.disabled_at is not None
    assert off.disabled_reason == "by its owner"
    assert await keys.change(connection, key.id, account_id=account.id, disabled=True) == off
    assert await keys.change(connection, key.id, account_id=account.id, disabled=False) == key


async def test_the_system_switches_off_only_the_keys_that_ask_for_it(
    connection: AsyncConnection, account: AccountRecord
) -> None:
    manual, _ = await keys.create(connection, account.id, name="manual")
    automatic, _ = await keys.create(connection, account.id, name="automatic", auto_disable=True)
    assert not await keys.disable(connection, manual.id, reason="limit reached", only_automatic=True)
    assert await keys.disable(connection, automatic.id, reason="limit reached", only_automatic=True)
    assert not await keys.disable(connection, automatic.id, reason="again")
    assert await keys.disable(connection, manual.id, reason="leaked")
    reasons = [key.disabled_reason for key in (await keys.list_page(connection, account.id)).keys]
    assert sorted(reasons, key=str) == ["leaked", "limit reached"]


async def test_a_revoked_key_is_gone(connection: AsyncConnection, account: AccountRecord) -> None:
    key, secret = await keys.create(connection, account.id, name="laptop")
    await keys.revoke(connection, key.id, account_id=account.id)
    assert await keys.find_by_secret(connection, secret) is None
    with pytest.raises(NotFound):
        await keys.revoke(connection, key.id, account_id=account.id)


async def test_pages_hold_every_key_once_newest_first(connection: AsyncConnection, account: AccountRecord) -> None:
    made = {(await keys.create(connection, account.id, name=f"key {number}"))[0].id for number in range(7)}
    listed: list[keys.Key] = []
    cursor: str | None = None
    while True:
        page = await keys.list_page(connection, account.id, limit=3, cursor=cursor)
        listed += page.keys
        cursor = page.next_cursor
        if cursor is None:
            break
        await keys.revoke(connection, page.keys[-1].id, account_id=account.id)
    assert {key.id for key in listed} == made
    assert len(listed) == 7
    assert [key.created_at for key in listed] == sorted((key.created_at for key in listed), reverse=True)


@pytest.mark.parametrize("limit", [0, -1, 101])
async def test_a_page_has_a_sensible_size(connection: AsyncConnection, account: AccountRecord, limit: int) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await keys.list_page(connection, account.id, limit=limit)
    assert refusal.value.param == "limit"


@given(cursor=st.text())
def test_a_cursor_that_no_list_gave_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_cursor(cursor)
    assert refusal.value.param == "cursor"


def test_a_cursor_with_an_impossible_id_or_time_is_refused() -> None:
    for created_at, row_id in ((datetime(2030, 1, 1, tzinfo=UTC), "a\x00"), (datetime(2030, 1, 1), "a")):  # noqa: DTZ001
        with pytest.raises(InvalidRequest):
            parse_cursor(build_cursor(created_at, row_id))


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        (KeyChanges(name=" "), "name"),
        (KeyChanges(spending_limit=0), "spendingLimit"),
        (KeyChanges(spending_limit=-5), "spendingLimit"),
        (KeyChanges(spending_limit=2**63), "spendingLimit"),
        (KeyChanges(expires_at=datetime(2020, 1, 1, tzinfo=UTC)), "expiresAt"),
        (KeyChanges(expires_at=datetime(2999, 1, 1)), "expiresAt"),  # noqa: DTZ001
        (KeyChanges(expires_at=datetime(3000, 1, 1, tzinfo=UTC)), "expiresAt"),
        (KeyChanges(scopes=["inference", "everything"]), "scopes"),
        (KeyChanges(scopes=[]), "scopes"),
        (KeyChanges(allowed_models=[]), "allowedModels"),
        (KeyChanges(allowed_models=["a\x00"]), "allowedModels"),
        (KeyChanges(allowed_models=[f"m{number}" for number in range(1001)]), "allowedModels"),
        (KeyChanges(requests_per_hour=0), "requestsPerHour"),
        (KeyChanges(requests_per_minute=0), "requestsPerMinute"),
        (KeyChanges(tokens_per_minute=-1), "tokensPerMinute"),
        (KeyChanges(concurrency=0), "concurrency"),
    ],
)
async def test_a_value_that_cannot_be_is_refused_by_name(
    connection: AsyncConnection, account: AccountRecord, changes: KeyChanges, param: str
) -> None:
    key, _ = await keys.create(connection, account.id, name="laptop")
    with pytest.raises(InvalidRequest) as refusal:
        await keys.change(connection, key.id, account_id=account.id, **changes)
    assert refusal.value.param == param
    assert param in refusal.value.message
    assert await keys.get(connection, key.id, account_id=account.id) == key


async def test_a_key_of_ones_own_is_taken_once(connection: AsyncConnection, account: AccountRecord) -> None:
    secret = "ck_" + "a1" * 20
    key, given_back = await keys.create(connection, account.id, name="mine", secret=secret)
    assert given_back == secret
    with pytest.raises(Conflict) as refusal:
        await keys.create(connection, account.id, name="mine too", secret=secret)
    assert secret not in str(refusal.value)
    assert await keys.find_by_secret(connection, secret) == key


@pytest.mark.parametrize("secret", ["", "ck_", "ck_" + "a" * 39, "sk_" + "a" * 48, "ck_" + "ä" * 48, "ck_ " + "a" * 48])
async def test_a_weak_key_of_ones_own_is_refused(
    connection: AsyncConnection, account: AccountRecord, secret: str
) -> None:
    with pytest.raises(InvalidRequest):
        await keys.create(connection, account.id, name="mine", secret=secret)


async def test_a_key_needs_an_account(connection: AsyncConnection) -> None:
    with pytest.raises(NotFound):
        await keys.create(connection, "acct_nobody", name="laptop")
