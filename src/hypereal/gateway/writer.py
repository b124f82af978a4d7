"""The writer: the process that carries every journal of this host into the database.

One transaction for each batch: ledger entries, wallets, leases, holds, key spend, the request log, and how far the
journals have been applied. So a batch counts whole or not at all, and a crash at any point repeats or loses nothing.
When a server process is gone the writer finishes its journal, charges the streams that it left open, and releases what
it had set aside. A database that is away is waited for; the journals keep what comes meanwhile.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.billing import bulk, wallet
from hypereal.billing.journal import list_instances
from hypereal.db.engine import open_engine, open_sync_engine
from hypereal.gateway.quarantine import Quarantine
from hypereal.gateway.records import Settlement
from hypereal.gateway.tail import JournalTail, Poison
from hypereal.identity import keys
from hypereal.usage import log as usage_log
from hypereal.usage.metrics import RequestMetrics
from hypereal.usage.partitions import drop_partitions_before, ensure_partitions

PAUSE_S = 0.05
BATCH_RECORDS = 2000
UPKEEP_S = 1.0
EXPIRY_S = 30.0
LOCK_WAIT_MS = 500
DAYS_AHEAD = 2
KEY_USE_S = 60.0
BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)
DRAIN_S = 30.0
POISONOUS = (psycopg.DataError, psycopg.IntegrityError, LookupError, ValueError, OverflowError)
"""What the content of a record can cause. Anything else is the database's trouble and is tried again."""

log = structlog.get_logger()

_SAVE_OFFSETS = """
    INSERT INTO journal_offsets (segment, "offset")
    SELECT * FROM unnest(%s::text[], %s::bigint[])
    ON CONFLICT (segment) DO UPDATE SET "offset" = excluded."offset", updated_at = now()"""
_LOAD_OFFSETS = 'SELECT segment, "offset" FROM journal_offsets WHERE starts_with(segment, :prefix)'
_DROP_OFFSETS = "DELETE FROM journal_offsets WHERE starts_with(segment, :prefix)"
_DROP_SEGMENTS = "DELETE FROM journal_offsets WHERE segment = ANY(:segments)"
_NOTE_USE = """
    UPDATE api_keys SET last_used_at = used.at FROM unnest(%s::text[], %s::timestamptz[]) AS used (id, at)
    WHERE api_keys.id = used.id"""
_FIND_SPENT = """
    SELECT api_keys.id FROM api_keys JOIN key_spend ON key_spend.key_id = api_keys.id
    WHERE key_spend.period = :period AND (CAST(:keys AS text[]) IS NULL OR api_keys.id = ANY(:keys))
    AND api_keys.auto_disable AND api_keys.disabled_at IS NULL AND key_spend.spent >= api_keys.spending_limit"""


def _no_point(name: str) -> None:
    """Nothing happens here; the invariants suite passes a function that kills the process at a named point."""


@dataclass(slots=True)
class _Pending:
    """What was read from the journals and is not in the database yet."""

    settlements: list[Settlement] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.settlements or self.offsets)


