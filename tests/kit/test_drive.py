"""Cells: what waits for one goes on when it is filled, or when its task is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from hypereal.kit.drive import Cell, Drive


async def told(cell: Cell[str], words: list[str]) -> None:
    words.append(await cell)


async def test_what_is_driven_goes_on_at_once_and_a_task_in_its_turn() -> None:
    words: list[str] = []
    driven: Cell[str] = Cell()
    Drive(told(driven, words), lambda task: pytest.fail("it needs no task")).step()
    driven.set_result("driven")
    assert words == ["driven"]
    awaited: Cell[str] = Cell()
    task = asyncio.create_task(told(awaited, words))
    await asyncio.sleep(0)
    awaited.set_result("awaited")
    await task
    assert words == ["driven", "awaited"]


async def test_a_task_that_waits_for_a_cell_can_be_cancelled() -> None:
    cell: Cell[str] = Cell()
    words: list[str] = []
    task = asyncio.create_task(told(cell, words))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    cell.set_result("late")
    assert words == []
    assert not cell.cancel()
