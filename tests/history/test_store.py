"""The store of responses: written behind the requests, found by every process, given up rather than piled up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.db.engine import open_engine
from hypereal.history import History, Kept, store
from hypereal.history.tables import StoredResponse

ENOUGH_FOR_A_FLUSH_S = 3.0
ENOUGH_TO_GIVE_UP_S = 10.0


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def lost_engine() -> AsyncIterator[AsyncEngine]:
    """A database that cannot be reached."""
    engine = open_engine("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    yield engine
    await engine.dispose()


def new_history(engine: AsyncEngine, **fields: Any) -> History:
    return History(engine, **{"retention_days": 30, **fields})


def response(response_id: str = "resp_1", *, account_id: str = "acc_1", answer: bytes = b"{}") -> Kept:
    return Kept(account_id=account_id, id=response_id, input=b"[]", answer=answer)


async def count(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(select(func.count()).select_from(StoredResponse))).scalar_one())


async def test_a_response_is_found_before_it_is_written_and_afterwards(engine: AsyncEngine) -> None:
    history = new_history(engine)
    history.keep(response())
    assert await history.find("acc_1", "resp_1") == response()
    assert await count(engine) == 0
    await history.flush()
    assert await count(engine) == 1
    assert await history.find("acc_1", "resp_1") == response()


@pytest.mark.parametrize("name", ["resp_\x00", "resp_\ud800", "resp_é", "resp_\n"])
async def test_an_id_that_the_database_would_refuse_is_one_that_never_was(engine: AsyncEngine, name: str) -> None:
    history = new_history(engine)
    history.keep(response(name))
    await history.flush()
    assert await count(engine) == 0
    assert await history.find("acc_1", name) is None
    assert not await history.delete("acc_1", name)


async def test_another_process_finds_it_once_it_is_written(engine: AsyncEngine) -> None:
    writer, reader = new_history(engine), new_history(engine)
    writer.keep(response())
    looking = asyncio.create_task(reader.find("acc_1", "resp_1"))
    await asyncio.sleep(store.LOOK_AGAIN_S / 2)
    assert not looking.done()
    await writer.flush()
    assert await looking == response()


async def test_nobody_waits_for_long_for_what_does_not_exist(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PATIENCE_S", 3 * store.LOOK_AGAIN_S)
    async with asyncio.timeout(ENOUGH_TO_GIVE_UP_S):
        assert await new_history(engine).find("acc_1", "resp_none") is None


async def test_an_account_sees_only_its_own(engine: AsyncEngine) -> None:
    history = new_history(engine)
    history.keep(response())
    await history.flush()
    history.keep(response("resp_2"))
    for response_id in ("resp_1", "resp_2"):
        assert await history.find("acc_2", response_id) is None
        assert not await history.delete("acc_2", response_id)
        assert await history.find("acc_1", response_id) is not None


async def test_what_is_deleted_is_gone_whether_or_not_it_was_written(engine: AsyncEngine) -> None:
    history = new_history(engine)
    history.keep(response("resp_1"))
    await history.flush()
    history.keep(response("resp_2"))
    for response_id in ("resp_1", "resp_2"):
        assert await history.delete("acc_1", response_id)
        assert not await history.delete("acc_1", response_id)
        assert await history.find("acc_1", response_id) is None
    await history.flush()
    assert await count(engine) == 0


async def test_an_id_that_comes_again_means_the_newest_answer(engine: AsyncEngine) -> None:
    history = new_history(engine)
    for answer in (b'"first"', b'"second"'):
        history.keep(response(answer=answer))
        await history.flush()
        assert await history.find("acc_1", "resp_1") == response(answer=answer)
    assert await count(engine) == 1


async def test_what_is_deleted_while_it_is_written_does_not_come_back(engine: AsyncEngine) -> None:
    history = new_history(engine)
    for _ in range(5):
        history.keep(response())
        writing = asyncio.create_task(history.flush())
        await asyncio.sleep(0)
        assert await history.delete("acc_1", "resp_1")
        await writing
        assert await count(engine) == 0


async def test_a_response_can_be_deleted_that_another_process_is_about_to_write(engine: AsyncEngine) -> None:
    writer, other = new_history(engine), new_history(engine)
    writer.keep(response())
    deleting = asyncio.create_task(other.delete("acc_1", "resp_1"))
    await asyncio.sleep(store.LOOK_AGAIN_S / 2)
    await writer.flush()
    assert await deleting
    assert await count(engine) == 0


async def test_many_responses_are_written_together(engine: AsyncEngine) -> None:
    history = new_history(engine)
    for number in range(2 * store.BATCH + 1):
        history.keep(response(f"resp_{number}", answer=b'{"n":%d}' % number))
    await history.flush()
    assert await count(engine) == 2 * store.BATCH + 1
    found = await new_history(engine).find("acc_1", f"resp_{store.BATCH}")
    assert found is not None
    assert found.answer == b'{"n":%d}' % store.BATCH


async def test_what_waits_is_written_by_itself_and_at_the_end(engine: AsyncEngine) -> None:
    history = new_history(engine)
    running = asyncio.create_task(history.run())
    history.keep(response("resp_1"))
    async with asyncio.timeout(ENOUGH_FOR_A_FLUSH_S):
        while not await count(engine):
            await asyncio.sleep(0.02)
    running.cancel()
    history.keep(response("resp_2"))
    await history.close()
    assert await count(engine) == 2


async def test_an_expired_response_is_not_found_and_soon_swept(engine: AsyncEngine) -> None:
    old = new_history(engine, clock=lambda: datetime.now(UTC) - timedelta(days=31))
    old.keep(response("resp_old"))
    await old.flush()
    history = new_history(engine)
    assert await history.find("acc_1", "resp_old") is None
    history.keep(response("resp_new"))
    await history.flush()
    assert await count(engine) == 2
    running = asyncio.create_task(history.run())
    async with asyncio.timeout(ENOUGH_FOR_A_FLUSH_S):
        while await count(engine) == 2:
            await asyncio.sleep(0.02)
    running.cancel()
    assert await history.find("acc_1", "resp_new") is not None


async def test_without_a_database_the_oldest_are_given_up(
    lost_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WAITING_BYTES", 1000)
    history = new_history(lost_engine)
    for number in range(10):
        history.keep(response(f"resp_{number}", answer=b"x" * 300))
    assert [response_id for _, response_id in history._waiting] == ["resp_7", "resp_8", "resp_9"]
    assert history._waiting_bytes <= 1000
    await history.close()
    assert await history.find("acc_1", "resp_9") is not None


async def test_one_response_is_kept_however_large(lost_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "WAITING_BYTES", 10)
    history = new_history(lost_engine)
    history.keep(response(answer=b"x" * 1000))
    assert await history.find("acc_1", "resp_1") is not None


async def test_keeping_the_same_response_twice_counts_it_once(lost_engine: AsyncEngine) -> None:
    history = new_history(lost_engine)
    for _ in range(3):
        history.keep(response(answer=b"x" * 100))
    assert history._waiting_bytes == response(answer=b"x" * 100).size
