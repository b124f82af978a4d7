"""Where things are while the benchmark runs: directories, ports, cores. Values only."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "bench" / "native"
STATE = ROOT / ".bench"
BINARIES = STATE / "bin"
RESULTS = STATE / "results"

TESTED_CORE = 0
"""The process under test runs here, alone."""

LOAD_CORE = 1
"""The load generator and the mock upstream run here, and at a low priority all that the contenders do on the side."""

SIDE_NICENESS = 15

UPSTREAM_PORT = 19100
HOST = "127.0.0.1"

PACED_INTERVAL_MS = 50
"""20 events a second."""

EVENTS = 53
"""Of one stream: 50 chunks, the stop, the usage, the end mark (`native/upstream.c`)."""


def prepare() -> None:
    """Make the state directory, invisible to git by its own ignore file."""
    for directory in (BINARIES, RESULTS):
        directory.mkdir(parents=True, exist_ok=True)
    (STATE / ".gitignore").write_text("*\n")
