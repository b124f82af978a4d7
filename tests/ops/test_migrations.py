"""The schema: what migrations make is what the tables say, once, whoever calls; and the ledger cannot be rewritten."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.exc import IntegrityError

import hypereal.billing.tables
import hypereal.identity.tables
import hypereal.limits.tables
import hypereal.usage.tables  # noqa: F401
from hypereal.db import Base, open_sync_engine
from hypereal.db.migrate import current, migrate, pending
from hypereal.usage.partitions import drop_partitions_before, ensure_partitions, list_partitions
from hypereal.usage.tables import UsageRecord

DAY = date(2026, 11, 21)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_sync_engine(database_url)
    yield engine
    engine.dispose()


def _include(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or not str(name).startswith("usage_records_")


def _log(connection: Connection, request_id: str, created_at: datetime) -> None:
    numbers = ["attempts", "status", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"]
    numbers += ["reasoning_tokens", "credits", "latency_ms"]
    row = dict.fromkeys(numbers, 1) | {"streamed": False, "basis": "provider", "endpoint": "/v1/x", "model": "m"}
    connection.execute(insert(UsageRecord).values(request_id=request_id, account_id="a", created_at=created_at, **row))


def _count(connection: Connection, table: str) -> int:
    return int(connection.scalars(text(f"SELECT count(*) FROM {table}")).one())


def _execute_all(connection: Connection, statements: str) -> None:
    for statement in statements.split(";"):
        connection.execute(text(statement))


def test_the_migrated_database_is_exactly_what_the_tables_declare(engine: Engine) -> None:
    options = {"include_name": _include, "compare_type": True, "compare_server_default": True}
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []


def test_every_declared_check_and_primary_key_exists(engine: Engine) -> None:
    declared = {str(c.name) for table in Base.metadata.tables.values() for c in table.constraints}
    with engine.connect() as connection:
        found = set(connection.scalars(text("SELECT conname FROM pg_constraint")))
    assert declared - found == set()
    assert "ck_wallets_available_not_negative" in declared


def test_a_new_database_waits_for_every_revision_and_then_for_none(empty_database_url: str) -> None:
    assert current(empty_database_url) is None
    waiting = pending(empty_database_url)
    assert waiting[0] == "0001"
    migrate(empty_database_url)
    assert current(empty_database_url) == waiting[-1]
    assert pending(empty_database_url) == []


def test_the_log_keeps_its_rows_and_its_partitions_when_columns_are_added(empty_database_url: str) -> None:
    engine = open_sync_engine(empty_database_url)
    row = """
        INSERT INTO usage_records (request_id, created_at, account_id, endpoint, model, attempts, status, streamed,
            basis, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
            credits, latency_ms)
        VALUES ('req_%s', :at, 'a', '/', 'm', 1, 200, false, 'provider', 1, 2, 3, 4, 5, 6, 7)"""
    try:
        migrate(empty_database_url, "0001")
        with engine.begin() as connection:
            ensure_partitions(connection, 0, today=DAY)
            connection.execute(text(row % "stray"), {"at": datetime(2020, 1, 1, tzinfo=UTC)})
            connection.execute(text(row % "old"), {"at": datetime(2026, 11, 21, 12, tzinfo=UTC)})
            connection.execute(text(row % "early"), {"at": datetime(2026, 11, 22, 12, tzinfo=UTC)})
        migrate(empty_database_url)
        with engine.begin() as connection:
            # A process of the version before knows nothing of the new columns, and may still be writing.
            connection.execute(text(row % "late"), {"at": datetime(2026, 11, 21, 13, tzinfo=UTC)})
            ensure_partitions(connection, 1, today=DAY)
            kept = connection.execute(
                text("SELECT request_id, output_tokens, cache_write_1h_tokens, cache_savings FROM usage_records")
            )
            assert {tuple(found) for found in kept} == {
                (f"req_{name}", 4, 0, 0) for name in ("stray", "old", "early", "late")
            }
            assert _count(connection, "usage_records_20261122") == 1
    finally:
        engine.dispose()


def test_many_processes_may_migrate_at_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [empty_database_url] * 4))
    assert pending(empty_database_url) == []


def test_a_database_newer_than_the_code_is_not_guessed_at(engine: Engine, database_url: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ValueError, match="9999"):
        pending(database_url)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entries SET amount = 0",
        "DELETE FROM ledger_entries",
        "TRUNCATE ledger_entries",
        "SET LOCAL session_replication_role = replica; DELETE FROM ledger_entries",
    ],
)
def test_the_ledger_refuses_every_change(engine: Engine, statement: str) -> None:
    entry = "INSERT INTO ledger_entries (wallet_id, kind, amount, reference) VALUES ('w', 'grant', 5, 'grant:1')"
    with engine.begin() as connection:
        connection.execute(text(entry))
    with engine.connect() as connection, pytest.raises(IntegrityError, match="append-only"):
        _execute_all(connection, statement)
    with engine.connect() as connection:
        assert _count(connection, "ledger_entries WHERE amount = 5") == 1


def test_partitions_are_made_ahead_and_only_once(engine: Engine) -> None:
    days = [DAY + timedelta(days=ahead) for ahead in range(4)]
    with engine.begin() as connection:
        assert ensure_partitions(connection, 3, today=DAY) == days
        assert ensure_partitions(connection, 3, today=DAY) == []
        assert list_partitions(connection) == days


def test_a_row_lies_in_the_partition_of_its_utc_day(engine: Engine) -> None:
    with engine.begin() as connection:
        ensure_partitions(connection, 1, today=DAY)
        _log(connection, "req_1", datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC))
        _log(connection, "req_2", datetime(2026, 11, 22, tzinfo=UTC))
        assert _count(connection, "usage_records_20261121") == 1
        assert _count(connection, "usage_records_20261122") == 1


def test_a_row_of_a_day_without_partition_is_kept_and_moves_when_it_gets_one(engine: Engine) -> None:
    with engine.begin() as connection:
        _log(connection, "req_1", datetime(2026, 11, 21, 12, tzinfo=UTC))
        assert _count(connection, "usage_records_default") == 1
        ensure_partitions(connection, 0, today=DAY)
        assert _count(connection, "usage_records_default") == 0
        assert _count(connection, "usage_records_20261121") == 1


def test_retention_drops_old_days_whole_and_old_stray_rows(engine: Engine) -> None:
    with engine.begin() as connection:
        _log(connection, "req_stray", datetime(2020, 1, 1, tzinfo=UTC))
        ensure_partitions(connection, 2, today=DAY)
        _log(connection, "req_old", datetime(2026, 11, 21, 12, tzinfo=UTC))
        _log(connection, "req_new", datetime(2026, 11, 22, 12, tzinfo=UTC))
        assert drop_partitions_before(connection, date(2026, 11, 22)) == [DAY]
        kept = connection.scalars(text("SELECT request_id FROM usage_records")).all()
        assert list(kept) == ["req_new"]
        assert list_partitions(connection) == [date(2026, 11, 22), date(2026, 11, 23)]
