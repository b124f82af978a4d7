"""The composition root: settings in, a running server out. The only module that knows all the others.

`create` is what the server process calls (uvicorn's factory); nothing is opened before the lifespan begins.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal import __version__
from hypereal.api import credits, handlers, health, keys, models, responses, usage  # noqa: A004 - the spec's word
from hypereal.api.front import Doors, Front
from hypereal.api.hotlane import STATE, HotLane
from hypereal.api.inference import Inference
from hypereal.api.readiness import ReadinessProbe
from hypereal.api.responses_socket import ResponsesSocket
from hypereal.api.services import Services
from hypereal.billing.journal import Journal
from hypereal.billing.lease import LeaseBook
from hypereal.catalog.files import builtin_rows, read_rows
from hypereal.catalog.live import Surroundings
from hypereal.catalog.reload import CatalogueSource
from hypereal.db import open_engine
from hypereal.db.statements import StatementCount
from hypereal.gateway.affinity import Affinity
from hypereal.gateway.books import Books
from hypereal.gateway.failover import Failover
from hypereal.gateway.pipeline import Pipeline
from hypereal.gateway.plan import Planner
from hypereal.gateway.resumption import Resumption
from hypereal.gateway.routes import Routes
from hypereal.gateway.subjects import Subjects
from hypereal.gateway.upkeep import Upkeep
from hypereal.history import History
from hypereal.identity.changes import Changes
from hypereal.identity.principal import Limits
from hypereal.identity.verifier import Verifier
from hypereal.kit.background import Background
from hypereal.kit.ids import new_id, request_id_factory
from hypereal.kit.large_pages import move_heap
from hypereal.kit.outbox import Outbox
from hypereal.kit.telemetry import configure
from hypereal.kit.upstream import UpstreamClient
from hypereal.kit.watch import Watch
from hypereal.limits.sync import WindowSync
from hypereal.limits.windows import Windows
from hypereal.providers import GoogleTokens, make_adapters
from hypereal.providers.probe import look_around
from hypereal.settings import Settings, load_settings
from hypereal.usage.metrics import WorkerMetrics

SANDBOX_URL = "HYPEREAL_SANDBOX_URL"
RELOAD_CHECK_S = 1.0
LOOK_AROUND_TICKS = 60

log = structlog.get_logger(__name__)


def create() -> Front:
    """The ASGI application of this process, from its environment."""
    settings = load_settings()
    configure(level=settings.log_level, log_format=settings.log_format)
    return build(settings, os.environ.get(SANDBOX_URL))


def build(settings: Settings, sandbox_url: str | None = None) -> Front:
    """The ASGI application for `settings`, with the sandbox at `sandbox_url` if there is one."""
    request_id = request_id_factory()
    held: dict[str, Doors] = {}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            server = await _start(stack, settings, sandbox_url)
            app.state.services = server.services
            limit = settings.body_limit_bytes
            held["doors"] = Doors(
                Inference(server.pipeline, body_limit_bytes=limit),
                ResponsesSocket(server.pipeline, request_id, body_limit_bytes=limit),
            )
            lane = HotLane(
                server.pipeline,
                request_id,
                server.outbox,
                body_limit_bytes=limit,
                keep_alive_s=settings.keep_alive_s,
            )
            lane.open(asyncio.get_running_loop())
            stack.callback(lane.close)
            _settle_memory()
            yield {STATE: lane} if settings.hot_lane else {}
            await server.stop(settings.shutdown_grace_s)

    app = FastAPI(
        title="Hypereal",
        version=__version__,
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
    )
    handlers.install(app)
    for router in (
        keys.router,
        credits.router,
        usage.router,
        models.router,
        models.public,
        responses.router,
        health.router,
    ):
        app.include_router(router)
    return Front(app, lambda: held["doors"], request_id, body_limit_bytes=settings.body_limit_bytes)


class Server:
    """What one server process runs, once started."""

    def __init__(self, services: Services, pipeline: Pipeline, probe: ReadinessProbe, outbox: Outbox) -> None:
        self.services = services
        self.outbox = outbox
        self.pipeline = pipeline
        self._probe = probe

    async def stop(self, grace_s: float) -> None:
        """Turn away whatever still comes, and wait for answers that are read on although their client has left."""
        self._probe.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.pipeline.stop()


@dataclass(frozen=True, slots=True)
class _Money:
    """What holds, charges and notes credits in this process."""

    journal: Journal
    leases: LeaseBook
    books: Books


@dataclass(frozen=True, slots=True)
class _Ways:
    """How requests get to upstreams."""

    outbox: Outbox
    client: UpstreamClient
    routes: Routes


async def _start(stack: AsyncExitStack, settings: Settings, sandbox_url: str | None) -> Server:
    if settings.database_url is None:
        raise RuntimeError("DATABASE_URL is not set: `hypereal serve` starts the embedded database and sets it")
    url = settings.database_url.get_secret_value()
    instance = new_id("srv")
    engine = open_engine(url)
    stack.push_async_callback(engine.dispose)
    statements = StatementCount(engine)
    money = _open_books(stack, settings, engine, instance)
    background = Background(stack)
    background.run(money.leases.run())
    changes = _listen(stack, background, url, money.leases)
    verifier = Verifier(engine, changes, account_defaults=_account_limits(settings))
    stack.push_async_callback(verifier.close)
    windows, subjects = _open_windows(stack, engine, instance), Subjects()
    history = _open_history(stack, background, settings, engine)
    source = await _catalogue(background, settings, sandbox_url)
    ways = await _open_ways(stack, background, source)
    watch = Watch(asyncio.get_running_loop())
    stack.callback(watch.close)
    pipeline = Pipeline(
        verifier=verifier,
        planner=_planner(settings, source, ways.routes),
        windows=windows,
        subjects=subjects,
        books=money.books,
        failover=Failover(watch),
        resumption=Resumption(history),
        watch=watch,
    )
    upkeep = Upkeep(
        pipeline=pipeline,
        books=money.books,
        journal=money.journal,
        leases=money.leases,
        routes=ways.routes,
        client=ways.client,
        metrics=WorkerMetrics(),
        statements=lambda: statements.count,
    )
    background.run(upkeep.run())
    probe = _probe(engine, changes, money.journal)
    services = Services(
        engine=_management_engine(stack, url),
        verifier=verifier,
        catalogue=lambda: source.current,
        readiness=probe,
        minimum_balance=settings.minimum_balance,
        cross_format=settings.cross_format,
        metrics_directory=settings.home / "metrics",
        metrics_token=settings.metrics_token.get_secret_value() if settings.metrics_token else None,
        windows=windows,
        subjects=subjects,
        history=history,
    )
    return Server(services, pipeline, probe, ways.outbox)


def _open_books(stack: AsyncExitStack, settings: Settings, engine: AsyncEngine, instance: str) -> _Money:
    journal = Journal(settings.home / "journal", instance, limit_bytes=settings.journal_limit_bytes)
    stack.callback(journal.close)
    leases = LeaseBook(engine, instance, minimum=settings.minimum_balance, ttl_s=settings.lease_ttl_s)
    stack.push_async_callback(leases.close)
    return _Money(journal, leases, Books(leases, journal))


def _open_windows(stack: AsyncExitStack, engine: AsyncEngine, instance: str) -> Windows:
    windows = Windows()
    sync = WindowSync(windows, engine, instance=instance)
    sync.start()
    stack.push_async_callback(sync.stop)
    return windows


def _open_history(stack: AsyncExitStack, background: Background, settings: Settings, engine: AsyncEngine) -> History:
    history = History(engine, retention_days=settings.response_retention_days)
    stack.push_async_callback(history.close)
    background.run(history.run())
    return history


async def _open_ways(stack: AsyncExitStack, background: Background, source: CatalogueSource) -> _Ways:
    outbox = Outbox(asyncio.get_running_loop())
    client = UpstreamClient(write=outbox.write)
    stack.callback(client.close)
    tokens = GoogleTokens()
    await tokens.refresh(source.current.upstreams)  # so that the first request finds them
    background.run(tokens.run(lambda: source.current.upstreams))
    return _Ways(outbox, client, Routes(client, make_adapters(tokens)))


def _planner(settings: Settings, source: CatalogueSource, routes: Routes) -> Planner:
    return Planner(
        lambda: source.current,
        routes,
        Affinity(time.monotonic),
        default_chat_model=settings.default_chat_model,
        cross_format=settings.cross_format,
    )


def _management_engine(stack: AsyncExitStack, url: str) -> AsyncEngine:
    """Connections of their own for reports and management, so that a slow report keeps none from a lease."""
    engine = open_engine(url, pool_size=2)
    stack.push_async_callback(engine.dispose)
    return engine


def _listen(stack: AsyncExitStack, background: Background, url: str, leases: LeaseBook) -> Changes:
    changes = Changes(url)
    changes.on("lease_recall", lambda change: background.run(leases.recall(change.id)))
    changes.on("wallet", lambda change: background.run(leases.refresh([change.id])))
    changes.start()
    stack.push_async_callback(changes.stop)
    return changes


def _account_limits(settings: Settings) -> Limits:
    return Limits(
        requests_per_hour=settings.requests_per_hour,
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
        concurrency=settings.concurrency,
    )


def _probe(engine: AsyncEngine, changes: Changes, journal: Journal) -> ReadinessProbe:
    async def database() -> str | None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return None

    async def listener() -> str | None:
        return None if changes.healthy else "reconnecting"

    async def books() -> str | None:
        return "full" if journal.is_full else None

    return ReadinessProbe({"database": database, "listener": listener, "journal": books})


async def _catalogue(background: Background, settings: Settings, sandbox_url: str | None) -> CatalogueSource:
    """The catalogue in use, followed for as long as the server runs."""
    source = CatalogueSource(settings.config, await _surroundings(settings, sandbox_url))
    background.run(_follow(source, settings, sandbox_url))
    return source


async def _surroundings(settings: Settings, sandbox_url: str | None) -> Surroundings:
    return await look_around(
        builtin_rows(),
        read_rows([settings.config] if settings.config else []),
        os.environ,
        sandbox_url=sandbox_url,
        sandbox="on" if settings.sandbox == "on" else "auto",
    )


async def _follow(source: CatalogueSource, settings: Settings, sandbox_url: str | None) -> None:
    """Reload when the operator's file changes, or when a local server has come or gone.

    A bad file is refused, with its faults in the log, and what was in use stays.
    """
    around = source.around
    ticks = 0
    while True:
        await asyncio.sleep(RELOAD_CHECK_S)
        ticks += 1
        if not source.has_changed and ticks % LOOK_AROUND_TICKS:
            continue
        now = await _surroundings(settings, sandbox_url)
        if not source.has_changed and now == around:
            continue
        around = now
        faults = source.reload(now)
        if faults:
            log.error("catalogue.refused", file=str(settings.config), faults=faults)
        else:
            log.info("catalogue.reloaded", revision=source.current.revision)


def _settle_memory() -> None:
    """What lives as long as the process need not be looked at by every garbage collection; requests make no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    moved = move_heap()
    log.debug("memory.settled", large_pages_mib=moved >> 20)
