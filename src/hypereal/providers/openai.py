"""The default adapter: every upstream that speaks OpenAI's API, told apart by its catalogue row alone.

Options of a row: `key_header` names the header that carries the key as it is (Anthropic's `x-api-key`); without it the
key is sent as `Authorization: Bearer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import quote, urlsplit

from hypereal.catalog.types import Target, Upstream
from hypereal.providers import failures
from hypereal.providers.base import Address, Failure, Headers, Prepared, Unframer
from hypereal.wire.base import Kind

PATHS: Mapping[str, str] = MappingProxyType(
    {
        "openai_chat": "chat/completions",
        "openai_responses": "responses",
        "openai_completion": "completions",
        "openai_embedding": "embeddings",
        "anthropic": "messages",
    }
)
"""Where a format is served, below `/v1` of its first provider and of those that follow it."""

COUNT_PATHS: Mapping[str, str] = MappingProxyType(
    {"openai_responses": "responses/input_tokens", "anthropic": "messages/count_tokens"}
)
GEMINI_VERBS: Mapping[tuple[Kind, bool], str] = MappingProxyType(
    {
        (Kind.CHAT, False): "generateContent",
        (Kind.CHAT, True): "streamGenerateContent?alt=sse",
        (Kind.COUNT, False): "countTokens",
        (Kind.COUNT, True): "countTokens",
    }
)
"""Gemini's format names the model and what to do with it in the path."""

ANTHROPIC_VERSION = "2023-06-01"
"""What a client that names no version of Anthropic's API is taken to speak."""

DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"http": 80, "https": 443})


def host_field(base_url: str) -> str:
    """The `Host` field of requests to an address: with its port where that is not the scheme's own."""
    parts = urlsplit(base_url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in (None, DEFAULT_PORTS[parts.scheme]) else f"{host}:{parts.port}"


class OpenAIAdapter:
    """Implements `Adapter`. `clock` gives seconds since the epoch, for a `Retry-After` that is a date."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    signs = False

    def address(self, target: Target, kind: Kind, *, dialect: str, stream: bool) -> Address:
        upstream = target.upstream
        parts = urlsplit(upstream.base_url)
        suffix = self.suffix(target, kind, dialect=dialect, stream=stream).lstrip("/")
        return Address(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port or DEFAULT_PORTS[parts.scheme],
            path=self.path(target, parts.path.rstrip("/"), suffix=suffix),
            headers=self.headers(upstream, dialect),
            defaults=self.defaults(dialect),
        )

    def suffix(self, target: Target, kind: Kind, *, dialect: str, stream: bool) -> str:
        """The path below the row's address; the row's own, if it has one."""
        if kind is Kind.COMPACT:
            return f"{target.upstream.path(Kind.CHAT, dialect) or PATHS[dialect]}/compact"
        if dialect == "gemini":
            return f"models/{quote(target.model, safe='')}:{GEMINI_VERBS[kind, stream]}"
        own = COUNT_PATHS if kind is Kind.COUNT else PATHS
        return target.upstream.path(kind, dialect) or own[dialect]

    def path(self, target: Target, base: str, *, suffix: str) -> str:
        """The whole path: what the row's address has (`base`), then the kind's own (`suffix`)."""
        return f"{base}/{suffix}"

    def headers(self, upstream: Upstream, dialect: str) -> Headers:
        """What the upstream must be told about the caller, names in lower case; the row's own headers win.

        Headers about the body and the connection are added by whoever sends it.
        """
        return tuple({**self.signature(upstream, dialect), **dict(upstream.headers)}.items())

    def defaults(self, dialect: str) -> Headers:
        """Headers for this format that a client's own replace."""
        return (("anthropic-version", ANTHROPIC_VERSION),) if dialect == "anthropic" else ()

    def prepare(self, target: Target, *, path: str, headers: Headers, body: bytes) -> Prepared | Failure:
        return Prepared(headers=headers, body=body)

    def unframer(self) -> Unframer | None:
        return None

    def signature(self, upstream: Upstream, dialect: str) -> dict[str, str]:
        """The header that carries the upstream's key; none for an upstream without one."""
        if upstream.secret is None:
            return {}
        key_header = upstream.option("key_header")
        return {key_header: upstream.secret} if key_header else {"authorization": f"Bearer {upstream.secret}"}

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return failures.classify(status, headers, body, now=self._clock())
