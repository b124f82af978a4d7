"""`python -m bench`: run the comparison, print it, and (for a full run) write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from bench import load, place, proc, report
from bench.contenders import CONTENDERS
from bench.requests import write_files
from bench.results import Results
from bench.rounds import QUICK, Scope, run
from bench.running import started

_QUICK = Scope(loads=QUICK, seconds=3, rounds=1, streams_each=1, paced_deadline_s=20, memory_requests=50_000)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round; docs/benchmarks.md is left alone")
    parser.add_argument("--only", metavar="NAMES", help=f"comma-separated, of {', '.join(CONTENDERS)}")
    parser.add_argument("--seconds", type=int, help="length of one measurement")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--no-paced", action="store_true", help="leave out the paced streams")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory run")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md whatever was measured")
    parser.add_argument("--from-results", type=Path, metavar="JSON", help="write the docs from an earlier run and stop")
    return parser


def _scope(options: argparse.Namespace) -> Scope:
    scope = _QUICK if options.quick else Scope()
    if options.seconds:
        scope = replace(scope, seconds=options.seconds)
    if options.rounds:
        scope = replace(scope, rounds=options.rounds)
    if options.no_paced:
        scope = replace(scope, streams_each=0)
    if options.no_memory:
        scope = replace(scope, memory_requests=0)
    return scope


def _names(only: str | None) -> list[str]:
    """The contenders asked for; the upstream always runs, the others need it."""
    if only is None:
        return list(CONTENDERS)
    names = only.split(",")
    unknown = [name for name in names if name not in CONTENDERS]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; known: {', '.join(CONTENDERS)}")
    return list(dict.fromkeys(["direct", *names]))


def _raise_file_limit() -> None:
    """A thousand streams are two thousand sockets in a gateway; the limit is inherited."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def _priority() -> Iterator[None]:
    """Give the session the niceness this program was started with, so that it counts against other sessions too."""
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    if niceness:
        proc.set_group_niceness(os.getpid(), niceness)
    yield
    if niceness:
        proc.set_group_niceness(os.getpid(), 0)


def _measure(names: list[str], scope: Scope) -> Results:
    place.prepare()
    load.require_tools()
    load.build()
    _raise_file_limit()
    bodies = write_files(place.STATE / "bodies")
    with _priority(), started([CONTENDERS[name]() for name in names]) as (everyone, left_out):
        for reason in left_out:
            print(f"left out: {reason}", flush=True)
        return run(everyone, left_out, scope=scope, bodies=bodies, tell=lambda line: print(line, flush=True))


def _keep(results: Results) -> Path:
    path = place.RESULTS / f"{results.started.replace(':', '')}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    return path


def main() -> None:
    options = _arguments().parse_args()
    if options.from_results:
        report.write(msgspec.json.decode(options.from_results.read_bytes(), type=Results))
        return
    try:
        results = _measure(_names(options.only), _scope(options))
    except load.Missing as missing:
        sys.exit(f"needed first: {missing}")
    kept = _keep(results)
    print(f"\n{report.ratios(results)}\nresults: {kept}")
    if options.docs or not (options.quick or options.only):
        report.write(results)


if __name__ == "__main__":
    main()
