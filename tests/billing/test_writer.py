"""The writer: journals into ledger and log, in whatever state they and the database are."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.billing import ledger, wallet
from hypereal.billing.journal import Journal, list_instances, segment_path
from hypereal.billing.verify import verify
from hypereal.billing.wallet import Owner
from hypereal.gateway.records import Opened, Progress, Record, Settlement
from hypereal.gateway.writer import Writer
from hypereal.identity.tables import Account, ApiKey
from hypereal.kit.money import Micro
from hypereal.usage.metrics import RequestMetrics
from tests.support.settlements import AT, settlement

WALLET = "acct_1"
SEGMENT = 4096
NEW_FIELDS = ("cache_write_1h_tokens", "cache_savings", "cache_family")
"""Of a settlement, in order: those that version 0.1 did not write."""


@dataclass
class Desk:
    """A writer, a journal to write into, and the books that come of it."""

    engine: AsyncEngine
    bulk_engine: Engine
    journals: Path
    journal: Journal
    writer: Writer

    def append(self, *records: Record) -> None:
        for record in records:
            self.journal.append(msgspec.msgpack.encode(record))

    async def work(self) -> None:
        """Until there is nothing more to do."""
        while await self.writer.step():
            pass

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        async with self.engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(statement))]

    async def charges(self) -> dict[str, int]:
        found = await self.rows("SELECT reference, -amount FROM ledger_entries WHERE kind = 'charge' ORDER BY id")
        return {reference.removeprefix("charge:"): amount for reference, amount in found}

    async def lease(self, name: str, amount: int, **owner: Any) -> None:
        fields = {"wallet_id": WALLET, "instance": self.journal.instance} | owner
        async with self.engine.begin() as connection:
            await wallet.grow_lease(connection, Owner(**fields), lease_id=name, amount=Micro(amount), ttl_s=600)

    def restarted(self) -> Writer:
        self.writer = Writer(self.engine, self.bulk_engine, self.journals)
        return self.writer


@pytest.fixture
async def desk(engine: AsyncEngine, sync_engine: Engine, tmp_path: Path) -> AsyncIterator[Desk]:
    await ledger.grant(engine, WALLET, amount=Micro(10_000), reference="grant:1")
    journals = tmp_path / "journal"
    journal = Journal(journals, "one", segment_bytes=SEGMENT)
    metrics = RequestMetrics()
    yield Desk(engine, sync_engine, journals, journal, Writer(engine, sync_engine, journals, metrics=metrics))
    journal.close()


async def test_a_journal_of_the_version_before_is_applied(desk: Desk) -> None:
    await desk.lease("lease_1", 100)
    record = settlement(request_id="req_old", lease_id="lease_1", credits=7)
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(record))[: -len(NEW_FIELDS)]
    desk.journal.append(msgspec.msgpack.encode(old))
    await desk.work()
    assert await desk.charges() == {"req_old": 7}
    columns = "input_tokens, output_tokens, latency_ms, cache_write_1h_tokens, cache_savings"
    assert await desk.rows(f"SELECT {columns} FROM usage_records") == [(10, 20, 120, 0, 0)]


async def test_what_caches_took_and_saved_is_in_the_log(desk: Desk) -> None:
    desk.append(settlement(cache_write_1h_tokens=5, cache_savings=-3, cache_family="f"))
    await desk.work()
    assert await desk.rows("SELECT cache_write_1h_tokens, cache_savings FROM usage_records") == [(5, -3)]


async def test_a_settlement_becomes_a_charge_and_a_row_of_the_log(desk: Desk) -> None:
    await desk.lease("l", 500)
    desk.append(settlement(request_id="r1", lease_id="l", credits=120), settlement(request_id="r2", status=502))
    await desk.work()
    assert await desk.charges() == {"r1": 120}
    assert await desk.rows("SELECT request_id, credits, status FROM usage_records ORDER BY 1") == [
        ("r1", 120, 200),
        ("r2", 0, 502),
    ]
    assert await desk.rows("SELECT balance, held FROM wallets") == [(9880, 380)]
    assert await desk.rows("SELECT key_id, period, spent FROM key_spend") == [("key_1", "2026-11", 120)]
    assert await verify(desk.engine) == []


async def test_a_limited_key_moves_its_reservation_to_its_spend(desk: Desk) -> None:
    await desk.lease("l", 500, key_id="key_1", period="2026-10")
    desk.append(settlement(request_id="r1", lease_id="l", period="2026-10", credits=120))
    await desk.work()
    assert await desk.rows("SELECT period, spent, reserved FROM key_spend") == [("2026-10", 120, 380)]
    assert await verify(desk.engine) == []


async def test_an_own_hold_ends_with_its_settlement(desk: Desk) -> None:
    async with desk.engine.begin() as connection:
        owner = Owner(wallet_id=WALLET, key_id="key_1", period="2026-11", spending_limit=1000, instance="one")
        for name in ("r1", "r2"):
            await wallet.hold(connection, owner, reference=name, amount=Micro(300), ttl_s=60)
    desk.append(
        settlement(request_id="r1", lease_id=None, period="2026-11", credits=250),
        settlement(request_id="r2", lease_id=None, period="2026-11"),
    )
    await desk.work()
    assert await desk.charges() == {"r1": 250}
    assert await desk.rows("SELECT balance, held FROM wallets") == [(9750, 0)]
    assert await desk.rows("SELECT spent, reserved FROM key_spend") == [(250, 0)]
    assert await verify(desk.engine) == []


async def test_a_charge_whose_lease_is_gone_is_taken_from_what_is_available(desk: Desk) -> None:
    desk.append(
        settlement(request_id="r1", lease_id="gone", credits=9_000),
        settlement(request_id="r2", lease_id=None, credits=3_000),
        settlement(request_id="r3", lease_id="gone", key_id=None, credits=500),
    )
    await desk.work()
    assert await desk.charges() == {"r1": 9_000, "r2": 1_000}
    assert await desk.rows("SELECT request_id, credits FROM usage_records ORDER BY 1") == [
        ("r1", 9_000),
        ("r2", 1_000),
        ("r3", 0),
    ]
    assert await verify(desk.engine) == []


async def test_the_same_request_in_one_batch_or_the_next_is_charged_once(desk: Desk) -> None:
    await desk.lease("l", 500)
    first = settlement(request_id="r1", lease_id="l", credits=100)
    desk.append(first, first)
    await desk.work()
    desk.append(first, settlement(request_id="r2", lease_id="l", credits=5))
    await desk.work()
    assert await desk.charges() == {"r1": 100, "r2": 5}
    assert await verify(desk.engine) == []


async def test_poison_is_set_aside_and_blocks_nothing(desk: Desk) -> None:
    await desk.lease("l", 500)
    desk.append(settlement(request_id="r1", lease_id="l", credits=1))
    desk.journal.append(b"\xc1 not msgpack")
    desk.append(
        settlement(request_id="r2", wallet_id="nobody", credits=1),
        settlement(request_id="r3", error="a\0b"),
        settlement(request_id="r4", output_tokens=2**63),
        settlement(request_id="r5", lease_id="l", credits=1),
    )
    await desk.work()
    assert await desk.charges() == {"r1": 1, "r5": 1}
    lines = (desk.journals / ".quarantine").read_text().splitlines()
    payloads = [base64.b64decode(json.loads(line)["payload"]) for line in lines]
    assert payloads[0] == b"\xc1 not msgpack"
    names = [msgspec.msgpack.decode(payload, type=Settlement).request_id for payload in payloads[1:]]
    assert names == ["r2", "r3", "r4"]
    assert await verify(desk.engine) == []


async def test_a_restarted_writer_goes_on_where_it_was(desk: Desk) -> None:
    await desk.lease("l", 500)
    for number in range(60):
        desk.append(settlement(request_id=f"r{number}", lease_id="l", credits=1))
        if number % 20 == 0:
            await desk.work()
            desk.restarted()
    await desk.work()
    assert len(await desk.charges()) == 60
    assert len([path for path in desk.journal.directory.iterdir() if path.suffix == ".seg"]) <= 2
    assert await verify(desk.engine) == []


async def test_open_streams_are_remembered_when_their_segments_are_gone(desk: Desk) -> None:
    await desk.lease("l", 5000)
    for name in ("ended", "cut", "progressed"):
        desk.append(Opened(settlement(request_id=name, lease_id="l", credits=10, streamed=True)))
    desk.append(
        Progress(request_id="progressed", credits=30, output_tokens=9),
        Progress(request_id="unknown", credits=30, output_tokens=9),
    )
    for number in range(60):
        desk.append(settlement(request_id=f"r{number}", lease_id="l", credits=1))
    await desk.work()
    assert not segment_path(desk.journal.directory, 1).exists()
    desk.restarted()
    desk.append(settlement(request_id="ended", lease_id="l", credits=12))
    desk.journal.close()
    await desk.work()
    charges = await desk.charges()
    assert {name: charges[name] for name in ("ended", "cut", "progressed")} == {
        "ended": 12,
        "cut": 10,
        "progressed": 30,
    }
    assert await desk.rows("SELECT request_id FROM usage_records WHERE basis = 'estimated' ORDER BY 1") == [
        ("cut",),
        ("progressed",),
    ]
    assert list_instances(desk.journals) == []
    assert await desk.rows("SELECT * FROM journal_offsets") == []
    assert await desk.rows("SELECT held FROM wallets") == [(0,)]
    assert await verify(desk.engine) == []


async def test_a_damaged_segment_costs_only_what_stood_behind_the_damage(desk: Desk) -> None:
    await desk.lease("l", 500)
    for number in range(60):
        desk.append(settlement(request_id=f"r{number}", lease_id="l", credits=1))
    with segment_path(desk.journal.directory, 1).open("r+b") as file:
        file.seek(SEGMENT // 2)
        file.write(b"\xff" * 64)
    desk.journal.close()
    await desk.work()
    charges = await desk.charges()
    assert {"r0", "r59"} <= set(charges)
    assert 30 < len(charges) < 60
    assert list_instances(desk.journals) == []
    assert await verify(desk.engine) == []


async def test_a_journal_without_segments_is_removed(desk: Desk) -> None:
    (desk.journals / "empty").mkdir()
    await desk.work()
    assert list_instances(desk.journals) == ["one"]


async def test_an_unreadable_journal_does_not_stop_the_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Journal(desk.journals, "another", segment_bytes=SEGMENT)
    other.append(msgspec.msgpack.encode(settlement(request_id="r2")))
    desk.append(settlement(request_id="r1"))
    path = segment_path(other.directory, 1)
    hidden = path.with_suffix(".hidden")
    path.rename(hidden)
    path.symlink_to("/nonexistent/segment")
    await desk.work()
    assert await desk.rows("SELECT request_id FROM usage_records") == [("r1",)]
    path.unlink()
    hidden.rename(path)
    await desk.work()
    assert len(await desk.rows("SELECT request_id FROM usage_records")) == 2
    other.close()


async def add_keys(desk: Desk, **limits: int) -> None:
    """Keys by name with their limits; those that end in `_automatic` switch themselves off."""
    async with desk.engine.begin() as connection:
        await connection.execute(Account.__table__.insert().values(id=WALLET, kind="user", name="n"))  # type: ignore[attr-defined]
        for name, limit in limits.items():
            await connection.execute(
                ApiKey.__table__.insert().values(  # type: ignore[attr-defined]
                    id=name,
                    account_id=WALLET,
                    name=name,
                    digest=name.encode(),
                    preview=name,
                    auto_disable=name.endswith("_automatic"),
                    spending_limit=limit,
                )
            )


async def test_a_key_that_reached_its_limit_is_disabled_when_its_owner_asked_for_it(desk: Desk) -> None:
    month = wallet.period_of(time.time())
    names = ("one_automatic", "two", "three_automatic")
    await add_keys(desk, one_automatic=100, two=100, three_automatic=101)
    for name in names:
        await desk.lease(f"l_{name}", 100, key_id=name, period=month)
        desk.append(settlement(request_id=f"r_{name}", key_id=name, lease_id=f"l_{name}", period=month, credits=100))
    await desk.work()
    assert await desk.rows("SELECT id FROM api_keys WHERE disabled_at IS NOT NULL") == [("one_automatic",)]


async def test_a_charge_of_a_month_that_is_over_disables_no_key(desk: Desk) -> None:
    await add_keys(desk, key_automatic=100)
    desk.append(settlement(request_id="late", key_id="key_automatic", period="2026-01", credits=100))
    await desk.work()
    assert await desk.rows("SELECT period, spent FROM key_spend") == [("2026-01", 100)]
    assert await desk.rows("SELECT id FROM api_keys WHERE disabled_at IS NOT NULL") == []


async def test_a_writer_finishes_what_one_before_it_left_undone(desk: Desk) -> None:
    await add_keys(desk, key_automatic=100)
    async with desk.engine.begin() as connection:
        await wallet.add_spend(connection, "key_automatic", wallet.period_of(time.time()), Micro(100))
    desk.restarted()
    await desk.work()
    assert await desk.rows("SELECT id FROM api_keys WHERE disabled_at IS NOT NULL") == [("key_automatic",)]


async def test_the_use_of_a_key_is_noted_at_most_once_a_minute(desk: Desk) -> None:
    await add_keys(desk, key_1=1000, key_2=1000)
    desk.append(settlement(request_id="first", key_id="key_1"), settlement(request_id="second", key_id="key_2"))
    await desk.work()
    used = await desk.rows("SELECT DISTINCT last_used_at FROM api_keys")
    assert used == [(datetime.fromtimestamp(AT, UTC),)]
    desk.append(settlement(request_id="soon", at=AT + 59), settlement(request_id="later", key_id="key_2", at=AT + 60))
    await desk.work()
    assert await desk.rows("SELECT id FROM api_keys WHERE last_used_at > to_timestamp(1795000000)") == [("key_2",)]


async def test_upkeep_makes_partitions_and_releases_what_expired(desk: Desk) -> None:
    async with desk.engine.begin() as connection:
        await wallet.hold(connection, Owner(wallet_id=WALLET), reference="old", amount=Micro(100), ttl_s=-1)
    await desk.work()
    assert await desk.rows("SELECT held FROM wallets") == [(0,)]
    today = datetime.now(UTC)
    assert await desk.rows(f"SELECT to_regclass('usage_records_{today:%Y%m%d}') IS NOT NULL") == [(True,)]


async def test_the_writer_waits_for_a_database_that_is_away_and_drains_when_told_to_stop(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.append(settlement(request_id="r1"))
    failures = iter(range(3))
    really = desk.writer._transact

    def lose(*arguments: Any, **named: Any) -> list[Settlement]:
        if next(failures, None) is not None:
            raise psycopg.OperationalError("the connection is lost")
        return really(*arguments, **named)

    monkeypatch.setattr(desk.writer, "_transact", lose)
    stop = asyncio.Event()
    running = asyncio.create_task(desk.writer.run(stop))
    while not await desk.rows("SELECT 1 FROM usage_records"):
        await asyncio.sleep(0.01)
    desk.append(settlement(request_id="r2"))
    stop.set()
    await running
    assert len(await desk.rows("SELECT 1 FROM usage_records")) == 2


async def test_the_writer_process_ends_on_sigterm_with_everything_applied(desk: Desk, database_url: str) -> None:
    arguments = f"{database_url!r}, Path({str(desk.journals)!r})"
    command = f"from pathlib import Path; from hypereal.gateway.writer import run; run({arguments})"
    first = await asyncio.create_subprocess_exec(sys.executable, "-c", command, env=dict(os.environ))
    desk.append(settlement(request_id="r1"))
    while not await desk.rows("SELECT 1 FROM usage_records"):
        await asyncio.sleep(0.02)
    second = await asyncio.create_subprocess_exec(sys.executable, "-c", command, env=dict(os.environ))
    desk.append(settlement(request_id="r2"))
    first.send_signal(signal.SIGTERM)
    assert await first.wait() == 0
    assert len(await desk.rows("SELECT 1 FROM usage_records")) == 2
    desk.append(settlement(request_id="r3"))
    while len(await desk.rows("SELECT 1 FROM usage_records")) < 3:
        await asyncio.sleep(0.02)
    second.send_signal(signal.SIGTERM)
    assert await second.wait() == 0


async def test_a_long_report_does_not_hold_up_the_books(desk: Desk) -> None:
    async with desk.engine.connect() as reader:
        await reader.execute(text("SELECT count(*) FROM usage_records"))
        desk.append(settlement(request_id="req_1", credits=0, lease_id=""))
        await desk.work()
        assert await desk.rows("SELECT request_id FROM usage_records") == [("req_1",)]
    desk.restarted()
    await desk.work()
    partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_records'::regclass"
    assert await desk.rows(partitions) > [(1,)]
