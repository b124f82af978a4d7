"""Stops the embedded PostgreSQL when nobody uses it any more, however its users ended.

Every user of an embedded server holds a shared `flock` on its users file; the kernel drops it with the process, after
kill -9 as well. The keeper is one small detached process for a data directory: it waits for the exclusive lock on that
file, which it gets when the last user is gone, and shuts the server down. It is run by path with nothing but the
standard library loaded (importing the package would cost forty times its memory), so it imports nothing of ours.

Usage: python -I keeper.py USERS_FILE KEEPER_FILE DATA_DIRECTORY
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from pathlib import Path

FAST_SHUTDOWN_S = 30.0
POLL_S = 0.05


def postmaster_pid(data: Path) -> int | None:
    """The process id of the server that runs on `data`, or None.

    What `postmaster.pid` says is believed only of a live process that works in that directory: after a crash, and in
    containers all the time, the number may belong to somebody else.
    """
    import psutil  # noqa: PLC0415 (40 ms and 8 MB that a waiting keeper does not need)

    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return pid if Path(process.cwd()) == data else None
    except (OSError, ValueError, psutil.Error):
        return None


def shut_down(data: Path) -> None:
    """End the server that runs on `data`, if any: a fast shutdown, or after 30 s an immediate one."""
    pid = postmaster_pid(data)
    if pid is None:
        return
    for sign in (signal.SIGINT, signal.SIGQUIT):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + FAST_SHUTDOWN_S
        while time.monotonic() < deadline:
            if postmaster_pid(data) != pid:
                return
            time.sleep(POLL_S)


def _detach() -> None:
    """Leave the terminal, the process group and the parent of whoever started us; end only when the work is done."""
    if os.fork():
        os._exit(0)
    os.setsid()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)


def main(users_file: str, keeper_file: str, data: str) -> None:
    """Keep watch over `data`; returns at once when another keeper does."""
    keeper = os.open(keeper_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(keeper, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    _detach()
    users = os.open(users_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(users, fcntl.LOCK_EX)
    shut_down(Path(data))
    # In this order: whoever gets a users lock after us must find the keeper's place free.
    os.close(keeper)
    os.close(users)


if __name__ == "__main__":
    main(*sys.argv[1:])
