"""credits.md, invariants 2, 3 and 4: kill -9 at every named point, then a restart; and journals applied twice."""

from __future__ import annotations

import shutil

import pytest
from sqlalchemy import text

from hypereal.billing.journal import list_instances
from tests.invariants.conftest import World, grant

GRANTED = 100_000_000_000

SERVER_POINTS = [
    ("lease.before_commit", 1),
    ("lease.before_commit", 2),
    ("wallet.after_commit", 1),
    ("wallet.after_commit", 3),
    ("hold.taken", 30),
    ("settle.before_journal", 30),
    ("journal.torn", 30),
    ("settle.after_journal", 30),
]


@pytest.mark.parametrize(("point", "nth"), SERVER_POINTS)
async def test_a_server_killed_at_any_point_leaves_right_books(world: World, point: str, nth: int) -> None:
    await grant(world, GRANTED)
    await world.end(await world.start("server", crash_at=point, nth=nth, name="killed", requests=400), killed=True)
    before = set(world.told.delivered)
    await world.end(await world.start("server", name="restarted"))
    await world.write_all()
    await world.check_books(granted=GRANTED)
    undelivered = set(await world.charges()) - set(world.told.delivered)
    # Only the request whose settlement was the last thing done may be charged without the client having its answer.
    assert len(undelivered) == (1 if point == "settle.after_journal" else 0)
    assert len(set(world.told.delivered) - before) == 50


@pytest.mark.parametrize("point", ["stream.opened", "stream.progressed", "settle.before_journal", "journal.torn"])
async def test_a_stream_cut_by_a_killed_server_is_charged_once_as_estimated(world: World, point: str) -> None:
    await grant(world, GRANTED)
    await world.end(await world.start("server", crash_at=point, nth=15, streams=True, name="killed"), killed=True)
    await world.write_all()
    await world.check_books(granted=GRANTED)
    charges = await world.charges()
    assert set(charges) == world.told.opened
    cut = world.told.opened - set(world.told.delivered)
    assert cut
    assert {charges[name] for name in cut} <= {1000, 2000}
    async with world.engine.connect() as connection:
        estimated = await connection.scalars(text("SELECT request_id FROM usage_records WHERE basis = 'estimated'"))
        assert set(estimated) == cut


async def test_holds_of_their_own_end_with_a_killed_server(world: World) -> None:
    await grant(world, 1_600_000)
    process = await world.start("server", crash_at="hold.before_commit", nth=2, name="killed")
    await world.end(process, killed=True)
    await world.write_all()
    await world.check_books(granted=1_600_000)


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        ("writer.before_commit", 1),
        ("writer.after_commit", 1),
        ("writer.before_release", 1),
        ("writer.after_release", 1),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_a_writer_killed_at_any_point_loses_and_doubles_nothing(
    world: World, point: str, nth: int, *, streams: bool
) -> None:
    await grant(world, GRANTED)
    crash = {"crash_at": "stream.progressed", "nth": 120} if streams else {}
    server = await world.start("server", requests=400, streams=streams, **crash)
    await world.end(server, killed=streams)
    await world.end(await world.start("writer", crash_at=point, nth=nth), killed=True)
    await world.write_all()
    await world.check_books(granted=GRANTED)
    expected = world.told.opened if streams else set(world.told.delivered)
    assert set(await world.charges()) == expected


async def test_a_writer_that_dies_while_streams_are_open_still_knows_them_after_its_restart(world: World) -> None:
    await grant(world, GRANTED)
    crash = {"crash_at": "settle.before_journal", "nth": 200}
    server = await world.start("server", requests=400, streams=True, **crash)
    first = await world.start("writer", crash_at="writer.after_commit", nth=1)
    await world.end(first, killed=True)
    await world.end(server, killed=True)
    await world.write_all()
    await world.check_books(granted=GRANTED)
    assert set(await world.charges()) == world.told.opened


async def test_a_journal_applied_twice_changes_nothing(world: World) -> None:
    await grant(world, GRANTED)
    await world.end(await world.start("server", requests=300))
    (instance,) = list_instances(world.home)
    shutil.copytree(world.home / instance, world.home.parent / "copy")
    await world.write_all()
    charges, balance = await world.charges(), await world.balance()
    shutil.copytree(world.home.parent / "copy", world.home / instance)
    await world.write_all()
    assert await world.charges() == charges
    assert await world.balance() == balance
    await world.check_books(granted=GRANTED)


async def test_journals_outlive_a_database_that_is_away(world: World) -> None:
    await grant(world, GRANTED)
    server = await world.start("server", requests=200, linger=True)
    assert server.stdout is not None
    while (line := await server.stdout.readline()) != b"idle\n":
        world.told.read(line)
    async with world.engine.connect() as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    server.kill()
    await world.end(server, killed=True)
    await world.write_all()
    await world.check_books(granted=GRANTED)
    assert len(await world.charges()) == 200
