"""Health, readiness and metrics: open to monitoring, cheap, and telling nothing that is not theirs to know."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from hypereal.api.readiness import ReadinessProbe
from hypereal.api.services import Services
from tests.management.conftest import client_of


async def well() -> str | None:
    return None


async def unwell() -> str | None:
    return "the line is down"


async def broken() -> str | None:
    raise OSError("postgresql://app:hunter2@db/x refused")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def ready(app: FastAPI, services: Services, probe: ReadinessProbe) -> httpx2.Response:
    app.state.services = replace(services, readiness=probe)
    async with client_of(app) as client:
        return await client.get("/readyz")


async def test_a_living_process_says_so_without_a_key(anonymous: httpx2.AsyncClient) -> None:
    assert (await anonymous.get("/healthz")).json() == {"status": "ok"}
    assert (await anonymous.head("/healthz")).status_code == 200


async def test_a_process_is_ready_while_every_check_is_well(app: FastAPI, services: Services) -> None:
    answer = await ready(app, services, ReadinessProbe({"database": well, "journal": well}))
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "journal": "ok"}}


async def test_one_failed_check_is_enough_and_says_no_more_than_it_should(app: FastAPI, services: Services) -> None:
    answer = await ready(app, services, ReadinessProbe({"database": broken, "listener": unwell, "journal": well}))
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "checks": {"database": "failed", "listener": "the line is down", "journal": "ok"},
    }


async def test_a_check_that_does_not_answer_is_not_waited_for(
    app: FastAPI, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent() -> str | None:
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr("hypereal.api.readiness.CHECK_TIMEOUT_S", 0.01)
    answer = await ready(app, services, ReadinessProbe({"database": silent}))
    assert (answer.status_code, answer.json()["checks"]) == (503, {"database": "no answer within 0.01 s"})


async def test_a_stopping_process_is_not_ready_whatever_the_checks_say(app: FastAPI, services: Services) -> None:
    probe = ReadinessProbe({"database": well})
    probe.stop()
    answer = await ready(app, services, probe)
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")


async def test_many_who_ask_cause_one_look_until_it_is_old() -> None:
    looks, clock = [], Clock()

    async def counted() -> str | None:
        looks.append(clock.now)
        await asyncio.sleep(0)
        return None

    probe = ReadinessProbe({"database": counted}, ttl_s=1, clock=clock)
    await asyncio.gather(*(probe.check() for _ in range(50)))
    assert looks == [0.0]
    clock.now = 1.0
    assert (await probe.check()).is_ready
    assert looks == [0.0, 1.0]


async def test_metrics_are_prometheus_text(anonymous: httpx2.AsyncClient) -> None:
    answer = await anonymous.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")


async def test_metrics_may_be_guarded_by_a_token(app: FastAPI, services: Services, tmp_path: Path) -> None:
    app.state.services = replace(services, metrics_token="s3cret", metrics_directory=tmp_path)
    async with client_of(app) as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers={"authorization": "Bearer wrong"})).status_code == 401
        assert (await client.get("/metrics", headers={"authorization": "Bearer s3cret"})).status_code == 200
