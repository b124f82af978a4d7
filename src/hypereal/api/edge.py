"""The edge: what a path means, before anything is routed (api.md sections 1 and 3).

All spellings of a path are made one here and nowhere else; no handler is registered twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from hypereal.wire import ENDPOINTS, Endpoint, Family
from hypereal.wire.base import BARE, Context

_SLASHES = re.compile(r"/{2,}")
_CODEXS = re.compile(r"^/v1/codex(?=/responses(?:/|$))")
_GOOGLES = re.compile(r"^/v1/gemini(/v1beta|/v1)?(?=/models(?:/|$))")

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

    `/api/v1beta/…` likewise; other `/api/…` paths are routes of their own. Google's own paths below `/v1/gemini`, which
    clients make that take it for their base URL, mean `/v1beta/…`. `/v1/codex/responses/…` means `/v1/responses/…`.
    """
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if path.startswith(("/api/v1/", "/api/v1beta/")):
        path = path[4:]
    while path.startswith(("/v1/v1/", "/v1/v1beta/")):
        path = path[3:]
    if path.startswith("/v1/gemini/"):
        path = _GOOGLES.sub("/v1beta", path)
    elif path.startswith("/v1/codex/"):
        path = _CODEXS.sub("/v1", path)
    return path.rstrip("/") or "/"


def family_of(path: str) -> Family:
    """The shape of errors on a normalised path; what is not an API of somebody else's is native."""
    for prefix, family in _FAMILIES:
        if path == prefix or path.startswith((prefix + "/", prefix + ":")):
            return family
    return Family.NATIVE


BY_PATH: Mapping[str, Endpoint] = MappingProxyType(
    {endpoint.path: endpoint for endpoint in ENDPOINTS if "{model}" not in endpoint.path}
)
HOT_PATHS: Mapping[bytes, Endpoint] = MappingProxyType(
    {
        f"{prefix}{path}".encode(): endpoint
        for endpoint in BY_PATH.values()
        for path in (endpoint.path, endpoint.path.replace("/v1/responses", "/v1/codex/responses"))
        for prefix in ("", "/api", "/v1", "/api/v1")
    }
)
"""Every usual spelling of an inference path as it comes over the socket; unusual ones are normalised on the way in."""

_TEMPLATES: tuple[tuple[str, str, Endpoint], ...] = tuple(
    (start, end, endpoint)
    for endpoint in ENDPOINTS
    for start, found, end in [endpoint.path.partition("{model}")]
    if found
)


def find_endpoint(path: str) -> tuple[Endpoint | None, str | None]:
    """The inference endpoint at a normalised path, and the model that the path names, if it does."""
    endpoint = BY_PATH.get(path)
    if endpoint is not None:
        return endpoint, None
    for start, end, template in _TEMPLATES:
        if path.startswith(start) and path.endswith(end) and len(path) > len(start) + len(end):
            return template, path[len(start) : len(path) - len(end)]
    return None, None


def read_context(
    endpoint: Endpoint, model: str | None, query: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> Context:
    """What a request to an endpoint says outside its body; `headers` have lower-case names."""
    read = {name: value for name, value in headers if name in endpoint.headers} if endpoint.headers else {}
    return Context(model=model, query=query, headers=read) if model or query or read else BARE
