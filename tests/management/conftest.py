"""The management routes over a real database: accounts with keys and wallets, and clients.

The tests of a module share a database and nothing in it: each makes accounts of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import insert

from hypereal.api import credits as balance
from hypereal.api import handlers, health, models, usage
from hypereal.api import keys as key_routes
from hypereal.api.readiness import ReadinessProbe
from hypereal.api.services import Services
from hypereal.billing import ledger
from hypereal.catalog.resolve import Catalogue
from hypereal.catalog.types import Model, Price, Target, Upstream
from hypereal.db import AsyncEngine, open_engine
from hypereal.gateway.subjects import Subjects
from hypereal.history import History
from hypereal.identity import accounts, keys
from hypereal.identity.changes import Changes
from hypereal.identity.principal import Limits, Principal
from hypereal.identity.verifier import Verifier
from hypereal.kit.money import Micro, parse_credits, parse_rate
from hypereal.limits.windows import Windows
from hypereal.usage.tables import UsageRecord
from hypereal.wire.base import Kind

REQUESTS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Caller:
    """An account with one key, and a client that sends it."""

    account_id: str
    key_id: str
    secret: str
    http: httpx2.AsyncClient


MakeCaller = Callable[..., Awaitable[Caller]]
MakeRecord = Callable[..., Awaitable[str]]


def model(model_id: str, **changes: Any) -> Model:
    """A chat model with prices that are easy to check: $0.50 in, $4 out for a million tokens."""
    upstream = Upstream(id="openai", name="OpenAI", base_url="http://127.0.0.1:9/v1")
    price = Price(
        input=parse_rate("0.50"),
        output=parse_rate("4"),
        cache_read=parse_rate("0.05"),
        cache_write=parse_rate("0.50"),
        cache_write_1h=parse_rate("1"),
        reasoning=parse_rate("4"),
        base=parse_credits("0.25"),
        provenance="contract",
    )
    made = Model(
        id=model_id,
        owner="openai",
        kinds=frozenset({Kind.CHAT}),
        dialects=frozenset({"openai_chat"}),
        price=price,
        targets=(Target(upstream=upstream, model=model_id),),
        context_tokens=400_000,
        max_output_tokens=128_000,
        default_output_tokens=4096,
        capabilities=frozenset({"vision", "tools"}),
    )
    return replace(made, **changes)


def catalogue() -> Catalogue:
    return Catalogue.build(
        (
            model("gpt-5", name="GPT-5", aliases=("gpt-5-latest",)),
            model("vendor/small:free"),
            model("embedder", kinds=frozenset({Kind.EMBEDDING}), dialects=frozenset()),
            model("messages-only", dialects=frozenset({"anthropic"})),
            model("unreachable", targets=()),
        )
    )


@pytest.fixture
async def engine(module_database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(module_database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def services(engine: AsyncEngine, module_database_url: str, tmp_path: Path) -> AsyncIterator[Services]:
    changes = Changes(module_database_url)
    verifier = Verifier(engine, changes, account_defaults=Limits(requests_per_hour=1000))
    changes.start()
    models = catalogue()
    yield Services(
        engine=engine,
        verifier=verifier,
        catalogue=lambda: models,
        readiness=ReadinessProbe({}),
        minimum_balance=parse_credits("200"),
        cross_format=False,
        metrics_directory=tmp_path / "metrics",
        metrics_token=None,
        windows=Windows(),
        subjects=Subjects(),
        history=History(engine, retention_days=30),
    )
    await verifier.close()
    await changes.stop()


@pytest.fixture
def app(services: Services) -> FastAPI:
    app = FastAPI()
    app.state.services = services
    for module in (balance, health, key_routes, models, usage):
        app.include_router(module.router)
    handlers.install(app)
    return app


def client_of(app: FastAPI, secret: str | None = None) -> httpx2.AsyncClient:
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://hypereal.test", headers=headers)


@pytest.fixture
async def make_caller(app: FastAPI, engine: AsyncEngine) -> AsyncIterator[MakeCaller]:
    """Makes an account (or takes one) with a key that has these restrictions."""
    clients: list[httpx2.AsyncClient] = []

    async def make(*, account_id: str | None = None, **fields: Any) -> Caller:
        async with engine.begin() as connection:
            account = account_id or (await accounts.create(connection, "Tester")).id
            key, secret = await keys.create(connection, account, name="first", **fields)
        clients.append(client_of(app, secret))
        return Caller(account, key.id, secret, clients[-1])

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
async def caller(make_caller: MakeCaller) -> Caller:
    return await make_caller()


@pytest.fixture
async def anonymous(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
def make_record(engine: AsyncEngine) -> MakeRecord:
    """Writes a row of the request log and gives its id."""

    async def make(account_id: str, **changes: Any) -> str:
        row = {**record(account_id), **changes}
        async with engine.begin() as connection:
            await connection.execute(insert(UsageRecord).values(row))
        return str(row["request_id"])

    return make


def record(account_id: str) -> dict[str, Any]:
    return {
        "request_id": f"req_{next(REQUESTS):08x}",
        "created_at": datetime.now(UTC),
        "account_id": account_id,
        "key_id": None,
        "endpoint": "/v1/chat/completions",
        "model": "gpt-5",
        "served_model": "gpt-5",
        "provider": "openai",
        "attempts": 1,
        "status": 200,
        "streamed": False,
        "input_tokens": 10,
        "cache_read_tokens": 2,
        "cache_write_tokens": 1,
        "output_tokens": 20,
        "reasoning_tokens": 5,
        "credits": 12_500,
        "basis": "provider",
        "latency_ms": 840,
        "first_token_ms": None,
        "error": None,
        "cache_write_1h_tokens": 3,
        "cache_savings": 1_500_000,
    }


async def give(engine: AsyncEngine, account_id: str, amount: str) -> None:
    """Credit an account's wallet, once."""
    await ledger.grant(engine, account_id, amount=Micro(parse_credits(amount)), reference=f"grant:{account_id}")


def principal(**restrictions: Any) -> Principal:
    return Principal(account_id="acct_1", wallet_id="acct_1", key_id="key_1", **restrictions)