class Writer:
    """Applies the journals below `journals`. One per host, held to that by a lock (`run`).

    `retention_days` is how long the request log is kept.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        bulk_engine: Engine,
        journals: Path,
        *,
        retention_days: int = 90,
        metrics: RequestMetrics | None = None,
        clock: Callable[[], float] = time.time,
        point: Callable[[str], None] = _no_point,
    ) -> None:
        self._engine = engine
        self._bulk_engine = bulk_engine
        self._journals = journals
        self._retention_days = retention_days
        self._metrics = metrics
        self._clock = clock
        self._point = point
        self._quarantine = Quarantine(journals / ".quarantine")
        self._tails: dict[str, JournalTail] = {}
        self._pending = _Pending()
        self._dropped: list[str] = []
        self._used: dict[str, float] = {}
        self._spenders: set[tuple[str, str]] = set()
        self._knows_spenders = False
        self._upkeep_at = 0.0
        self._expiry_at = 0.0
        self._partition_day: object = None

    async def run(self, stop: asyncio.Event) -> None:
        """Carry on until `stop` is set, then finish what there is."""
        failures = 0
        drain_until: float | None = None
        while True:
            try:
                worked = await self.step()
                failures = 0
            except (DBAPIError, psycopg.Error, OSError) as exc:
                worked = 0
                log.warning("writer.waits", cause=f"{type(exc).__name__}: {exc}".splitlines()[0])
                self._sync_tails()
                await _sleep(stop, BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
            if stop.is_set():
                drain_until = drain_until or time.monotonic() + DRAIN_S
                if (not worked and not failures) or time.monotonic() > drain_until:
                    break
            elif worked < BATCH_RECORDS:
                await _sleep(stop, PAUSE_S)
        self._close()

    async def step(self) -> int:
        """One round: read, apply, finish the dead, look after the house; returns how much there was to do."""
        if not self._pending:
            await self._read()
        worked = len(self._pending.settlements)
        if self._pending:
            self._apply_pending()
        for tail in self._tails.values():
            self._dropped += tail.drop_applied()
        worked += await self._finish_dead()
        await self._disable_spent()
        await self._upkeep(is_caught_up=worked < BATCH_RECORDS)
        return worked

    async def _read(self) -> None:
        await self._follow_new()
        for tail in list(self._tails.values()):
            room = BATCH_RECORDS - len(self._pending.settlements)
            if room <= 0:
                break
            try:
                tail.check_alive()
                batch = tail.read(room)
            except OSError as exc:
                # What it had read is not pending yet, so following starts again from what the database has.
                log.warning("journal.unreadable", instance=tail.instance, cause=str(exc))
                self._tails.pop(tail.instance).close()
                continue
            self._pending.settlements += batch.settlements
            self._pending.offsets |= batch.offsets
            for poison in batch.poison:
                self._quarantine.add(poison)

    async def _follow_new(self) -> None:
        for instance in list_instances(self._journals):
            if instance in self._tails:
                continue
            async with self._engine.connect() as connection:
                rows = await connection.execute(text(_LOAD_OFFSETS), {"prefix": f"{instance}/"})
                applied = {segment: int(offset) for segment, offset in rows}
            self._tails[instance] = JournalTail(self._journals / instance, applied)

    def _apply_pending(self) -> None:
        pending = self._pending
        applied = self._apply(pending.settlements, pending.offsets)
        self._pending = _Pending()
        self._note(applied)
        self._note_use(applied)

    def _note(self, applied: Sequence[Settlement]) -> None:
        """Count what was applied, and remember which limited keys have spent."""
        if self._metrics is not None:
            self._metrics.observe_batch(applied)
        for record in applied:
            if record.period is not None and record.key_id is not None and record.credits:
                self._spenders.add((record.key_id, record.period))

    def _apply(self, records: list[Settlement], offsets: dict[str, int]) -> list[Settlement]:
        """Apply records, all at once if that goes, and return those that were new with what was really charged."""
        try:
            return self._transact(records, offsets, is_careful=False)
        except psycopg.errors.UniqueViolation:
            log.info("writer.replays", records=len(records))
        except POISONOUS as exc:
            log.warning("writer.batch_refused", records=len(records), cause=str(exc).splitlines()[0])
        return self._apply_carefully(records, offsets)

    def _apply_carefully(self, records: list[Settlement], offsets: dict[str, int]) -> list[Settlement]:
        """Leave out what is in the database already, and halve the batch until a record that can't go in is alone."""
        try:
            return self._transact(records, offsets, is_careful=True)
        except POISONOUS as exc:
            if len(records) > 1:
                middle = len(records) // 2
                first = self._apply_carefully(records[:middle], {})
                return first + self._apply_carefully(records[middle:], offsets)
            for record in records:
                payload = msgspec.msgpack.encode(record)
                self._quarantine.add(Poison(instance="", segment=0, payload=payload, cause=str(exc)))
        return self._transact([], offsets, is_careful=False)

    def _transact(
        self, records: Sequence[Settlement], offsets: dict[str, int], *, is_careful: bool
    ) -> list[Settlement]:
        with _cursor(self._bulk_engine) as cursor:
            fresh = _without_known(cursor, records) if is_careful else list(records)
            short = bulk.charge_all(cursor, fresh)
            if short:
                log.error("writer.charged_short", requests=short)
                fresh = [_charged(record, short) for record in fresh]
            usage_log.write(cursor, fresh)
            if offsets:
                cursor.execute(_SAVE_OFFSETS, (list(offsets), list(offsets.values())))
            self._point("writer.before_commit")
        self._point("writer.after_commit")
        return fresh

    async def _finish_dead(self) -> int:
        """Settle and remove the journals that were read to their end and whose processes are gone."""
        done = [tail for tail in self._tails.values() if tail.is_finished] if not self._pending else []
        for tail in done:
            open_streams = tail.open_settlements()
            if open_streams:
                self._note(self._apply_carefully(open_streams, {}))
            self._point("writer.before_release")
            async with self._engine.begin() as connection:
                released = await wallet.release_instance(connection, tail.instance)
                await connection.execute(text(_DROP_OFFSETS), {"prefix": f"{tail.instance}/"})
            self._point("writer.after_release")
            tail.delete()
            del self._tails[tail.instance]
            log.info("instance.finished", instance=tail.instance, open_streams=len(open_streams), released=released)
        return len(done)

    async def _upkeep(self, *, is_caught_up: bool) -> None:
        now = self._clock()
        if now - self._upkeep_at < UPKEEP_S:
            return
        self._upkeep_at = now
        self._sync_tails()
        self._keep_partitions(now)
        if is_caught_up and now - self._expiry_at >= EXPIRY_S:
            async with self._engine.begin() as connection:
                released = await wallet.release_expired(connection)
                await connection.execute(text(_DROP_SEGMENTS), {"segments": self._dropped})
            self._expiry_at = now
            self._dropped = []
            if released:
                log.warning("holds.expired", released=released)

    def _keep_partitions(self, now: float) -> None:
        today = datetime.fromtimestamp(now, UTC).date()
        if today == self._partition_day:
            return
        try:
            with self._bulk_engine.begin() as connection:
                # Behind a long report this would wait, and every reader of the log behind it: rather later than that.
                connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_MS}ms'"))
                ensure_partitions(connection, DAYS_AHEAD, today=today)
                drop_partitions_before(connection, today - timedelta(days=self._retention_days))
        except OperationalError as exc:
            if not isinstance(exc.orig, psycopg.errors.LockNotAvailable):
                raise
            log.warning("partitions.postponed")
            return
        self._partition_day = today

    def _note_use(self, records: Sequence[Settlement]) -> None:
        """Write down when keys were last used, for each at most once a minute."""
        latest = {record.key_id: record.at for record in records if record.key_id is not None}
        due = {key: at for key, at in latest.items() if at - self._used.get(key, 0.0) >= KEY_USE_S}
        if not due:
            return
        times = [datetime.fromtimestamp(at, UTC) for at in due.values()]
        with _cursor(self._bulk_engine) as cursor:
            cursor.execute(_NOTE_USE, (list(due), times))
        oldest = self._clock() - KEY_USE_S
        self._used = {key: at for key, at in self._used.items() if at > oldest} | due

    async def _disable_spent(self) -> None:
        """Switch off the keys that have reached this month's limit and whose owners asked for that.

        Of all keys the first time: a writer before this one may have been killed between a charge and this.
        """
        period = wallet.period_of(self._clock())
        spenders = [key_id for key_id, month in self._spenders if month == period]
        if spenders or not self._knows_spenders:
            wanted = {"period": period, "keys": spenders if self._knows_spenders else None}
            async with self._engine.begin() as connection:
                for key_id in (await connection.scalars(text(_FIND_SPENT), wanted)).all():
                    await keys.disable(connection, key_id, reason="spending limit reached", only_automatic=True)
        self._knows_spenders = True
        self._spenders.clear()

    def _sync_tails(self) -> None:
        for tail in self._tails.values():
            tail.sync()

    def _close(self) -> None:
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()


