from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.db import open_engine
from hypereal.errors import Unauthorized, Unavailable
from hypereal.identity import accounts, keys
from hypereal.identity.accounts import AccountRecord
from hypereal.identity.changes import Changes
from hypereal.identity.keys import Key, KeyFields
from hypereal.identity.principal import Limits, Principal
from hypereal.identity.verifier import (
    DISABLED,
    EXPIRED,
    LOOKUPS_WAITING,
    REFUSAL_TTL_S,
    UNHEARD_TTL_S,
    UNKNOWN,
    WRONG_PREFIX,
    Verifier,
)
from hypereal.kit.ids import new_key_secret
from tests.identity.polling import eventually
from tests.limits.clock import FrozenClock

ROOT = Path(__file__).parents[2]
DEFAULTS = Limits(requests_per_hour=1000)


class Desk:
    """A verifier with its listener, its clock, and the means to make keys."""

    def __init__(self, engine: AsyncEngine, url: str, account: AccountRecord) -> None:
        self.engine = engine
        self.account = account
        self.clock = FrozenClock(float(int(time.time())))
        self.changes = Changes(url)
        self.verifier = Verifier(engine, self.changes, account_defaults=DEFAULTS, capacity=100, clock=self.clock)
        self.heard: set[str] = set()
        self.changes.on("key", lambda change: self.heard.add(change.id))

    async def make(self, **fields: object) -> tuple[Key, bytes]:
        given: KeyFields = {**fields}  # type: ignore[typeddict-item]
        async with self.engine.begin() as connection:
            key, secret = await keys.create(connection, self.account.id, name="laptop", **given)
        await eventually(lambda: key.id in self.heard)
        return key, secret.encode()

    async def admit(self, secret: bytes) -> Principal:
        outcome = await self.verifier.verify(secret)
        assert isinstance(outcome, Principal)
        return outcome

    async def refuse(self, secret: bytes | None) -> str:
        outcome = await self.verifier.verify(secret)
        assert isinstance(outcome, Unauthorized)
        if secret:
            assert secret.decode(errors="replace") not in repr((outcome, outcome.message, outcome.fields))
        return outcome.message

    def knows(self, secret: bytes) -> bool:
        return self.verifier.find(secret) is not None

    def count_queries(self) -> list[str]:
        queries: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            queries.append(statement)

        event.listen(self.engine.sync_engine, "before_cursor_execute", note)
        return queries


@pytest.fixture
async def desk(engine: AsyncEngine, database_url: str, account: AccountRecord) -> AsyncIterator[Desk]:
    desk = Desk(engine, database_url, account)
    desk.changes.start()
    await eventually(lambda: desk.changes.healthy)
    yield desk
    await desk.changes.stop()
    await desk.verifier.close()


async def test_a_verified_key_is_found_in_memory_with_all_that_it_allows(desk: Desk) -> None:
    expires_at = datetime.fromtimestamp(desk.clock.now + 1000, UTC)
    key, secret = await desk.make(
        spending_limit=9,
        auto_disable=True,
        scopes=["inference"],
        allowed_models=["gpt-5"],
        expires_at=expires_at,
        requests_per_minute=7,
    )
    assert desk.verifier.find(secret) is None
    principal = await desk.admit(secret)
    assert principal == Principal(
        account_id=desk.account.id,
        wallet_id=desk.account.id,
        key_id=key.id,
        key_name="laptop",
        scopes=frozenset({"inference"}),
        allowed_models=frozenset({"gpt-5"}),
        spending_limit=9,
        auto_disable=True,
        expires_at=expires_at.timestamp(),
        account_limits=DEFAULTS,
        key_limits=Limits(requests_per_minute=7),
    )
    assert desk.verifier.find(secret) is principal
    assert await desk.verifier.verify(secret) is principal
    assert principal.may("inference")
    assert not principal.may("keys:write")


