"""One measurement of one running contender."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import load, proc
from bench.requests import Shape
from bench.results import MemoryPoint, PacedSample, Sample
from bench.running import Running


@dataclass(slots=True, kw_only=True)
class Spent:
    """CPU seconds over a stretch of wall time: by the serving process, by its side, by programs that are not ours."""

    serving: float = 0.0
    foreign: float = 0.0
    seconds: float = 0.0


def _own_cpu(everyone: list[Running]) -> float:
    """CPU seconds of all contenders, and of the load tools that have ended."""
    tools = resource.getrusage(resource.RUSAGE_CHILDREN)
    here = resource.getrusage(resource.RUSAGE_SELF)
    trees = proc.cpu_seconds(frozenset[int]().union(*(one.members() for one in everyone)))
    return trees + tools.ru_utime + tools.ru_stime + here.ru_utime + here.ru_stime


@contextmanager
def watched(running: Running, everyone: list[Running]) -> Iterator[Spent]:
    """Fills in what was spent inside the block."""
    spent = Spent()
    own, machine, serving, began = _own_cpu(everyone), proc.machine_seconds(), running.serving_cpu(), time.monotonic()
    yield spent
    spent.seconds = time.monotonic() - began
    spent.serving = running.serving_cpu() - serving
    spent.foreign = max(0.0, proc.machine_seconds() - machine - (_own_cpu(everyone) - own))


def burst(
    running: Running, everyone: list[Running], *, shape: Shape, connections: int, seconds: int, body: Path, number: int
) -> Sample:
    """Closed-loop load, then a wait until all that it left behind is done."""
    running.refresh()
    side = running.side_cpu()
    with watched(running, everyone) as spent:
        seen = load.burst(
            running.contender.port,
            body,
            path=shape.path,
            headers=running.contender.headers,
            connections=connections,
            seconds=seconds,
        )
    catch_up_s = running.settle()
    requests = max(1, seen.requests)
    return Sample(
        contender=running.contender.name,
        shape=shape,
        connections=connections,
        round=number,
        requests=seen.requests,
        rate=seen.rate,
        p50_ms=seen.p50_ms,
        p99_ms=seen.p99_ms,
        errors=seen.errors,
        cpu_us=spent.serving / requests * 1e6,
        side_us=max(0.0, running.side_cpu() - side) / requests * 1e6,
        catch_up_s=catch_up_s,
        core_share=spent.serving / spent.seconds,
        foreign_cores=spent.foreign / spent.seconds,
    )


def paced(
    running: Running, everyone: list[Running], *, connections: int, streams_each: int, deadline_s: int
) -> PacedSample:
    """Paced streams, as a chat's readers see them."""
    with watched(running, everyone) as spent:
        seen = load.paced(
            running.contender.port,
            headers=running.contender.headers,
            connections=connections,
            streams_each=streams_each,
            deadline_s=deadline_s,
        )
    running.settle()
    return PacedSample(
        contender=running.contender.name,
        connections=connections,
        streams=seen.streams,
        failed=seen.failed,
        seconds=seen.seconds,
        gap_p50=seen.gap_p50,
        gap_p99=seen.gap_p99,
        gap_max=seen.gap_max,
        first_p50=seen.first_p50,
        first_p99=seen.first_p99,
        core_share=spent.serving / spent.seconds,
        foreign_cores=spent.foreign / spent.seconds,
    )


def memory(running: Running, *, requests: int, body: Path) -> Iterator[MemoryPoint]:
    """Memory before, and about ten times on the way to `requests` answers."""
    done = 0
    step = requests // 10
    mark = 0
    while True:
        if done >= mark:
            used = running.memory()
            name = running.contender.name
            yield MemoryPoint(contender=name, requests=done, resident=used.resident, private=used.private)
            mark = done + step
        if done >= requests:
            return
        done += load.burst(
            running.contender.port, body, headers=running.contender.headers, connections=64, seconds=2
        ).requests
