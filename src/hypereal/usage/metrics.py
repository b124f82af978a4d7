"""Prometheus metrics: what they are called, who counts them, and how the counts of many processes become one page.

`prometheus_client` decides when it is first imported whether values live in memory or in files shared by processes: the
environment variable `PROMETHEUS_MULTIPROC_DIR` must name a directory before that. The parent of the process tree sets
it for its children (`HYPEREAL_HOME/metrics`). Each process writes files of its own there; `exposition` adds them up.

Requests are counted by the writer, from the journal (`RequestMetrics`), so that the metrics, the request log and the
ledger come from the same records and a server process spends nothing on them. What only a server process knows it
samples itself, about once a second (`WorkerMetrics`). Names and meanings: `docs/metrics.md`.
"""

from __future__ import annotations

import os
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from hypereal.kit.money import MICRO_PER_CREDIT
from hypereal.usage.unread import Prefix, Unread
from hypereal.wire.base import Usage

REQUEST_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
FIRST_TOKEN_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30, 60)
MAX_MODELS = 1000  # a ceiling on label values, whatever the records say
UNKNOWN = "unknown"
ANSWERED = "answered"
KINDS = Usage.__struct_fields__
CACHE_KINDS = ("cache_read", "cache_write", "cache_write_1h")


class Settled(Protocol):
    """What is read of the record of a finished request (`gateway.records.Settlement`) besides its tokens."""

    @property
    def at(self) -> float: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def provider(self) -> str | None: ...
    @property
    def status(self) -> int: ...
    @property
    def credits(self) -> int: ...
    @property
    def latency_ms(self) -> int: ...
    @property
    def first_token_ms(self) -> int | None: ...
    @property
    def cache_family(self) -> str: ...


_tokens = attrgetter(*(f"{kind}_tokens" for kind in KINDS))


@dataclass(frozen=True, slots=True)
class _Batch:
    """The sums of one batch, so that each counter is touched once however many records there are."""

    requests: Tally[tuple[str, str, str, str]] = field(default_factory=Tally)
    tokens: Tally[tuple[str, str]] = field(default_factory=Tally)
    caches: Tally[tuple[str, str, str]] = field(default_factory=Tally)
    credits: Tally[str] = field(default_factory=Tally)
    answered: Tally[str] = field(default_factory=Tally)

    def add(self, record: Settled, model: str) -> None:
        self.requests[(record.endpoint, model, record.provider or "none", str(record.status))] += 1
        if record.credits:
            self.credits[model] += record.credits
        for kind, count in zip(KINDS, _tokens(record), strict=True):
            if count:
                self.tokens[(model, kind)] += count
                if kind in CACHE_KINDS:
                    self.caches[(model, record.provider or "none", kind)] += count
        if record.provider and record.status < 400:
            self.answered[record.provider] += 1


