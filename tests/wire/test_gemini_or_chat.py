"""`POST /v1/gemini`: Google's shape or OpenAI's, told apart by the body."""

from __future__ import annotations

import json
from typing import Any

from hypereal.errors import HyperealError
from hypereal.wire import DIALECTS, ENDPOINTS
from hypereal.wire.base import Envelope, Family

(ENDPOINT,) = (endpoint for endpoint in ENDPOINTS if endpoint.path == "/v1/gemini")


def parsed(body: bytes) -> Envelope | HyperealError:
    return DIALECTS[ENDPOINT.dialect].parse(ENDPOINT, body)


def shape_of(**fields: Any) -> str:
    envelope = parsed(json.dumps({"model": "m", **fields}).encode())
    assert isinstance(envelope, Envelope)
    assert (envelope.model, envelope.endpoint.family) == ("m", Family.GEMINI)
    return envelope.endpoint.dialect


def test_the_body_says_whose_shape_it_has() -> None:
    assert shape_of(contents=[{"parts": [{"text": "Hi"}]}]) == "gemini"
    assert shape_of(messages=[{"role": "user", "content": "Hi"}]) == "gemini_chat"


def test_a_body_of_neither_shape_is_refused_as_googles() -> None:
    for body in (b"", b"[]", b'{"model":"m"}'):
        assert isinstance(parsed(body), HyperealError)
