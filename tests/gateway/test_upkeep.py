"""Upkeep goes on through a journal that is full, so that the server can take requests again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest

from hypereal.billing.journal import Journal, JournalFull, JournalReader
from hypereal.gateway import upkeep
from hypereal.gateway.upkeep import Upkeep

SEGMENT = 4096


def fill(journal: Journal) -> None:
    with suppress(JournalFull):
        while True:
            journal.append(b"x" * 200)


def upkeep_of(journal: Journal) -> tuple[Upkeep, Mock]:
    """The upkeep of a process with a stream whose progress wants to be noted, and what it tells its books."""
    quiet = Mock(**{"breakers.return_value": {}, "take_failures.return_value": [], "sizes.return_value": {}})
    books = Mock(**{"note_progress.side_effect": lambda: journal.append(b"progress" * 25)})
    work = Upkeep(
        pipeline=quiet,
        books=books,
        journal=journal,
        leases=quiet,
        routes=quiet,
        client=quiet,
        metrics=quiet,
        statements=lambda: 0,
    )
    return work, books


async def test_a_full_journal_does_not_end_the_upkeep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "TICK_S", 0.001)
    journal = Journal(tmp_path / "journal", "one", segment_bytes=SEGMENT, limit_bytes=2 * SEGMENT)
    fill(journal)
    work, books = upkeep_of(journal)
    running = asyncio.create_task(work.run())
    await asyncio.sleep(0.05)
    assert journal.is_full
    assert not books.note_progress.called
    reader = JournalReader(journal.directory)
    for number in reader.segments()[:-1]:
        reader.delete(number)
    async with asyncio.timeout(10):
        while journal.is_full or not books.note_progress.called:
            await asyncio.sleep(0.005)
    books.note_progress.side_effect = JournalFull("again")
    await asyncio.sleep(0.05)
    assert not running.done()
    running.cancel()
    reader.close()
    journal.close()