def run(database_url: str, journals: Path, *, retention_days: int = 90) -> None:
    """Be the writer process until SIGTERM or SIGINT, then drain and return.

    `journals` is `HYPEREAL_HOME/journal`. A second writer on it waits until the first has gone.
    """
    journals.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(_run(database_url, journals, retention_days))


async def _run(database_url: str, journals: Path, retention_days: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lock = await _lock(journals, stop)
    engine, bulk_engine = open_engine(database_url), open_sync_engine(database_url)
    try:
        if not stop.is_set():
            metrics = RequestMetrics()
            await Writer(engine, bulk_engine, journals, retention_days=retention_days, metrics=metrics).run(stop)
    finally:
        await engine.dispose()
        bulk_engine.dispose()
        os.close(lock)


async def _lock(journals: Path, stop: asyncio.Event) -> int:
    lock = os.open(journals / ".writer", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while not stop.is_set():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await _sleep(stop, PAUSE_S)
        else:
            break
    return lock


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, unless it is time to stop; then give way once at least."""
    if stop.is_set():
        await asyncio.sleep(PAUSE_S)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


@contextmanager
def _cursor(engine: Engine) -> Iterator[psycopg.Cursor[Any]]:
    """A psycopg cursor in a transaction of its own: committed at the end, rolled back by an exception."""
    connection = engine.raw_connection()
    try:
        driver = connection.driver_connection
        assert isinstance(driver, psycopg.Connection)  # noqa: S101  # the engine's driver is fixed in db.engine
        with driver.cursor() as cursor:
            yield cursor
        connection.commit()
    except psycopg.OperationalError:
        connection.invalidate()
        raise
    finally:
        connection.close()


def _without_known(cursor: psycopg.Cursor[Any], records: Sequence[Settlement]) -> list[Settlement]:
    """The records that are not in the database, the first of each request."""
    known = bulk.find_charged(cursor, [record.request_id for record in records])
    known |= usage_log.find_logged(cursor, records)
    fresh: dict[str, Settlement] = {}
    for record in records:
        if record.request_id not in known:
            fresh.setdefault(record.request_id, record)
    return list(fresh.values())


def _charged(record: Settlement, short: dict[str, int]) -> Settlement:
    if record.request_id not in short:
        return record
    return msgspec.structs.replace(record, credits=short[record.request_id])
