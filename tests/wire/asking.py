"""Requests for tests of the formats: a body parsed on the endpoint of its path."""

from __future__ import annotations

import json
from typing import Any

from hypereal.errors import HyperealError
from hypereal.wire import DIALECTS, ENDPOINTS
from hypereal.wire.base import Endpoint, Envelope, Renames

CHAT = "/v1/chat/completions"
COMPLETION = "/v1/completions"
EMBEDDING = "/v1/embeddings"
NATIVE = "/v1/chat"
MESSAGES = [{"role": "user", "content": "Hi"}]

BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": MESSAGES},
    COMPLETION: {"model": "m", "prompt": "Hi"},
    EMBEDDING: {"model": "m", "input": "Hi"},
    NATIVE: {"messages": MESSAGES},
}
"""The smallest body that each path takes."""


def endpoint_of(path: str) -> Endpoint:
    return next(endpoint for endpoint in ENDPOINTS if endpoint.path == path)


def body_of(path: str, **fields: Any) -> bytes:
    """The smallest body of a path with other fields; `...` takes one out."""
    merged = {**BODIES[path], **fields}
    return json.dumps({name: value for name, value in merged.items() if value is not ...}).encode()


def parse(path: str, body: bytes) -> Envelope | HyperealError:
    endpoint = endpoint_of(path)
    return DIALECTS[endpoint.dialect].parse(endpoint, body)


def accepted(path: str, body: bytes) -> Envelope:
    envelope = parse(path, body)
    assert isinstance(envelope, Envelope), envelope
    return envelope


def refused(path: str, body: bytes) -> HyperealError:
    refusal = parse(path, body)
    assert isinstance(refusal, HyperealError), refusal
    return refusal


def built(
    path: str, body: bytes, model: str = "m", *, drop: frozenset[str] = frozenset(), rename: Renames = ()
) -> bytes:
    """What an upstream is sent for a body."""
    envelope = accepted(path, body)
    return DIALECTS[envelope.endpoint.dialect].build(envelope, model, drop=drop, rename=rename)
