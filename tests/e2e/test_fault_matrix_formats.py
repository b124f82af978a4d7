"""The promises of docs/failure-contract.md for clients and providers of every format, native and translated."""

from __future__ import annotations

import pytest

from tests.e2e.test_fault_matrix import SECRETS, check_charged
from tests.support.bills import bill
from tests.support.catalogue_file import BACKUP, COST_OF_OK
from tests.support.failure_contract import FORMAT_FAULTS, Promise, fault_in
from tests.support.format_lanes import PAIRS, Pair, lane_name, pair_name
from tests.support.gateway_under_test import FORMS
from tests.support.http_client import Answer
from tests.support.openai_format import TEXT
from tests.support.server import Server
from tests.support.speakers import SPEAKERS, Speaker, is_stream

FALLING_BACK = [
    (fault_id, pair, form)
    for fault_id in FORMAT_FAULTS
    for pair in PAIRS
    for form in FORMS
    if fault_in(fault_id, pair[1]).falls_back(stream=form == "stream")
]


ONLY_FRONTS = ("hot",)
"""A format never sees the front: the matrix of Chat Completions runs on both, this one on the hot lane."""


def check_seen(speaker: Speaker, answer: Answer, promise: Promise, *, stream: bool) -> None:
    """The client sees what the document promises, in its own format."""
    if promise.client == "answer":
        assert answer.status == 200, answer.body[:500]
        assert (speaker.read(answer), is_stream(answer), answer.truncated) == (TEXT, stream, False), answer.body
        assert not stream or speaker.is_ended(answer)
    elif promise.client == "cut":
        assert answer.status == 200, answer.body[:500]
        said = speaker.read(answer)
        assert said, answer.body
        assert TEXT.startswith(said), answer.body
        assert not speaker.is_ended(answer), answer.body
        assert speaker.last_error(answer)
    else:
        assert answer.status == int(promise.client), answer.body[:500]
        assert answer.headers["content-type"].startswith("application/json")
        assert speaker.last_error(answer)
    assert not any(secret in answer.body.decode() for secret in SECRETS)


def test_every_fault_of_the_paragraph_is_one_of_the_table() -> None:
    assert len(FORMAT_FAULTS) == len(set(FORMAT_FAULTS)) >= 20
    assert {fault_in(fault_id, "openai_chat").id for fault_id in FORMAT_FAULTS} == set(FORMAT_FAULTS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pair", PAIRS, ids=pair_name)
@pytest.mark.parametrize("fault_id", FORMAT_FAULTS)
def test_a_lone_provider_that_fails(server: Server, fault_id: str, pair: Pair, form: str) -> None:
    stream = form == "stream"
    fault, speaker = fault_in(fault_id, pair[1]), SPEAKERS[pair[0]]
    promise = fault.promise(stream=stream)
    answer = speaker.ask(server.client, lane_name(fault_id, pair, f"{form}-alone"), stream=stream)
    check_seen(speaker, answer, promise, stream=stream)
    row = bill(server, answer)
    check_charged(row, fault, promise.charged)
    assert row["status"] == answer.status or promise.client == "cut", row
    if fault.next_provider == "again":
        assert row["attempts"] == 2, row


@pytest.mark.parametrize(("fault_id", "pair", "form"), FALLING_BACK, ids=str)
def test_a_failing_provider_with_one_of_another_format_behind_it(
    server: Server, fault_id: str, pair: Pair, form: str
) -> None:
    stream = form == "stream"
    speaker = SPEAKERS[pair[0]]
    answer = speaker.ask(server.client, lane_name(fault_id, pair, f"{form}-chained"), stream=stream)
    check_seen(speaker, answer, Promise(client="answer", charged="usage"), stream=stream)
    row = bill(server, answer)
    assert (row["provider"], row["credits"]) == (BACKUP, COST_OF_OK)
    assert int(answer.headers["x-hypereal-attempts"]) == row["attempts"] >= 2


@pytest.mark.parametrize("pair", PAIRS, ids=pair_name)
def test_a_throttled_client_is_told_when_to_return(server: Server, pair: Pair) -> None:
    answer = SPEAKERS[pair[0]].ask(server.client, lane_name("throttled", pair, "whole-alone"))
    assert answer.status in (429, 503), "the breaker may have opened since"
    assert answer.status == 503 or answer.headers["retry-after"] == "7"
