"""A real server: `python -m hypereal serve` with its process tree; started, asked, stopped and killed by tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import httpx2
import psutil

from hypereal.kit.ports import free_port
from tests.support.http_client import Client

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
BOOTSTRAP_KEY = "ck_" + "TestOnly" * 6
T = TypeVar("T")


def wait_for(look: Callable[[], T | None], what: str, *, timeout_s: float = 5.0) -> T:
    """What `look` returns once it returns something other than None or False."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = look()
        if found is not None and found is not False:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {timeout_s:g} s")


@dataclass(kw_only=True)
class Server:
    """A started server. Everything about it is public, because tests ask about everything."""

    port: int
    home: Path
    database_url: str
    environment: Mapping[str, str]
    arguments: Sequence[str]
    log_path: Path
    process: subprocess.Popen[bytes]
    client: Client

    @property
    def log(self) -> str:
        """What the whole tree has printed so far."""
        return self.log_path.read_text(errors="replace")

    @property
    def is_ready(self) -> bool:
        return readiness(self.port) == 200

    def processes(self) -> list[psutil.Process]:
        """The processes of the tree below the supervisor."""
        try:
            found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return found

    def workers(self) -> list[psutil.Process]:
        """The processes that answer HTTP: those that share the listening socket and are not the supervisor."""
        return [child for child in self.processes() if _listens(child, self.port)]

    def start_again(self) -> None:
        """The same server on the same port, home and database, after it was stopped or killed."""
        self.client.close()
        self.client = Client(f"http://127.0.0.1:{self.port}", self.client.key)
        self.process = _spawn(self.port, self.arguments, self.environment, self.log_path)
        _await_ready(self)

    def stop(self) -> None:
        """Ask it to stop, and insist that it stops cleanly and leaves nothing behind."""
        self.client.close()
        children = self.processes()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_TIMEOUT_S)
        _gone, alive = psutil.wait_procs(children, timeout=5)
        assert code == 0, f"exit code {code}\n{self.log[-4000:]}"
        assert not alive, f"left behind: {alive}"

    def kill(self) -> None:
        """`kill -9` of the supervisor and, should they not follow by themselves, of its children."""
        self.client.close()
        children = self.processes()
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)
        _gone, alive = psutil.wait_procs(children, timeout=5)
        for child in alive:
            child.kill()


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)


def readiness(port: int) -> int:
    """The status of `/readyz`; 0 while nothing listens."""
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code
    except httpx2.TransportError:
        return 0


def _spawn(
    port: int, arguments: Sequence[str], environment: Mapping[str, str], log_path: Path
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hypereal", "serve", "--host", "127.0.0.1", "--port", str(port), *arguments]
    with log_path.open("ab") as log:
        return subprocess.Popen(command, env=dict(environment), stdout=log, stderr=log, cwd=log_path.parent)


def _await_ready(server: Server) -> None:
    def look() -> bool:
        assert server.process.poll() is None, f"the server did not start\n{server.log[-4000:]}"
        return server.is_ready

    try:
        wait_for(look, "readiness", timeout_s=START_TIMEOUT_S)
    except AssertionError:
        server.kill()
        raise AssertionError(f"the server is not ready\n{server.log[-4000:]}") from None


def start_server(
    directory: Path,
    database_url: str,
    *,
    catalogue: str = "",
    arguments: Sequence[str] = (),
    key: str = BOOTSTRAP_KEY,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Server:
    """Start a server with its home in `directory` and wait until it is ready.

    `catalogue` becomes its `hypereal.toml`; `variables` are added to the environment. That of the test
    session, providers' keys included, is not passed on.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "hypereal.toml"
    config.write_text(catalogue)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    environment = {
        **inherited,
        "DATABASE_URL": database_url,
        "HYPEREAL_HOME": str(directory / "home"),
        "HYPEREAL_CONFIG": str(config),
        "HYPEREAL_BOOTSTRAP_KEY": key,
        "HYPEREAL_REQUESTS_PER_HOUR": "1000000",
        **variables,
    }
    port = free_port()
    log_path = directory / "server.log"
    server = Server(
        port=port,
        home=directory / "home",
        database_url=database_url,
        environment=environment,
        arguments=tuple(arguments),
        log_path=log_path,
        process=_spawn(port, arguments, environment, log_path),
        client=Client(f"http://127.0.0.1:{port}", key),
    )
    _await_ready(server)
    return server
