"""The lanes of the faulty upstream that speak other formats, and the models that lead to them.

A *pair* is a client's format and an upstream's, `anthropic>openai_chat`; a lane is for one pair, so that a breaker
which one client's test opened does not answer for another's.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from tests.support.catalogue_file import BACKUP, DEADLINES, model_row, upstream_row
from tests.support.failure_contract import FORMAT_FAULTS, Fault, fault_in
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.formats import FORMATS

SAME = tuple((name, name) for name in ("anthropic", "openai_responses", "gemini"))
TRANSLATED = (
    ("openai_chat", "gemini"),
    ("anthropic", "openai_chat"),
    ("openai_responses", "anthropic"),
    ("gemini", "openai_responses"),
)
"""Each format once as the client's and once as the upstream's."""
PAIRS = (*SAME, *TRANSLATED)
Pair = tuple[str, str]
RULES = ("cancel", "drain")
DRAIN_S = 20.0

Rows = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def pair_name(pair: Pair) -> str:
    return ">".join(pair)


def lane_name(behaviour: str, pair: Pair, note: str = "") -> str:
    """The lane of a behaviour for a pair, which is a model's id and an upstream's as well."""
    client, upstream = pair
    return f"{behaviour}~{client}-{upstream}{f'-{note}' if note else ''}"


def format_row(lane: str, base_url: str, upstream_format: str, **more: Any) -> dict[str, Any]:
    """An upstream that speaks one format alone."""
    spoken: dict[str, Any] = {
        "kinds": ["chat"],
        "dialects": [upstream_format],
        "adapter": FORMATS[upstream_format].adapter,
    }
    spoken["compacts"] = upstream_format == "openai_responses"
    return upstream_row(lane, base_url, **{**spoken, **more})


def _fault_lanes() -> Iterator[tuple[Fault, Pair, str]]:
    for pair in PAIRS:
        for fault_id in FORMAT_FAULTS:
            fault = fault_in(fault_id, pair[1])
            for form in ("stream", "whole"):
                yield fault, pair, form


def format_rows(upstream: FaultyUpstream) -> Rows:
    """The rows for faults and for disconnects in every pair."""
    tag = secrets.token_hex(4)
    upstreams: list[dict[str, Any]] = []
    models: list[dict[str, Any]] = []
    for fault, pair, form in _fault_lanes():
        deadlines = DEADLINES if "504" in (fault.stream.client, fault.whole.client) else {}
        falls_back = fault.falls_back(stream=form == "stream")
        for chain in ("alone", "chained") if falls_back else ("alone",):
            lane = lane_name(fault.id, pair, f"{form}-{chain}")
            upstreams.append(format_row(lane, upstream.url(f"{lane}-{tag}"), pair[1], **deadlines))
            targets = [f"{lane}:served", *([f"{BACKUP}:served-backup"] if chain == "chained" else [])]
            models.append(model_row(lane, targets, kinds=["chat"]))
    for pair in PAIRS:
        lane = lane_name("hesitant", pair)
        upstreams.append(format_row(lane, upstream.url(lane), pair[1]))
        for rule in RULES:
            name = lane_name("hesitant", pair, rule)
            row = model_row(name, [f"{lane}:served-{rule}"], kinds=["chat"], disconnect=rule, drain_s=DRAIN_S)
            models.append(row)
    return upstreams, models
