"""The load tools: built, run on their core, and read."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import place
from bench.requests import PATH, Shape, message

_MARK = "RESULT "
_TOOLS = {"wrk": "wrk", "nginx": "nginx", "gcc": "gcc", "taskset": "util-linux"}
"""Commands that must be there, and the Debian packages that bring them."""


class Missing(Exception):
    """Something must be installed first; the text is the command that does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """One run of closed-loop load. Latencies are milliseconds; `errors` counts failed requests of any kind."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def rate(self) -> float:
        """Good answers per second."""
        return (self.requests - self.errors) / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """One run of paced streams. Times are milliseconds."""

    streams: int
    failed: int
    events: int
    seconds: float
    gap_p50: float
    gap_p99: float
    gap_max: float
    first_p50: float
    first_p99: float
    first_max: float


def tool_path(name: str) -> str | None:
    """Where a command is; daemons live in /usr/sbin, which is not on everybody's path."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def require_tools() -> None:
    """Raise `Missing` with the line to paste when a tool is not installed."""
    packages = [package for command, package in _TOOLS.items() if tool_path(command) is None]
    if packages:
        raise Missing(f"apt-get install -y {' '.join(packages)}")


def build() -> None:
    """Compile the C tools that are older than their source."""
    for source in place.NATIVE.glob("*.c"):
        binary = place.BINARIES / source.stem
        if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
            flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra"]
            subprocess.run(["gcc", *flags, str(source), "-o", str(binary)], check=True)


def on_core(core: int) -> list[str]:
    return ["taskset", "-c", str(core)]


def parse_wrk(output: str) -> Burst:
    """A `Burst` from what native/request.lua printed."""
    line = next((line for line in output.splitlines() if line.startswith(_MARK)), None)
    if line is None:
        raise ValueError(f"wrk reported nothing: {output[-500:]}")
    raw: dict[str, Any] = json.loads(line.removeprefix(_MARK))
    return Burst(
        requests=raw["requests"],
        seconds=raw["duration_us"] / 1e6,
        p50_ms=raw["p50_us"] / 1e3,
        p99_ms=raw["p99_us"] / 1e3,
        errors=sum(raw["errors"].values()),
    )


def parse_streams(output: str) -> Streams:
    """`Streams` from what native/streams.c printed."""
    return Streams(**json.loads(output))


def _run(command: Sequence[str], timeout_s: float) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-500:]}")
    return done.stdout


def burst(
    port: int, body: Path, *, path: str = PATH, headers: Mapping[str, str], connections: int, seconds: int
) -> Burst:
    """Closed-loop load from wrk, one thread on the load core."""
    command = [*on_core(place.LOAD_CORE), str(tool_path("wrk")), "-t1", f"-c{connections}", f"-d{seconds}s"]
    command += ["--timeout", "30s", "-s", str(place.NATIVE / "request.lua"), f"http://{place.HOST}:{port}{path}", "--"]
    command += [str(body), *(part for pair in headers.items() for part in pair)]
    return parse_wrk(_run(command, seconds + 60))


def paced(port: int, *, headers: Mapping[str, str], connections: int, streams_each: int, deadline_s: int) -> Streams:
    """Paced streams, `connections` at once and `streams_each` in turn on each; starts are spread over 1 s."""
    request = place.STATE / f"paced-{port}.http"
    request.write_bytes(message(Shape.PACED, port, {"Content-Type": "application/json", **headers}))
    numbers = [port, connections, streams_each, place.EVENTS, 1000, deadline_s]
    command = [*on_core(place.LOAD_CORE), str(place.BINARIES / "streams"), *map(str, numbers), str(request)]
    return parse_streams(_run(command, deadline_s + 30))
