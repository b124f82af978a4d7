"""The embedded PostgreSQL: whoever starts it, however they end, and whatever they leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from hypereal.db import keeper
from hypereal.db.embedded import EmbeddedPostgres
from hypereal.db.placement import ROOT_PLACE, EmbeddedPostgresError, place, socket_directory
from tests.ops.commands import until

HOLD = """
import sys, time
from pathlib import Path
from hypereal.db.embedded import EmbeddedPostgres
EmbeddedPostgres(Path(sys.argv[1])).start()
print("up", flush=True)
time.sleep(600)
"""


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def _hold(home: Path) -> subprocess.Popen[str]:
    """A process that uses the server of `home` until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(home)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_what_was_written_is_there_after_a_restart(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "home")
    with psycopg.connect(server.start()) as connection:
        connection.execute("CREATE TABLE kept (word text)")
    server.stop()
    assert server.address() is None
    assert not server.is_running()
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    server.stop()


def test_it_listens_on_no_network_address(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "home")
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
    pid = keeper.postmaster_pid(server.placement.data)
    assert psutil.Process(pid).net_connections(kind="inet") == []
    server.stop()


def test_the_last_of_several_users_stops_it_and_no_other(directory: Path) -> None:
    first, second = EmbeddedPostgres(directory / "home"), EmbeddedPostgres(directory / "home")
    url = first.start()
    assert second.start() == url
    first.stop()
    assert _answers(url)
    second.stop()
    assert not _answers(url)


def test_two_homes_have_two_servers(directory: Path) -> None:
    first, second = EmbeddedPostgres(directory / "one"), EmbeddedPostgres(directory / "two")
    assert first.start() != second.start()
    first.stop()
    second.stop()


def test_it_ends_with_a_user_that_was_killed(directory: Path) -> None:
    home = directory / "home"
    process = _hold(home)
    data = place(home).data
    assert keeper.postmaster_pid(data) is not None
    _kill(process)
    until(lambda: keeper.postmaster_pid(data) is None, "the end of the server", timeout_s=20)


def test_it_outlives_one_killed_user_while_another_needs_it(directory: Path) -> None:
    home = directory / "home"
    process = _hold(home)
    server = EmbeddedPostgres(home)
    url = server.start()
    _kill(process)
    assert _answers(url)
    server.stop()
    assert not _answers(url)


def test_it_starts_after_everything_was_killed(directory: Path) -> None:
    home = directory / "home"
    process = _hold(home)
    data = place(home).data
    pid = keeper.postmaster_pid(data)
    assert pid is not None
    everything = psutil.Process(pid).children(recursive=True)
    os.kill(pid, signal.SIGKILL)
    _kill(process)
    psutil.wait_procs(everything, timeout=10)
    assert (data / "postmaster.pid").exists()
    server = EmbeddedPostgres(home)
    assert _answers(server.start())
    server.stop()


def test_a_recorded_process_number_that_is_somebody_elses_now_does_not_keep_it_from_starting(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "home")
    server.start()
    record = server.placement.data / "postmaster.pid"
    lines = record.read_text().splitlines()
    server.stop()
    record.write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
    if server.placement.account:
        shutil.chown(record, server.placement.account)
    assert _answers(server.start())
    server.stop()


def test_an_unfinished_creation_is_started_over(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "home")
    half = server.placement.base / "data.new-half"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    assert _answers(server.start())
    assert not half.exists()
    server.stop()


def test_a_home_too_deep_for_a_socket_has_its_socket_elsewhere(directory: Path) -> None:
    home = directory / ("deep" * 20) / ("er" * 20)
    server = EmbeddedPostgres(home)
    assert _answers(server.start())
    sockets = socket_directory(server.placement)
    assert sockets != server.placement.data
    assert sockets.stat().st_mode & 0o077 == 0
    server.stop()
    shutil.rmtree(sockets)


def test_a_socket_directory_of_somebody_else_is_not_used(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = directory / ("deep" * 20) / ("er" * 20)
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    placement = place(home)
    sockets = socket_directory(placement)
    sockets.rmdir()
    sockets.symlink_to(directory)
    with pytest.raises(EmbeddedPostgresError, match="belongs to somebody else"):
        socket_directory(placement)


def test_data_of_an_unknown_version_is_left_alone(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "home")
    data = server.placement.data
    data.mkdir()
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedPostgresError, match="PostgreSQL 9"):
        EmbeddedPostgres(directory / "home").start()


def test_a_failing_start_says_why_and_leaves_nothing_locked(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "home")
    server.start()
    server.stop()
    (server.placement.data / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        server.start()
    (server.placement.data / "postgresql.conf").write_text("")
    assert _answers(server.start())
    server.stop()


if os.geteuid() == 0:

    def test_root_with_a_private_home_keeps_the_data_elsewhere_and_the_home_private(directory: Path) -> None:
        private = directory / "private"
        private.mkdir(mode=0o700)
        server = EmbeddedPostgres(private / "home")
        assert _answers(server.start())
        assert server.placement.base.parent == ROOT_PLACE
        assert private.stat().st_mode & 0o777 == 0o700
        assert EmbeddedPostgres(private / "home").placement.base == server.placement.base
        server.stop()
        shutil.rmtree(server.placement.base)

    def test_root_is_told_when_the_data_can_no_longer_be_reached(directory: Path) -> None:
        home = directory / "parent" / "home"
        (place(home).base / "data").mkdir()
        (directory / "parent").chmod(0o700)
        with pytest.raises(EmbeddedPostgresError, match=r"o\+x"):
            place(home)

    def test_the_server_does_not_run_as_root(directory: Path) -> None:
        server = EmbeddedPostgres(directory / "home")
        server.start()
        pid = keeper.postmaster_pid(server.placement.data)
        assert psutil.Process(pid).uids().effective != 0
        server.stop()
