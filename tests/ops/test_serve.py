"""`hypereal serve` as a process tree: how it starts, what it leaves, and what happens when a part of it dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from hypereal.db import keeper
from hypereal.db.placement import place
from hypereal.kit.ports import free_port
from tests.ops.commands import run, serve, until, until_gone, using
from tests.support.server import BOOTSTRAP_KEY


def _status(url: str, key: str | None = None) -> int:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return 0


def _paste(line: str) -> dict[str, object]:
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=30)
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def test_with_nothing_configured_the_pasted_line_gets_an_answer_and_a_stop_leaves_nothing(directory: Path) -> None:
    server = serve(directory)
    assert _paste(server.curl)["object"] == "chat.completion"
    first_key = directory / "home" / "first-key"
    assert stat.S_IMODE(first_key.stat().st_mode) == 0o600
    assert first_key.read_text().strip() in server.said
    data = place(directory / "home").data
    assert keeper.postmaster_pid(data) is not None
    assert server.stop() == 0
    assert keeper.postmaster_pid(data) is None
    until_gone(directory)

    again = serve(directory)
    assert _paste(again.curl)["object"] == "chat.completion"
    assert again.stop(signal.SIGINT) == 0
    verified = run(directory, "ledger", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(run(directory, "credits", "balance", "--json").stdout)["held"] == "0"


def test_a_killed_supervisor_takes_everything_with_it_and_the_next_start_is_an_ordinary_one(directory: Path) -> None:
    server = serve(directory)
    assert _paste(server.curl)["object"] == "chat.completion"
    server.kill()
    until_gone(directory)
    again = serve(directory)
    assert _paste(again.curl)["object"] == "chat.completion"
    assert again.stop() == 0
    assert run(directory, "ledger", "verify").returncode == 0


def test_it_starts_after_all_its_processes_were_killed(directory: Path) -> None:
    server = serve(directory)
    everything = using(directory)
    assert len(everything) > 5
    server.kill()
    for process in everything:
        if process.is_running():
            process.kill()
    psutil.wait_procs(everything, timeout=10)
    again = serve(directory)
    assert _paste(again.curl)["object"] == "chat.completion"
    assert again.stop() == 0


def test_two_servers_of_one_home_share_its_database_and_either_may_stop_first(directory: Path) -> None:
    first, second = serve(directory), serve(directory)
    assert first.url != second.url
    assert first.stop() == 0
    assert _paste(second.curl)["object"] == "chat.completion"
    assert second.stop() == 0


@pytest.mark.parametrize("command", ["worker", "writer", "sandbox"])
def test_a_killed_child_is_replaced(directory: Path, command: str) -> None:
    server = serve(directory)
    (child,) = server.children(command)
    child.kill()
    until(lambda: any(found.pid != child.pid for found in server.children(command)), f"a new {command}")
    until(lambda: _status(f"{server.url}/readyz") == 200, "readiness")

    def answers() -> bool:
        return _paste(server.curl).get("object") == "chat.completion"

    until(answers, "an answer")
    assert server.stop() == 0


def test_a_database_that_was_killed_is_started_again(directory: Path) -> None:
    server = serve(directory)
    pid = keeper.postmaster_pid(place(directory / "home").data)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: keeper.postmaster_pid(place(directory / "home").data) not in {None, pid}, "a new server")
    until(lambda: _status(f"{server.url}/readyz") == 200, "readiness")
    assert _paste(server.curl)["object"] == "chat.completion"
    assert server.stop() == 0


def test_a_busy_port_moves_the_default_but_refuses_a_chosen_one(directory: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run(directory, "serve", "--port", str(port))
    assert refused.returncode == 1
    assert f"port {port} of 127.0.0.1 is in use" in refused.stderr
    assert not (directory / "home").exists()


def test_several_workers_share_the_port_and_a_key_of_ones_own_works_and_is_not_printed(
    directory: Path, database_url: str
) -> None:
    port = free_port()
    given = {"DATABASE_URL": database_url, "HYPEREAL_BOOTSTRAP_KEY": BOOTSTRAP_KEY, "HYPEREAL_BOOTSTRAP_CREDITS": "7.5"}
    server = serve(directory, "--port", str(port), "--workers", "2", "--no-hot-lane", **given)
    assert len(server.children("worker")) == 2
    assert _status(f"http://127.0.0.1:{port}/api/api-keys", BOOTSTRAP_KEY) == 200
    assert BOOTSTRAP_KEY not in server.said
    assert "Bearer $HYPEREAL_BOOTSTRAP_KEY" in server.curl
    for child in psutil.Process(server.process.pid).children():
        assert BOOTSTRAP_KEY not in child.environ().values()
    assert server.stop() == 0
    again = serve(directory, "--port", str(port), **given)
    assert again.stop() == 0
    balance = json.loads(run(directory, "credits", "balance", "--json", **given).stdout)
    assert balance["balance"] == "7.5"


def test_faults_of_the_configuration_stop_it_before_anything_is_started(directory: Path) -> None:
    (directory / "hypereal.toml").write_text('[server]\nworkers = 0\n[[models]]\nid = "priceless"\n')
    refused = run(directory, "serve", HYPEREAL_PORT="x")
    assert refused.returncode == 1
    assert "[server] workers" in refused.stderr
    assert "HYPEREAL_PORT" in refused.stderr
    assert "Traceback" not in refused.stderr
    (directory / "hypereal.toml").write_text('[[models]]\nid = "priceless"\n')
    refused = run(directory, "serve")
    assert refused.returncode == 1
    assert "priceless" in refused.stderr
    assert using(directory) == []


def test_a_database_that_is_not_there_is_told_without_its_password(directory: Path) -> None:
    url = f"postgresql://user:verysecret@127.0.0.1:{free_port()}/name"
    refused = run(directory, "serve", "--port", str(free_port()), DATABASE_URL=url)
    assert refused.returncode == 1
    assert "database" in refused.stderr
    assert "verysecret" not in refused.stderr
    assert "Traceback" not in refused.stderr


if os.geteuid() == 0:

    def test_root_may_serve_from_a_private_home(directory: Path) -> None:
        directory.chmod(0o700)
        base = place(directory / "home").base
        server = serve(directory)
        assert _paste(server.curl)["object"] == "chat.completion"
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert server.stop() == 0
        shutil.rmtree(base)


def test_a_stop_during_the_start_is_obeyed(directory: Path, database_url: str) -> None:
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "hypereal", "serve", "--port", str(free_port())],
            env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url, "HYPEREAL_HOME": str(directory / "home")},
            cwd=directory,
            stdout=output,
            stderr=output,
        )
    until(lambda: bool(psutil.Process(process.pid).children()), "the first child")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert "ready at" not in log.read_text()
