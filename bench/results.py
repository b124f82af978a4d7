"""What a run found, as values that go to JSON and come back; medians and ratios over its rounds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

from bench.requests import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One contender under one kind of load in one round.

    `cpu_us` is what the serving process used for a request, `side_us` what the rest of its tree did (for us: the writer
    and PostgreSQL, until they had caught up, which took `catch_up_s`). `core_share` is how much of its core the serving
    process used: well under 1 means that the load generator's core was the limit, and CPU is the fairer column.
    `foreign_cores` is how many cores other programs of the machine kept busy meanwhile.
    """

    contender: str
    shape: Shape
    connections: int
    round: int
    requests: int
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_us: float
    side_us: float
    catch_up_s: float
    core_share: float
    foreign_cores: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PacedSample:
    """Many paced streams at once through one contender; times are milliseconds, as the reader saw them."""

    contender: str
    connections: int
    streams: int
    failed: int
    seconds: float
    gap_p50: float
    gap_p99: float
    gap_max: float
    first_p50: float
    first_p99: float
    core_share: float
    foreign_cores: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPoint:
    """Memory of the serving process in MiB after so many requests; `private` leaves out the mapped journal."""

    contender: str
    requests: int
    resident: float
    private: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where the run took place."""

    cpu: str
    cores: int
    kernel: str
    python: str


@dataclass(slots=True, kw_only=True)
class Results:
    """One run. `titles` and `versions` are by contender; `left_out` says who did not run, and
    why; `books` what each contender's audit found afterwards."""

    machine: Machine
    started: str
    seconds: int
    rounds: int
    titles: dict[str, str]
    versions: dict[str, str]
    samples: list[Sample] = field(default_factory=list)
    paced: list[PacedSample] = field(default_factory=list)
    memory: list[MemoryPoint] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    books: dict[str, str] = field(default_factory=dict)

    def loads(self) -> list[tuple[Shape, int]]:
        """The kinds of load in the order they were first measured."""
        return list(dict.fromkeys((sample.shape, sample.connections) for sample in self.samples))

    def of(self, contender: str, shape: Shape, connections: int) -> list[Sample]:
        wanted = (contender, shape, connections)
        return [one for one in self.samples if (one.contender, one.shape, one.connections) == wanted]


def middle(samples: Iterable[Sample], value: Callable[[Sample], float]) -> float:
    """The median of a value over rounds; 0 when there are no samples."""
    values = [value(sample) for sample in samples]
    return median(values) if values else 0.0


def ratio(samples: list[Sample], base: list[Sample], value: Callable[[Sample], float]) -> float | None:
    """The median over rounds of `value` against the base's in the same round; None without a common round."""
    bases = {sample.round: value(sample) for sample in base}
    ratios = [value(sample) / bases[sample.round] for sample in samples if bases.get(sample.round)]
    return median(ratios) if ratios else None
