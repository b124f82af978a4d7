"""The run: every kind of load on every contender in turn, round after round, so that what drifts drifts for all."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import measure
from bench.requests import Shape
from bench.results import Machine, PacedSample, Results, Sample
from bench.running import Running

Load = tuple[Shape, int]
Tell = Callable[[str], None]

FULL: tuple[Load, ...] = (
    (Shape.JSON, 1),
    (Shape.JSON, 64),
    (Shape.JSON, 256),
    (Shape.SSE, 1),
    (Shape.SSE, 64),
    (Shape.SSE, 256),
    (Shape.MESSAGES, 64),
    (Shape.RESPONSES, 64),
    (Shape.GEMINI, 64),
    (Shape.BIG, 16),
)
QUICK: tuple[Load, ...] = ((Shape.JSON, 64), (Shape.SSE, 64), (Shape.MESSAGES, 64), (Shape.BIG, 16))

PACED_CONNECTIONS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """How much is measured. `memory_requests` and `streams_each` of 0 leave those parts out."""

    loads: tuple[Load, ...] = FULL
    seconds: int = 4
    rounds: int = 3
    streams_each: int = 3
    paced_deadline_s: int = 60
    memory_requests: int = 500_000


def machine() -> Machine:
    names = [line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")]
    return Machine(
        cpu=names[0] if names else platform.machine(),
        cores=os.cpu_count() or 1,
        kernel=platform.release(),
        python=platform.python_version(),
    )


def _cpu_lines() -> list[str]:
    return Path("/proc/cpuinfo").read_text().splitlines()


def _say(sample: Sample) -> str:
    return (
        f"  {sample.shape:5} c={sample.connections:<4} {sample.contender:13} {sample.rate:>10,.0f}/s"
        f"  p50 {sample.p50_ms:8.2f}  p99 {sample.p99_ms:8.2f} ms  cpu {sample.cpu_us:8.1f} µs (+{sample.side_us:.1f})"
        f"  core {sample.core_share:4.2f}  others {sample.foreign_cores:4.2f}"
        + (f"  ERRORS {sample.errors}" if sample.errors else "")
    )


def _say_paced(sample: PacedSample) -> str:
    return (
        f"  paced c={sample.connections:<4} {sample.contender:13} {sample.streams} complete, {sample.failed} not;"
        f" gap p50 {sample.gap_p50:.1f} p99 {sample.gap_p99:.1f} max {sample.gap_max:.1f} ms;"
        f" first p50 {sample.first_p50:.1f} p99 {sample.first_p99:.1f} ms;"
        f" core {sample.core_share:4.2f}  others {sample.foreign_cores:4.2f}"
    )


def run(
    everyone: list[Running], left_out: list[str], *, scope: Scope, bodies: dict[Shape, Path], tell: Tell
) -> Results:
    """All that `scope` asks for; `tell` hears about each measurement as it is made."""
    results = Results(
        machine=machine(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=scope.seconds,
        rounds=scope.rounds,
        titles={one.contender.name: one.contender.title for one in everyone},
        versions={one.contender.name: one.contender.version for one in everyone},
        left_out=left_out,
    )
    _warm_up(everyone, bodies)
    for number in range(scope.rounds):
        tell(f"round {number + 1} of {scope.rounds}")
        _round(everyone, results, scope=scope, bodies=bodies, number=number, tell=tell)
    if scope.streams_each:
        _paced(everyone, results, scope=scope, tell=tell)
    if scope.memory_requests:
        _memory(everyone, results, requests=scope.memory_requests, body=bodies[Shape.JSON], tell=tell)
    for one in everyone:
        if one.contender.audit:
            results.books[one.contender.name] = verdict = one.audit()
            tell(f"  books  {one.contender.name:13} {verdict}")
    return results


def _warm_up(everyone: list[Running], bodies: dict[Shape, Path]) -> None:
    for one in everyone:
        for shape in (Shape.JSON, Shape.SSE):
            measure.burst(one, everyone, shape=shape, connections=16, seconds=1, body=bodies[shape], number=-1)


def _round(
    everyone: list[Running],
    results: Results,
    *,
    scope: Scope,
    bodies: dict[Shape, Path],
    number: int,
    tell: Tell,
) -> None:
    for shape, connections in scope.loads:
        for one in everyone:
            if shape.is_translated and not one.contender.translates:
                continue
            sample = measure.burst(
                one,
                everyone,
                shape=shape,
                connections=connections,
                seconds=scope.seconds,
                body=bodies[shape],
                number=number,
            )
            results.samples.append(sample)
            tell(_say(sample))


def _paced(everyone: list[Running], results: Results, *, scope: Scope, tell: Tell) -> None:
    for one in everyone:
        sample = measure.paced(
            one,
            everyone,
            connections=PACED_CONNECTIONS,
            streams_each=scope.streams_each,
            deadline_s=scope.paced_deadline_s,
        )
        results.paced.append(sample)
        tell(_say_paced(sample))


def _memory(everyone: list[Running], results: Results, *, requests: int, body: Path, tell: Tell) -> None:
    for one in everyone:
        if one.contender.does_accounts:
            for point in measure.memory(one, requests=requests, body=body):
                results.memory.append(point)
                tell(
                    f"  memory {point.contender:13} after {point.requests:>9,} requests:"
                    f" {point.resident:.1f} MiB, private {point.private:.1f}"
                )
            one.settle()
