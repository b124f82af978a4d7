"""`python -m bench.hot`: where the serving process spends its time under load, by function.

py-spy samples Python frames (`--native` adds C frames), perf the processor: libraries, interpreter, kernel.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load, place
from bench.contenders import CONTENDERS
from bench.requests import Shape, write_files
from bench.running import Running, started

_PARKED = ("wait (threading.py", "select (selectors.py", "_worker (concurrent/futures/thread.py")
"""Innermost frames of threads that do nothing; py-spy takes some of them for busy."""

_RATE_HZ = 500
_PY_SPY = place.STATE / "py-spy" / "venv" / "bin" / "py-spy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Samples by function: on top of the stack, and anywhere on it."""

    samples: int
    own: Counter[str]
    total: Counter[str]


def parse_collapsed(text: str) -> Profile:
    """A profile from collapsed stacks, `outer;inner;innermost 17` a line. Recursion counts once, parked threads not."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    samples = 0
    for line in text.splitlines():
        stack, _, number = line.rpartition(" ")
        frames = [frame for frame in stack.split(";") if frame]
        if not frames or any(parked in frames[-1] for parked in _PARKED):
            continue
        count = int(number)
        samples += count
        own[frames[-1]] += count
        for frame in set(frames):
            total[frame] += count
    return Profile(samples=samples, own=own, total=total)


def table(profile: Profile, top: int) -> str:
    """The heaviest functions, in per cent of all samples."""
    lines = []
    for title, counts in (("own time", profile.own), ("with callees", profile.total)):
        lines.append(f"\n{title} ({profile.samples} samples)")
        lines += [f"{100 * n / max(1, profile.samples):6.1f} %  {name}" for name, n in counts.most_common(top)]
    return "\n".join(lines)


def _sampler(tool: str, pid: int, seconds: int, output: Path, *, native: bool) -> list[str]:
    if tool == "perf":
        return ["perf", "record", "-q", "-F", "999", "-p", str(pid), "-o", str(output), "--", "sleep", str(seconds)]
    if not _PY_SPY.exists():
        sys.exit("needed first: python -m bench.install py-spy")
    command = [
        str(_PY_SPY),
        "record",
        "-p",
        str(pid),
        "-d",
        str(seconds),
        "-r",
        str(_RATE_HZ),
        "-f",
        "raw",
        "--function",
    ]
    return [*load.on_core(place.LOAD_CORE), *command, *(["--native"] if native else []), "-o", str(output)]


def _sample(running: Running, command: Sequence[str], *, shape: Shape, connections: int, seconds: int) -> load.Burst:
    """Load while the sampler looks."""
    bodies = write_files(place.STATE / "bodies")
    contender = running.contender
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as sampler:
        seen = load.burst(
            contender.port,
            bodies[shape],
            path=shape.path,
            headers=contender.headers,
            connections=connections,
            seconds=seconds,
        )
        problem = sampler.communicate()[1]
    if sampler.returncode:
        sys.exit(f"{command[0]} failed: {problem.decode()[-500:]}")
    return seen


def _show(tool: str, output: Path, top: int) -> str:
    if tool == "py-spy":
        return table(parse_collapsed(output.read_text()), top)
    command = ["perf", "report", "--stdio", "--no-children", "-i", str(output), "--percent-limit", "0.5"]
    by_library = subprocess.run([*command, "--sort", "dso"], capture_output=True, text=True, check=True).stdout
    by_symbol = subprocess.run([*command, "--sort", "dso,symbol"], capture_output=True, text=True, check=True).stdout
    return by_library + by_symbol


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.hot", description=__doc__)
    parser.add_argument("--contender", default="gateway", choices=list(CONTENDERS))
    parser.add_argument("--shape", type=Shape, default=Shape.JSON, choices=list(Shape))
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--tool", choices=["py-spy", "perf"], default="py-spy")
    parser.add_argument("--native", action="store_true", help="C frames too (py-spy)")
    parser.add_argument("--top", type=int, default=40)
    return parser


def main() -> None:
    options = _arguments().parse_args()
    place.prepare()
    load.require_tools()
    load.build()
    with started([CONTENDERS[name]() for name in dict.fromkeys(["direct", options.contender])]) as (everyone, left_out):
        if left_out:
            sys.exit("; ".join(left_out))
        running = everyone[-1]
        output = place.STATE / f"profile-{options.contender}-{options.shape}.{options.tool}"
        command = _sampler(options.tool, running.serving, options.seconds, output, native=options.native)
        seen = _sample(
            running, command, shape=options.shape, connections=options.connections, seconds=options.seconds + 1
        )
    print(
        f"{seen.rate:,.0f} requests/s while sampled, {seen.errors} errors\n{_show(options.tool, output, options.top)}"
    )


if __name__ == "__main__":
    main()
