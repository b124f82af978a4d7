"""Windows that several processes share through a real database."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.db import open_engine
from hypereal.limits.counters import Limited, Subject
from hypereal.limits.sync import OPEN_TTL_S, WindowSync
from hypereal.limits.tables import WindowCount
from hypereal.limits.windows import Admission, Windows
from tests.limits.clock import FrozenClock

ROOT = Path(__file__).parents[2]
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


class Server:
    """A server process, as far as limits are concerned."""

    def __init__(self, engine: AsyncEngine, clock: FrozenClock, instance: str) -> None:
        self.windows = Windows(clock=clock)
        self.sync = WindowSync(self.windows, engine, instance=instance, clock=clock)

    def admit(self, subject: Subject, times: int, *, tokens: int = 0) -> int:
        outcomes = [self.windows.admit([subject], tokens) for _ in range(times)]
        return sum(isinstance(outcome, Admission) for outcome in outcomes)

    def hold(self, subject: Subject, tokens: int = 0) -> Admission:
        outcome = self.windows.admit([subject], tokens)
        assert isinstance(outcome, Admission)
        return outcome


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


async def rows_of(engine: AsyncEngine, kind: str) -> int:
    async with engine.connect() as connection:
        statement = select(func.count()).select_from(WindowCount).where(WindowCount.kind == kind)
        return int((await connection.execute(statement)).scalar_one())


async def test_what_one_process_admits_the_others_count(engine: AsyncEngine, clock: FrozenClock) -> None:
    a, b = Server(engine, clock, "a"), Server(engine, clock, "b")
    subject = Subject(id="acct", requests_per_hour=10, requests_per_minute=8)
    assert a.admit(subject, 6) == 6
    assert await a.sync.exchange()
    assert b.admit(subject, 1) == 1
    assert await b.sync.exchange()
    assert b.admit(subject, 5) == 1
    clock.advance(62)
    assert b.admit(subject, 5) == 2
    clock.advance(3612)
    assert b.admit(subject, 20) == 8


async def test_a_restarted_process_picks_up_what_was_counted(engine: AsyncEngine, clock: FrozenClock) -> None:
    subject = Subject(id="acct", requests_per_hour=10, tokens_per_minute=1000)
    before = Server(engine, clock, "before")
    assert before.admit(subject, 7, tokens=100) == 7
    await before.sync.exchange()
    clock.advance(20)
    after = Server(engine, clock, "after")
    assert after.admit(subject, 1, tokens=100) == 1
    await after.sync.exchange()
    assert after.admit(subject, 10, tokens=100) == 2
    refusal = after.windows.admit([subject], 1)
    assert isinstance(refusal, Limited)
    assert refusal.retry_after_s is not None
    assert refusal.retry_after_s <= 3610 - 20


async def test_tokens_that_are_corrected_are_corrected_everywhere(engine: AsyncEngine, clock: FrozenClock) -> None:
    a, b = Server(engine, clock, "a"), Server(engine, clock, "b")
    subject = Subject(id="acct", requests_per_minute=100, tokens_per_minute=1000)
    held = a.hold(subject, 900)
    await a.sync.exchange()
    assert b.admit(subject, 1, tokens=50) == 1
    await b.sync.exchange()
    assert b.admit(subject, 1, tokens=100) == 0
    clock.advance(5)
    held.finish(100)
    await a.sync.exchange()
    await b.sync.exchange()
    assert b.admit(subject, 200, tokens=1) == 98
    async with engine.connect() as connection:
        statement = select(WindowCount.requests, WindowCount.tokens).where(WindowCount.instance == "a")
        assert [tuple(row) for row in await connection.execute(statement)] == [(1, 100)]


async def test_requests_in_flight_elsewhere_count_until_they_end(engine: AsyncEngine, clock: FrozenClock) -> None:
    a, b = Server(engine, clock, "a"), Server(engine, clock, "b")
    subject = Subject(id="acct", concurrency=3)
    held = [a.hold(subject), a.hold(subject)]
    await a.sync.exchange()
    mine = b.hold(subject)
    await b.sync.exchange()
    assert b.admit(subject, 1) == 0
    held.pop().finish()
    await a.sync.exchange()
    await b.sync.exchange()
    also_mine = b.hold(subject)
    assert b.admit(subject, 1) == 0
    mine.finish()
    also_mine.finish()


async def test_a_process_that_died_gives_its_places_back(engine: AsyncEngine, clock: FrozenClock) -> None:
    dead, alive = Server(engine, clock, "dead"), Server(engine, clock, "alive")
    subject = Subject(id="acct", concurrency=1)
    lost = dead.hold(subject)
    await dead.sync.exchange()
    alive.hold(subject).finish()
    await alive.sync.exchange()
    assert alive.admit(subject, 1) == 0
    clock.advance(OPEN_TTL_S)
    assert alive.admit(subject, 1) == 1
    lost.finish()


async def test_a_long_request_stays_known_to_the_others(engine: AsyncEngine, clock: FrozenClock) -> None:
    a, b = Server(engine, clock, "a"), Server(engine, clock, "b")
    subject = Subject(id="acct", concurrency=1)
    long = a.hold(subject)
    b.hold(subject).finish()
    for _ in range(8):
        await a.sync.exchange()
        await b.sync.exchange()
        assert b.admit(subject, 1) == 0
        clock.advance(1)
    long.finish()


async def test_without_the_database_the_limits_stay_local_and_nothing_is_lost(
    engine: AsyncEngine, clock: FrozenClock
) -> None:
    away = open_engine(NOWHERE)
    server = Server(engine, clock, "a")
    cut_off = WindowSync(server.windows, away, instance="a", clock=clock)
    subject = Subject(id="acct", requests_per_hour=10)
    assert server.admit(subject, 4) == 4
    assert not await cut_off.exchange()
    assert not cut_off.healthy
    assert server.admit(subject, 4) == 4
    assert not await cut_off.exchange()
    assert server.admit(subject, 4) == 2
    await away.dispose()
    assert await server.sync.exchange()
    other = Server(engine, clock, "b")
    other.admit(subject, 1)
    await other.sync.exchange()
    assert other.admit(subject, 5) == 0


async def test_an_exchange_that_is_cut_short_is_made_up_for(engine: AsyncEngine, clock: FrozenClock) -> None:
    a, b = Server(engine, clock, "a"), Server(engine, clock, "b")
    subject = Subject(id="acct", requests_per_hour=10)
    assert a.admit(subject, 9) == 9
    exchange = asyncio.create_task(a.sync.exchange())
    await asyncio.sleep(0)
    exchange.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exchange
    await a.sync.exchange()
    await a.sync.exchange()
    b.admit(subject, 1)
    await b.sync.exchange()
    assert b.admit(subject, 1) == 0


async def test_rows_that_left_every_window_are_deleted(engine: AsyncEngine, clock: FrozenClock) -> None:
    server = Server(engine, clock, "a")
    subject = Subject(id="acct", requests_per_hour=10, requests_per_minute=10)
    server.admit(subject, 1)
    await server.sync.exchange()
    await server.sync.clean()
    assert (await rows_of(engine, "hour"), await rows_of(engine, "minute")) == (1, 1)
    clock.advance(200)
    await server.sync.clean()
    assert (await rows_of(engine, "hour"), await rows_of(engine, "minute")) == (1, 0)
    clock.advance(3700)
    await server.sync.clean()
    assert await rows_of(engine, "hour") == 0


async def test_the_task_exchanges_by_itself_and_once_more_when_stopped(engine: AsyncEngine, clock: FrozenClock) -> None:
    server = Server(engine, clock, "a")
    task = WindowSync(server.windows, engine, instance="a", interval_s=0.01, clock=clock)
    task.start()
    server.admit(Subject(id="first", requests_per_hour=10), 1)
    async with asyncio.timeout(20):
        while await rows_of(engine, "hour") == 0:
            await asyncio.sleep(0.01)
    server.admit(Subject(id="last", requests_per_hour=10), 1)
    await task.stop()
    await task.stop()
    assert await rows_of(engine, "hour") == 2


async def test_the_task_gives_memory_and_rows_back(engine: AsyncEngine, clock: FrozenClock) -> None:
    server = Server(engine, clock, "a")
    task = WindowSync(server.windows, engine, instance="a", interval_s=0.01, clock=clock)
    server.admit(Subject(id="acct", requests_per_hour=10, tokens_per_minute=5), 1)
    await task.exchange()
    clock.advance(4000)
    task.start()
    async with asyncio.timeout(20):
        while len(server.windows) or await rows_of(engine, "hour") or await rows_of(engine, "minute"):
            await asyncio.sleep(0.01)
    await task.stop()


async def test_counts_that_are_too_old_to_matter_are_passed_over(engine: AsyncEngine, clock: FrozenClock) -> None:
    a, b = Server(engine, clock, "a"), Server(engine, clock, "b")
    subject = Subject(id="acct", requests_per_hour=10)
    assert a.admit(subject, 10) == 10
    await a.sync.exchange()
    clock.advance(3700)
    b.admit(subject, 1)
    await b.sync.exchange()
    assert b.admit(subject, 20) == 9


def test_three_processes_pass_a_limit_by_no_more_than_the_stated_bound(database_url: str) -> None:
    limit, a_round, others = 100, 5, 2
    command = [sys.executable, "-m", "tests.limits.window_process", database_url]
    processes = [
        subprocess.Popen(
            [*command, f"i{number}", str(limit)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(others + 1)
    ]

    def tell(process: subprocess.Popen[str], line: str) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    total = 0
    for _ in range(15):
        total += sum(int(tell(process, f"admit {a_round}")) for process in processes)
        assert [tell(process, "exchange") for process in processes] == ["True"] * len(processes)
    assert limit <= total <= limit + others * 2 * a_round
    assert [tell(process, "admit 50") for process in processes] == ["0"] * len(processes)
    for process in processes:
        process.communicate()
        assert process.returncode == 0
