"""What the record of a call says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypereal.gateway.call import Call
from hypereal.gateway.records import Settlement
from hypereal.wire import ENDPOINTS
from hypereal.wire.base import Usage

CHAT = next(endpoint for endpoint in ENDPOINTS if endpoint.path == "/v1/chat/completions")


def _call(**fields: Any) -> Call:
    given = {
        "endpoint": CHAT,
        "request_id": "req_1",
        "downstream": None,
        "started": 10.0,
        "at": 1_700_000_000.5,
        "principal": SimpleNamespace(wallet_id="acct_1", key_id="key_1"),
    }
    return Call(**{**given, **fields})


def test_every_part_of_an_answered_call_has_its_place_in_the_record() -> None:
    price = SimpleNamespace(input=10, cache_read=1, cache_write=20, cache_write_1h=30, output=40, reasoning=50, base=0)
    call = _call(
        plan=SimpleNamespace(
            model=SimpleNamespace(id="asked"), envelope=SimpleNamespace(stream=True, session=None, fields={}, body=b"")
        ),
        hold=SimpleNamespace(lease_id="lease_1", period="2026-11"),
        exchange=SimpleNamespace(
            attempts=2,
            route=SimpleNamespace(
                model=SimpleNamespace(id="served", price=price),
                target=SimpleNamespace(upstream=SimpleNamespace(id="provider")),
            ),
        ),
        first_token_at=10.25,
    )
    usage = Usage(input=3, output=8, reasoning=9)
    record = call.settlement(now=12.5, status=200, credits=77, usage=usage, basis="estimated", error="told")
    assert record == Settlement(
        request_id="req_1",
        at=1_700_000_000.5,
        wallet_id="acct_1",
        key_id="key_1",
        lease_id="lease_1",
        period="2026-11",
        credits=77,
        endpoint="/v1/chat/completions",
        model="asked",
        served_model="served",
        provider="provider",
        attempts=2,
        status=200,
        streamed=True,
        input_tokens=3,
        cache_read_tokens=0,
        cache_write_tokens=0,
        output_tokens=8,
        reasoning_tokens=9,
        basis="estimated",
        latency_ms=2500,
        first_token_ms=250,
        error="told",
    )


def test_the_kinds_of_cached_tokens_are_told_apart() -> None:
    usage = Usage(input=3, cache_read=4, cache_write=5, cache_write_1h=6)
    record = _call().settlement(now=10.0, status=200, usage=usage)
    found = (
        record.input_tokens,
        record.cache_read_tokens,
        record.cache_write_tokens,
        record.cache_write_1h_tokens,
    )
    assert found == (3, 4, 5, 6)


def test_a_record_holds_nothing_that_the_database_refuses() -> None:
    record = _call(asked_for="a\0b").settlement(now=10.0, status=400, error="unknown_model: 'a\0b'")
    assert (record.model, record.error) == ("ab", "unknown_model: 'ab'")


def test_a_refused_call_is_recorded_with_what_it_asked_for_and_nothing_held() -> None:
    record = _call(asked_for="no-such-model").settlement(now=10.0, status=404, error="model_not_found: Unknown model")
    assert (record.model, record.served_model, record.provider, record.attempts) == ("no-such-model", None, None, 0)
    assert (record.lease_id, record.period, record.credits) == ("", None, 0)
    assert (record.latency_ms, record.first_token_ms) == (0, None)