class RequestMetrics:
    """Counts finished requests. One per writer process; not for use from several threads.

    The number of series is bounded: a model gets a label of its own once a provider was asked for it, so names that
    clients make up are counted as `unknown`.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._known: set[str] = set()
        self._requests = Counter(
            "hypereal_requests",
            "Finished requests",
            ("endpoint", "model", "provider", "status"),
            registry=registry,
        )
        self._tokens = Counter("hypereal_tokens", "Tokens billed", ("model", "kind"), registry=registry)
        self._caches = Counter(
            "hypereal_cache_tokens", "Tokens in providers' caches", ("model", "provider", "kind"), registry=registry
        )
        self._unread = Unread()
        self._now = 0.0
        self._credits = Counter("hypereal_credits", "Credits charged", ("model",), registry=registry)
        self._attempts = _attempts(registry)
        self._request_seconds = Histogram(
            "hypereal_request_seconds",
            "Time to the last byte of requests that reached a provider",
            ("endpoint", "model"),
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._first_token_seconds = Histogram(
            "hypereal_first_token_seconds",
            "Time to the first event of a stream",
            ("endpoint", "model"),
            buckets=FIRST_TOKEN_BUCKETS,
            registry=registry,
        )

    def observe_batch(self, records: Iterable[Settled]) -> None:
        """Count each record once; call it after the transaction that applied them."""
        batch = _Batch()
        for record in records:
            model = self._label(record)
            batch.add(record, model)
            self._now = max(self._now, record.at)
            self._watch_caches(record, model)
            if record.provider is not None:
                self._request_seconds.labels(record.endpoint, model).observe(record.latency_ms / 1000)
            if record.first_token_ms is not None:
                self._first_token_seconds.labels(record.endpoint, model).observe(record.first_token_ms / 1000)
        self._count(batch)

    def _watch_caches(self, record: Settled, model: str) -> None:
        if not record.cache_family or record.provider is None:
            return
        counts = dict(zip(KINDS, _tokens(record), strict=True))
        prefix = Prefix(model, record.provider, record.cache_family)
        if counts["cache_read"]:
            self._unread.read(prefix)
        self._unread.written(prefix, record.at, minutes=counts["cache_write"], hour=counts["cache_write_1h"])

    def _label(self, record: Settled) -> str:
        if record.model in self._known:
            return record.model
        if record.provider is None or len(self._known) >= MAX_MODELS:
            return UNKNOWN
        self._known.add(record.model)
        return record.model

    def _count(self, batch: _Batch) -> None:
        for request_labels, count in batch.requests.items():
            self._requests.labels(*request_labels).inc(count)
        for token_labels, count in batch.tokens.items():
            self._tokens.labels(*token_labels).inc(count)
        for cache_labels, count in (batch.caches + self._unread.take_lost(self._now)).items():
            self._caches.labels(*cache_labels).inc(count)
        for model, micro in batch.credits.items():
            # A Prometheus value is a float by definition; the ledger is where the exact number is.
            self._credits.labels(model).inc(micro / MICRO_PER_CREDIT)
        for provider, count in batch.answered.items():
            self._attempts.labels(provider, ANSWERED).inc(count)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSample:
    """The state of one server process at an instant. `lease_free` is micro-credits; `breakers` says which providers'
    circuit breakers are open; `statements` is how many database statements the process has sent since it started."""

    in_flight: int
    lease_free: int
    journal_bytes: int
    upstream_connections: int
    breakers: Mapping[str, bool]
    statements: int


class WorkerMetrics:
    """What a server process reports of itself. The page shows sums over the living processes."""

    def __init__(self, registry: CollectorRegistry | None = None, *, process: str = "worker") -> None:
        registry = registry or CollectorRegistry()
        self._in_flight = _gauge("hypereal_in_flight_requests", "Requests being served", registry)
        self._lease_free = _gauge("hypereal_lease_free_credits", "Leased credits no request holds", registry)
        self._journal = _gauge("hypereal_journal_bytes", "Journal bytes on disk", registry)
        self._connections = _gauge("hypereal_upstream_connections", "Open connections to providers", registry)
        self._breakers = _gauge(
            "hypereal_breaker_open", "Processes whose breaker for this provider is open", registry, labels=("provider",)
        )
        self._statements = Counter(
            "hypereal_db_statements", "Database statements sent", ("process",), registry=registry
        ).labels(process)
        self._attempts = _attempts(registry)
        self._counted_statements = 0

    def sample(self, sample: WorkerSample) -> None:
        """Publish the state; call it about once a second, off the request path."""
        self._in_flight.set(sample.in_flight)
        self._lease_free.set(sample.lease_free / MICRO_PER_CREDIT)
        self._journal.set(sample.journal_bytes)
        self._connections.set(sample.upstream_connections)
        for provider, is_open in sample.breakers.items():
            self._breakers.labels(provider).set(int(is_open))
        self._statements.inc(sample.statements - self._counted_statements)
        self._counted_statements = sample.statements

    def attempt_failed(self, provider: str, outcome: str) -> None:
        """Count an attempt that did not become the answer; `outcome` is the kind of failure (`timeout`, …)."""
        self._attempts.labels(provider, outcome).inc()


def exposition(directory: Path) -> bytes:
    """Everything that the processes of `directory` have counted, in Prometheus' text format. Blocks on files.

    Gauges of processes that no longer live are forgotten; their counters stay, because those things did happen.
    """
    if not directory.is_dir():
        return b""
    _forget_dead_gauges(directory)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _forget_dead_gauges(directory: Path) -> None:
    for pid in {_process_of(file) for file in directory.glob("gauge_live*.db")}:
        if not _is_alive(pid):
            mark_process_dead(pid, path=str(directory))  # type: ignore[no-untyped-call]


def _process_of(file: Path) -> int:
    """The process that wrote a file: `counter_123.db` is 123's."""
    digits = file.stem.rsplit("_", 1)[-1]
    return int(digits) if digits.isdigit() else 0


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _attempts(registry: CollectorRegistry) -> Counter:
    """Attempts at providers: those that answered are counted from the journal, failed ones by who made them."""
    return Counter("hypereal_attempts", "Attempts at providers", ("provider", "outcome"), registry=registry)


def _gauge(name: str, meaning: str, registry: CollectorRegistry, *, labels: tuple[str, ...] = ()) -> Gauge:
    return Gauge(name, meaning, labels, registry=registry, multiprocess_mode="livesum")
