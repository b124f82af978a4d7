"""What a server process does beside its requests, about once a second: note progress, sweep, publish its state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from hypereal.billing.journal import Journal, JournalFull
from hypereal.billing.lease import LeaseBook
from hypereal.gateway.books import Books
from hypereal.gateway.pipeline import Pipeline
from hypereal.gateway.routes import Routes
from hypereal.kit.upstream import UpstreamClient
from hypereal.usage.metrics import WorkerMetrics, WorkerSample

TICK_S = 1.0

log = structlog.get_logger(__name__)


class Upkeep:
    """The periodic work of one process. `statements` tells how many database statements it has sent."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        books: Books,
        journal: Journal,
        leases: LeaseBook,
        routes: Routes,
        client: UpstreamClient,
        metrics: WorkerMetrics,
        statements: Callable[[], int],
    ) -> None:
        self._pipeline = pipeline
        self._books = books
        self._journal = journal
        self._leases = leases
        self._routes = routes
        self._client = client
        self._metrics = metrics
        self._statements = statements

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self.tick(loop.time())
            except (JournalFull, OSError) as exc:
                log.warning("upkeep.failed", error=str(exc))

    def tick(self, now: float) -> None:
        self._journal.check_space()
        if not self._journal.is_full:  # what room there is belongs to the ends of the requests under way
            self._books.note_progress()
        self._client.sweep(now)
        breakers: dict[str, bool] = {}
        for (upstream, _model), breaker in self._routes.breakers().items():
            breakers[upstream] = breakers.get(upstream, False) or breaker.is_open
        for provider, outcome in self._pipeline.take_failures():
            self._metrics.attempt_failed(provider, outcome)
        self._metrics.sample(
            WorkerSample(
                in_flight=self._pipeline.in_flight,
                lease_free=self._leases.snapshot().free,
                journal_bytes=self._journal.size_bytes(),
                upstream_connections=sum(self._client.sizes().values()),
                breakers=breakers,
                statements=self._statements(),
            )
        )
