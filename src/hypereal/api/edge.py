"""The edge: what a path means, before anything is routed (api.md sections 1 and 3).

All spellings of a path are made one here and nowhere else; no handler is registered twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from hypereal.wire import ENDPOINTS, Endpoint, Family

_SLASHES = re.compile(r"/{2,}")

_FAMILIES: tuple[tuple[str, Family], ...] = (
    ("/v1/messages", Family.ANTHROPIC),
    ("/v1/gemini", Family.GEMINI),
    ("/v1beta", Family.GEMINI),
    ("/v1/chat/completions", Family.OPENAI),
    ("/v1/completions", Family.OPENAI),
    ("/v1/responses", Family.OPENAI),
    ("/v1/codex", Family.OPENAI),
    ("/v1/images/generations", Family.OPENAI),
    ("/v1/images/edits", Family.OPENAI),
    ("/v1/audio/generations", Family.OPENAI),
    ("/v1/audio/speech", Family.OPENAI),
    ("/v1/audio/transcriptions", Family.OPENAI),
    ("/v1/video/generations", Family.OPENAI),
    ("/v1/models", Family.OPENAI),
    ("/v1/embeddings", Family.OPENAI),
)


def normalise(path: str) -> str:
    """The one spelling of a path: `/api/v1/…`, `/v1/v1/…` and `/api/v1/v1/…` mean `/v1/…`; doubled slashes are one.

    `/api/v1beta/…` likewise; other `/api/…` paths are routes of their own.
    """
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if path.startswith(("/api/v1/", "/api/v1beta/")):
        path = path[4:]
    while path.startswith(("/v1/v1/", "/v1/v1beta/")):
        path = path[3:]
    return path.rstrip("/") or "/"


def family_of(path: str) -> Family:
    """The shape of errors on a normalised path; what is not an API of somebody else's is native."""
    for prefix, family in _FAMILIES:
        if path == prefix or path.startswith((prefix + "/", prefix + ":")):
            return family
    return Family.NATIVE


BY_PATH: Mapping[str, Endpoint] = MappingProxyType({endpoint.path: endpoint for endpoint in ENDPOINTS})
HOT_PATHS: Mapping[bytes, Endpoint] = MappingProxyType(
    {
        f"{prefix}{endpoint.path}".encode(): endpoint
        for endpoint in ENDPOINTS
        for prefix in ("", "/api", "/v1", "/api/v1")
    }
)
"""Every usual spelling of an inference path as it comes over the socket; unusual ones are normalised on the way in."""
