"""The last table of docs/failure-contract.md: when a client leaves, by rule and form, for every format."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import pytest

from tests.support.bills import Row, cost_of, settled
from tests.support.catalogue_file import COST_OF_OK
from tests.support.failure_contract import Charged, read_disconnects
from tests.support.faulty_upstream import FaultyUpstream, Recorded
from tests.support.format_lanes import PAIRS, RULES, Pair, lane_name, pair_name
from tests.support.http_client import RawConnection
from tests.support.openai_format import WORDS
from tests.support.server import BOOTSTRAP_KEY, Server
from tests.support.speakers import SPEAKERS

DISCONNECTS = read_disconnects()
LAST_EVENTS = {
    "openai_chat": b"[DONE]",
    "anthropic": b'"type":"message_stop"',
    "openai_responses": b'"type":"response.completed"',
    "gemini": b'"finishReason"',
}
READ_UNTIL = {
    "before_headers": None,
    "at_the_first_word": WORDS[0].encode(),
    "in_the_middle": WORDS[len(WORDS) // 2].encode(),
    "at_the_last_word": b'"."',
    "at_the_end": b"",
}


ONLY_FRONTS = ("hot",)
"""A format never sees the front: the matrix of Chat Completions runs on both, this one on the hot lane."""


def test_the_document_names_the_moments_that_are_tested() -> None:
    assert set(DISCONNECTS) == set(READ_UNTIL)
    assert DISCONNECTS["before_headers"].keys() == set(product(("stream", "whole"), RULES))


def request(pair: Pair, rule: str, content: str, *, stream: bool) -> bytes:
    speaker, model = SPEAKERS[pair[0]], lane_name("hesitant", pair, rule)
    body = json.dumps(speaker.body(model, content, stream)).encode()
    head = f"POST {speaker.path(model, stream)} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BOOTSTRAP_KEY}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cell of the table for one pair."""

    pair: Pair
    rule: str
    form: str
    moment: str
    charged: Charged


def leave(server: Server, upstream: FaultyUpstream, case: Case) -> tuple[Recorded, Row]:
    """Ask, read as far as the moment says, hang up; what the upstream saw and what was charged."""
    pair, rule = case.pair, case.rule
    marker = f"{case.moment} of {pair_name(pair)} {rule} {case.form} at {server.port}."
    mark = READ_UNTIL[case.moment]
    with RawConnection(server.port) as connection:
        connection.send(request(pair, rule, marker, stream=case.form == "stream"))
        (recorded,) = upstream.seen(marker)
        if mark is not None:
            connection.read_head()
            mark = mark or LAST_EVENTS[pair[0]]
            seen = b""
            for chunk in connection.chunks():
                seen += chunk
                if mark in seen:
                    break
            assert mark in seen, seen
    assert recorded.over.wait(10)
    return recorded, settled(server, recorded.headers["x-request-id"])


def check(recorded: Recorded, row: Row, case: Case) -> None:
    shown = case, row
    if case.charged == "nothing":
        assert recorded.hung_up, shown
        assert (row["credits"], row["status"]) == (0, 499), shown
    elif case.charged == "usage":
        assert (row["credits"], row["basis"]) == (COST_OF_OK, "provider"), shown
    else:
        assert recorded.hung_up, shown
        assert (row["status"], row["basis"]) == (499, "estimated"), shown
        assert 0 < row["output_tokens"] < 40, shown
        assert 0 < row["credits"] == cost_of(row) < COST_OF_OK, shown


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("pair", PAIRS, ids=pair_name)
def test_what_a_client_that_leaves_pays(server: Server, upstream: FaultyUpstream, pair: Pair, rule: str) -> None:
    cases = [
        Case(pair=pair, rule=rule, form=form, moment=moment, charged=charged)
        for moment, promises in DISCONNECTS.items()
        for (form, by_rule), charged in promises.items()
        if by_rule == rule
    ]
    with ThreadPoolExecutor(len(cases)) as clients:  # all at once: each takes as long as an answer does
        left = [clients.submit(leave, server, upstream, case) for case in cases]
    for case, outcome in zip(cases, left, strict=True):
        check(*outcome.result(), case)
