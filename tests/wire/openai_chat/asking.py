"""The request behind the answers in these tests."""

from __future__ import annotations

from hypereal.wire.base import Endpoint, Envelope, Family, Kind

ENVELOPE = Envelope(
    endpoint=Endpoint(path="/v1/chat/completions", kind=Kind.CHAT, dialect="openai_chat", family=Family.OPENAI),
    model="asked-model",
    stream=True,
    max_output_tokens=None,
    choices=1,
    shows_usage=True,
    input_estimate=1,
    body=b"",
    fields={},
    request_id="req1",
    at=1_700_000_000,
)