async def test_every_refusal_has_its_own_words_and_nothing_of_the_key(desk: Desk) -> None:
    disabled, disabled_secret = await desk.make()
    async with desk.engine.begin() as connection:
        await keys.disable(connection, disabled.id, reason="leaked")
    _, expiring = await desk.make(expires_at=datetime.fromtimestamp(desk.clock.now + 5, UTC))
    desk.clock.advance(5)
    assert await desk.refuse(None) == "Unauthorized. Please log in..."
    assert await desk.refuse(b"") == "Unauthorized. Please log in..."
    assert await desk.refuse(b"sk-proj-something") == WRONG_PREFIX
    assert await desk.refuse(b"\xff\x00") == WRONG_PREFIX
    assert await desk.refuse(new_key_secret().encode()) == UNKNOWN
    assert await desk.refuse(b"ck_\xff\x00") == UNKNOWN
    assert await desk.refuse(disabled_secret) == DISABLED
    assert await desk.refuse(expiring) == EXPIRED
    assert len({WRONG_PREFIX, UNKNOWN, DISABLED, EXPIRED}) == 4


async def test_a_key_expires_while_it_is_cached(desk: Desk) -> None:
    _, secret = await desk.make(expires_at=datetime.fromtimestamp(desk.clock.now + 60, UTC))
    await desk.admit(secret)
    desk.clock.advance(59)
    assert desk.knows(secret)
    desk.clock.advance(1)
    assert not desk.knows(secret)
    assert desk.verifier.find(secret, desk.clock.now - 2) is not None
    assert await desk.refuse(secret) == EXPIRED


async def test_a_change_reaches_the_cache_by_message(desk: Desk) -> None:
    key, secret = await desk.make()
    await desk.admit(secret)
    async with desk.engine.begin() as connection:
        await keys.change(connection, key.id, account_id=desk.account.id, scopes=["models:read"])
    await eventually(lambda: not desk.knows(secret))
    assert (await desk.admit(secret)).scopes == frozenset({"models:read"})
    async with desk.engine.begin() as connection:
        await keys.change(connection, key.id, account_id=desk.account.id, disabled=True)
    await eventually(lambda: not desk.knows(secret))
    assert await desk.refuse(secret) == DISABLED
    async with desk.engine.begin() as connection:
        await keys.change(connection, key.id, account_id=desk.account.id, disabled=False)
    async with asyncio.timeout(20):
        while not isinstance(await desk.verifier.verify(secret), Principal):
            await asyncio.sleep(0.005)


async def test_a_change_of_the_account_reaches_all_its_keys(desk: Desk) -> None:
    secrets = [(await desk.make())[1] for _ in range(3)]
    for secret in secrets:
        await desk.admit(secret)
    async with desk.engine.begin() as connection:
        await accounts.change(connection, desk.account.id, requests_per_hour=5, concurrency=2)
    await eventually(lambda: not any(desk.knows(secret) for secret in secrets))
    assert (await desk.admit(secrets[0])).account_limits == Limits(requests_per_hour=5, concurrency=2)


async def test_an_unknown_key_is_asked_for_once_until_it_is_created(desk: Desk) -> None:
    secret = new_key_secret()
    queries = desk.count_queries()
    for _ in range(20):
        assert await desk.refuse(secret.encode()) == UNKNOWN
    assert len(queries) == 1
    await desk.make(secret=secret)
    async with asyncio.timeout(20):
        while not isinstance(await desk.verifier.verify(secret.encode()), Principal):
            await asyncio.sleep(0.005)


async def test_a_refusal_is_remembered_for_a_short_time(desk: Desk) -> None:
    secret = new_key_secret().encode()
    queries = desk.count_queries()
    await desk.refuse(secret)
    desk.clock.advance(REFUSAL_TTL_S)
    await desk.refuse(secret)
    assert len(queries) == 2


async def test_many_callers_share_few_queries(desk: Desk) -> None:
    _, known = await desk.make()
    queries = desk.count_queries()
    strangers = [new_key_secret().encode() for _ in range(900)]
    outcomes = await asyncio.gather(*(desk.verifier.verify(secret) for secret in [known] * 500 + strangers))
    assert sum(isinstance(outcome, Principal) for outcome in outcomes) == 500
    assert sum(isinstance(outcome, Unauthorized) for outcome in outcomes) == 900
    assert len(queries) == 2


