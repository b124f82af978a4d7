"""Metrics: counted from records, bounded in number, added up over processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from hypereal.usage import metrics
from hypereal.usage.metrics import RequestMetrics, WorkerMetrics, WorkerSample

CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    at: float = 1_795_000_000.0
    endpoint: str = CHAT
    model: str = "gpt-5"
    provider: str | None = "openai"
    status: int = 200
    credits: int = 2_500_000
    input_tokens: int = 10
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 20
    reasoning_tokens: int = 5
    latency_ms: int = 1500
    first_token_ms: int | None = None
    cache_family: str = ""


def refused(model: str, *, status: int) -> Record:
    return Record(model=model, provider=None, status=status, credits=0, input_tokens=0, output_tokens=0)


def sample(**changes: int) -> WorkerSample:
    values = {"in_flight": 3, "lease_free": 1_500_000, "journal_bytes": 64, "upstream_connections": 2, "statements": 7}
    return WorkerSample(breakers={"openai": True, "groq": False}, **{**values, **changes})


def values(page: bytes) -> Mapping[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(page.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_a_batch_is_counted_by_endpoint_model_provider_and_status() -> None:
    registry = CollectorRegistry()
    RequestMetrics(registry).observe_batch([Record(), Record(), Record(status=502)])
    labels = {"endpoint": CHAT, "model": "gpt-5", "provider": "openai"}
    assert registry.get_sample_value("hypereal_requests_total", {**labels, "status": "200"}) == 2
    assert registry.get_sample_value("hypereal_requests_total", {**labels, "status": "502"}) == 1
    assert registry.get_sample_value("hypereal_tokens_total", {"model": "gpt-5", "kind": "reasoning"}) == 15
    assert registry.get_sample_value("hypereal_tokens_total", {"model": "gpt-5", "kind": "cache_read"}) is None
    assert registry.get_sample_value("hypereal_credits_total", {"model": "gpt-5"}) == 7.5
    assert registry.get_sample_value("hypereal_attempts_total", {"provider": "openai", "outcome": "answered"}) == 2


def test_cached_tokens_are_counted_by_provider_and_writes_that_nothing_read_when_they_are_lost() -> None:
    registry = CollectorRegistry()
    counting = RequestMetrics(registry)
    cached = Record(cache_write_tokens=2000, cache_write_1h_tokens=100, cache_family="a")
    counting.observe_batch([cached, Record(cache_write_tokens=500, cache_family="b")])
    counting.observe_batch([Record(cache_read_tokens=1500, cache_family="a", at=cached.at + 10)])
    labels = {"model": "gpt-5", "provider": "openai"}

    def count(kind: str) -> float | None:
        return registry.get_sample_value("hypereal_cache_tokens_total", {**labels, "kind": kind})

    assert (count("cache_write"), count("cache_write_1h"), count("cache_read")) == (2500, 100, 1500)
    assert count("unread") is None
    counting.observe_batch([Record(at=cached.at + 400)])
    assert count("unread") == 500
    assert registry.get_sample_value("hypereal_tokens_total", {"model": "gpt-5", "kind": "cache_write_1h"}) == 100


def test_caches_of_requests_that_no_provider_was_asked_for_are_not_followed() -> None:
    registry = CollectorRegistry()
    RequestMetrics(registry).observe_batch([Record(provider=None, cache_write_tokens=5, cache_family="a")])
    labels = {"model": "unknown", "provider": "none", "kind": "cache_write"}
    assert registry.get_sample_value("hypereal_cache_tokens_total", labels) == 5


def test_latency_is_observed_only_where_a_provider_was_asked() -> None:
    registry = CollectorRegistry()
    RequestMetrics(registry).observe_batch([Record(first_token_ms=250), refused("gpt-5", status=402)])
    labels = {"endpoint": CHAT, "model": "gpt-5"}
    assert registry.get_sample_value("hypereal_request_seconds_count", labels) == 1
    assert registry.get_sample_value("hypereal_request_seconds_sum", labels) == 1.5
    assert registry.get_sample_value("hypereal_first_token_seconds_bucket", {**labels, "le": "0.3"}) == 1
    assert registry.get_sample_value("hypereal_first_token_seconds_bucket", {**labels, "le": "0.2"}) == 0


def test_made_up_model_names_share_one_label() -> None:
    registry = CollectorRegistry()
    RequestMetrics(registry).observe_batch([refused(f"made-up-{n}", status=400) for n in range(500)])
    labels = {"endpoint": CHAT, "model": "unknown", "provider": "none", "status": "400"}
    assert registry.get_sample_value("hypereal_requests_total", labels) == 500
    assert sum(len(family.samples) for family in registry.collect()) < 10


def test_the_number_of_model_labels_has_a_ceiling() -> None:
    registry = CollectorRegistry()
    RequestMetrics(registry).observe_batch([Record(model=f"m{n}") for n in range(metrics.MAX_MODELS + 5)])
    assert registry.get_sample_value("hypereal_credits_total", {"model": "unknown"}) == 5 * 2.5


def test_a_worker_samples_its_state_and_counts_failed_attempts() -> None:
    registry = CollectorRegistry()
    worker = WorkerMetrics(registry)
    worker.sample(sample())
    worker.sample(sample(statements=9, in_flight=1))
    worker.attempt_failed("openai", "timeout")
    assert registry.get_sample_value("hypereal_in_flight_requests") == 1
    assert registry.get_sample_value("hypereal_lease_free_credits") == 1.5
    assert registry.get_sample_value("hypereal_breaker_open", {"provider": "openai"}) == 1
    assert registry.get_sample_value("hypereal_db_statements_total", {"process": "worker"}) == 9
    assert registry.get_sample_value("hypereal_attempts_total", {"provider": "openai", "outcome": "timeout"}) == 1


CHILD = """
import sys
from hypereal.usage.metrics import WorkerMetrics, WorkerSample
worker = WorkerMetrics()
state = {"in_flight": 2, "lease_free": 0, "journal_bytes": 8, "upstream_connections": 1, "statements": 5}
worker.sample(WorkerSample(breakers={}, **state))
print("ready", flush=True)
sys.stdin.read()
"""


def child(directory: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_processes_become_one_page_and_dead_ones_keep_their_counters_but_not_their_gauges(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "metrics"
    directory.mkdir()
    first, second = child(directory), child(directory)
    try:
        page = values(metrics.exposition(directory))
        assert page["hypereal_in_flight_requests", ()] == 4
        assert page["hypereal_db_statements_total", (("process", "worker"),)] == 10
    finally:
        stop(first)
        stop(second)
    page = values(metrics.exposition(directory))
    assert ("hypereal_in_flight_requests", ()) not in page
    assert page["hypereal_db_statements_total", (("process", "worker"),)] == 10


def test_a_directory_that_is_not_there_is_an_empty_page(tmp_path: Path) -> None:
    assert metrics.exposition(tmp_path / "absent") == b""


def test_gauges_of_processes_of_other_users_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    process = child(tmp_path)
    stop(process)
    monkeypatch.setattr(os, "kill", refuse)
    assert values(metrics.exposition(tmp_path))["hypereal_in_flight_requests", ()] == 2
