"""The `hypereal` command as a real process: run to its end, or started, asked and stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

TIMEOUT_S = 60.0


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The variables of a command with its home in `home`; nothing that the developer's shell has set leaks in."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "HYPEREAL_HOME": str(home), **variables}


def run(directory: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in `directory`, whose subdirectory `home` is its HYPEREAL_HOME."""
    return subprocess.run(
        [sys.executable, "-m", "hypereal", *arguments],
        env=environment(directory / "home", **variables),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def until(look: Callable[[], bool], what: str, *, timeout_s: float = TIMEOUT_S) -> None:
    """Return once `look` says yes."""
    deadline = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s:g} s"
        time.sleep(0.05)


def until_gone(directory: Path) -> None:
    """Return once no process lives any more that has to do with `directory`; name those that will not end."""
    deadline = time.monotonic() + TIMEOUT_S
    while left := using(directory):
        assert time.monotonic() < deadline, f"still there: {[(one.pid, one.name(), one.status()) for one in left]}"
        time.sleep(0.05)


@dataclass(kw_only=True)
class Serving:
    """A started `hypereal serve` that has said that it is ready."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def url(self) -> str:
        found = re.search(r"ready at (http\S+)", self.said)
        assert found is not None, self.said
        return found[1]

    @property
    def curl(self) -> str:
        """The line that it offers for pasting."""
        found = re.search(r"^ +(curl .*)$", self.said, re.MULTILINE)
        assert found is not None, self.said
        return found[1]

    def children(self, command: str) -> list[psutil.Process]:
        """Its child processes that run `hypereal <command>`."""
        return [child for child in psutil.Process(self.process.pid).children() if command in _arguments(child)]

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code after a signal that asks it to stop."""
        self.process.send_signal(sign)
        return self.process.wait(TIMEOUT_S)

    def kill(self) -> None:
        """`kill -9`, to the first process alone."""
        self.process.kill()
        self.process.wait(TIMEOUT_S)


def _arguments(process: psutil.Process) -> list[str]:
    try:
        arguments: list[str] = process.cmdline()
    except psutil.Error:  # it has ended just now
        return []
    return arguments


def serve(directory: Path, *arguments: str, **variables: str) -> Serving:
    """Start a server in `directory` and wait for its welcome."""
    log = directory / f"serve-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "hypereal", "serve", *arguments],
            env=environment(directory / "home", **variables),
            cwd=directory,
            stdout=output,
            stderr=output,
        )
    started = Serving(process=process, log=log)

    def is_ready() -> bool:
        assert process.poll() is None, started.said
        return "ready at" in started.said and "\n\n  Key" in started.said

    until(is_ready, "the welcome")
    return started


def using(directory: Path) -> list[psutil.Process]:
    """Every process on this machine whose working directory or arguments lie in `directory`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and str(directory) in f"{process.cwd()} {' '.join(process.cmdline())}":
                found.append(process)
        except psutil.Error:
            continue
    return found