async def test_a_caller_that_leaves_does_not_take_the_answer_from_the_others(desk: Desk) -> None:
    _, secret = await desk.make()
    leaving = asyncio.create_task(desk.verifier.verify(secret))
    staying = asyncio.create_task(desk.verifier.verify(secret))
    await asyncio.sleep(0)
    leaving.cancel()
    assert isinstance(await staying, Principal)
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_key_revoked_while_it_is_being_read_does_not_stay(desk: Desk, database_url: str) -> None:
    key, secret = await desk.make()
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)

    def revoke(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("SELECT api_keys.id"):
            with psycopg.connect(url) as connection:
                connection.execute("DELETE FROM api_keys WHERE id = %s", [key.id])
                connection.execute(
                    "SELECT pg_notify('hypereal', json_build_object('kind', 'key', 'id', %s::text)::text)", [key.id]
                )

    event.listen(desk.engine.sync_engine, "after_cursor_execute", revoke, once=True)
    assert (await desk.admit(secret)).key_id == key.id
    desk.clock.advance(UNHEARD_TTL_S)
    await eventually(lambda: not desk.knows(secret))
    assert await desk.refuse(secret) == UNKNOWN


async def test_while_the_line_is_down_nothing_is_believed_for_longer_than_a_second(
    desk: Desk, database_server: str, database_url: str
) -> None:
    database = make_url(database_url).database or ""
    _, secret = await desk.make()
    await desk.admit(secret)
    desk.clock.advance(1000)
    assert desk.knows(secret)
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(database_server, autocommit=True) as admin:
        admin.execute(allow.format(sql.Identifier(database), sql.SQL("false")))
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            " AND application_name = 'hypereal listener'",
            [database],
        )
        await eventually(lambda: not desk.changes.healthy)
        assert not desk.knows(secret)
        await desk.admit(secret)
        assert desk.knows(secret)
        desk.clock.advance(UNHEARD_TTL_S)
        assert not desk.knows(secret)
        admin.execute(allow.format(sql.Identifier(database), sql.SQL("true")))
    await eventually(lambda: desk.changes.healthy)
    await desk.admit(secret)
    desk.clock.advance(1000)
    assert desk.knows(secret)


async def test_without_the_database_an_unknown_key_is_neither_let_in_nor_called_wrong(desk: Desk) -> None:
    away = open_engine("postgresql://nobody@127.0.0.1:1/none")
    verifier = Verifier(away, desk.changes)
    outcome = await verifier.verify(new_key_secret().encode())
    assert isinstance(outcome, Unavailable)
    assert (outcome.status, outcome.retry_after_s) == (503, 1)
    await verifier.close()
    await away.dispose()


async def test_more_callers_than_can_wait_are_turned_away(desk: Desk) -> None:
    secrets = [new_key_secret().encode() for _ in range(LOOKUPS_WAITING + 5)]
    outcomes = await asyncio.gather(*(desk.verifier.verify(secret) for secret in secrets))
    assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, Unauthorized) for outcome in outcomes) == LOOKUPS_WAITING


async def test_the_cache_is_bounded_and_keeps_what_is_used(desk: Desk) -> None:
    _, favourite = await desk.make()
    await desk.admit(favourite)
    others = [(await desk.make())[1] for _ in range(130)]
    for secret in others:
        await desk.admit(secret)
        assert desk.knows(favourite)
    remembered = sum(desk.knows(secret) for secret in others)
    assert 49 <= remembered <= 99
    assert desk.knows(others[-1])


def test_a_revoked_key_is_dead_in_every_process_within_a_second(database_url: str) -> None:
    async def prepare() -> tuple[str, str, str]:
        engine = open_engine(database_url)
        async with engine.begin() as connection:
            account = await accounts.create(connection, "Ada")
            key, secret = await keys.create(connection, account.id, name="laptop")
        await engine.dispose()
        return account.id, key.id, secret

    async def revoke(account_id: str, key_id: str) -> None:
        engine = open_engine(database_url)
        async with engine.begin() as connection:
            await keys.revoke(connection, key_id, account_id=account_id)
        await engine.dispose()

    account_id, key_id, secret = asyncio.run(prepare())
    command = [sys.executable, "-m", "tests.identity.verifier_process", database_url]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]

    def ask(process: subprocess.Popen[str], verb: str) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{verb} {secret}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    for process in processes:
        assert ask(process, "verify") == key_id
        assert ask(process, "find") == key_id
    asyncio.run(revoke(account_id, key_id))
    deadline = time.monotonic() + 1.0
    for process in processes:
        while ask(process, "find") != "unknown":
            assert time.monotonic() < deadline
        assert ask(process, "verify") == UNKNOWN
        process.communicate()
        assert process.returncode == 0
