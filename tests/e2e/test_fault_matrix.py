"""The promises of docs/failure-contract.md, each broken upstream by upstream, over both fronts."""

from __future__ import annotations

import pytest

from tests.support.behaviours import BEHAVIOURS, LARGE_TEXT
from tests.support.bills import Row, bill, cost_of
from tests.support.catalogue_file import BACKUP, COST_OF_OK
from tests.support.failure_contract import Charged, Fault, read_faults
from tests.support.gateway_under_test import FORMS, UNREACHABLE
from tests.support.http_client import Answer
from tests.support.openai_format import TEXT
from tests.support.server import Server

FAULTS = read_faults()
NO_FAULT = frozenset(
    {"ok", "paced", "hesitant", "busy_once", "lingering", "echo", "split", "flood", "thoughtful", "thoughtless"}
)
SECRETS = ("internal-host", "secret-host", "nginx", "<html", "sk-upstr")
"""What the misbehaving upstreams say and no client may ever read."""


def fault_id(fault: Fault) -> str:
    return fault.id


def test_the_document_and_the_upstream_know_the_same_faults() -> None:
    documented = [fault.id for fault in FAULTS]
    assert len(documented) == len(set(documented))
    assert set(documented) == set(BEHAVIOURS) - NO_FAULT | set(UNREACHABLE)


def expected_text(fault: Fault) -> str:
    return {"large": LARGE_TEXT, "tool_call": ""}.get(fault.id, TEXT)


def check_seen(answer: Answer, fault: Fault, *, stream: bool) -> None:
    """The client sees what the document promises."""
    promise = fault.promise(stream=stream)
    if promise.client == "answer":
        assert answer.status == 200, answer.body[:500]
        assert answer.text == expected_text(fault)
        assert not answer.truncated
        assert answer.is_done is stream
        if fault.id == "tool_call":
            assert b'"weather"' in answer.body
    elif promise.client == "cut":
        assert answer.status == 200, answer.body[:500]
        assert answer.text
        assert TEXT.startswith(answer.text)
        assert answer.text != TEXT
        assert not answer.is_done
        assert answer.error["message"]
    else:
        assert answer.status == int(promise.client), answer.body[:500]
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.error["message"]
    assert not any(secret in answer.body.decode() for secret in SECRETS)


def check_charged(row: Row, fault: Fault, charged: Charged) -> None:
    """The log and the ledger, already known to agree, say what the document promises."""
    if charged == "nothing":
        assert row["credits"] == 0, row
    elif charged == "usage":
        expected = 0 if fault.id == "zero_usage" else COST_OF_OK
        assert (row["credits"], row["basis"]) == (expected, "provider"), row
    else:
        assert row["basis"] == "estimated", row
        assert row["output_tokens"] > 0, row
        assert row["credits"] == cost_of(row) > 0, row


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", FAULTS, ids=fault_id)
def test_a_lone_provider_that_fails(server: Server, fault: Fault, form: str) -> None:
    stream = form == "stream"
    answer = server.client.chat(f"{fault.id}~{form}-alone", stream=stream)
    check_seen(answer, fault, stream=stream)
    row = bill(server, answer)
    check_charged(row, fault, fault.promise(stream=stream).charged)
    assert row["status"] == answer.status or fault.promise(stream=stream).client == "cut", row
    if fault.next_provider == "again":
        assert row["attempts"] == 2, row


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", FAULTS, ids=fault_id)
def test_a_failing_provider_with_another_behind_it(server: Server, fault: Fault, form: str) -> None:
    stream = form == "stream"
    lane = f"{fault.id}~{form}-chained"
    answer = server.client.chat(f"{lane}+backup", stream=stream)
    row = bill(server, answer)
    if fault.falls_back(stream=stream):
        assert (answer.status, answer.text, answer.is_done) == (200, TEXT, stream), answer.body[:500]
        assert (row["provider"], row["credits"]) == (BACKUP, COST_OF_OK)
        assert int(answer.headers["x-hypereal-attempts"]) == row["attempts"] >= 2
        return
    check_seen(answer, fault, stream=stream)
    check_charged(row, fault, fault.promise(stream=stream).charged)
    if fault.next_provider != "again":
        assert (row["provider"], row["attempts"]) == (lane, 1), row


def test_a_throttled_client_is_told_when_to_return(server: Server) -> None:
    answer = server.client.chat("throttled~whole-alone")
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")


def test_an_upstreams_verdict_on_the_request_reaches_the_client(server: Server) -> None:
    error = server.client.chat("rejected~whole-alone").error
    assert (error["type"], error["param"]) == ("invalid_request_error", "max_tokens")
    assert "max_tokens is too large" in error["message"]
