"""Affinity: the requests of one session go where the cache of their prefix is.

A provider's cache of a prompt is its own. When a session was served by a model's second target, because the first was
failing, going back to the first costs the whole prompt again; so the target that holds the cache is asked first until
the cache has expired. Pure: in memory, bounded, and forgotten with the process, which costs no more than a cache does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from hypereal.gateway.routes import Route
from hypereal.wire.anthropic.breakpoints import BILLING_HEADER
from hypereal.wire.base import Envelope

Key = tuple[str, str | bytes]
"""A model's id, and a session or the hash of a prefix."""

TTL_S = 300.0
"""How long a provider keeps a cache that is not read; Anthropic's default, and OpenAI's lower bound."""
MAX_KEYS = 10_000  # about 3 MB
MIN_BODY_BYTES = 4096  # no provider caches less than 1024 tokens
_SAMPLED = (
    (("tools",), 1024),
    (("system", "instructions", "systemInstruction", "system_instruction"), 2048),
    (("messages", "input", "contents"), 1024),
)
"""Where the formats have what starts a prompt, and how many bytes of it are told apart."""
_LATER_TURN = re.compile(
    rb'"role"\s*:\s*"(?:assistant|model)"|"type"\s*:\s*"(?:reasoning|function_call|custom_tool_call)"'
)
_VOLATILE = re.compile(re.escape(BILLING_HEADER.encode()) + rb'[^"]*')
_BETWEEN_ITEMS = b" \t\r\n,[]{"


def affinity_key(model_id: str, envelope: Envelope) -> Key | None:
    """What the requests of a session have in common: the session that they name, else the start of their prompt (tools,
    system, first user turn). None for a body too small to be cached.

    Takes some microseconds: ask only where there is a choice of routes.
    """
    if envelope.session is not None:
        return model_id, envelope.session
    if len(envelope.body) < MIN_BODY_BYTES:
        return None
    digest = hashlib.blake2b(digest_size=16)
    for names, size in _SAMPLED:
        for name in names:
            raw = envelope.fields.get(name)
            if raw is not None:
                digest.update(_start(bytes(memoryview(raw)[:size])))
        digest.update(b"\0")
    return model_id, digest.digest()


def _start(sample: bytes) -> bytes:
    """The part of a sample that stays as it is when the conversation goes on."""
    later = _LATER_TURN.search(sample)
    return _VOLATILE.sub(b"", sample[: later.start()] if later else sample).rstrip(_BETWEEN_ITEMS)


def family_of(key: Key) -> str:
    """A short name for a key that does not tell the session's own."""
    session = key[1].encode() if isinstance(key[1], str) else key[1]
    return hashlib.blake2b(session, digest_size=8).hexdigest()


class Affinity:
    """Who holds which session's cache. One for each server process; `clock` is in seconds and never goes back."""

    def __init__(self, clock: Callable[[], float], *, ttl_s: float = TTL_S, max_keys: int = MAX_KEYS) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._max_keys = max_keys
        self._holders: dict[Key, tuple[str, float]] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def prefer(self, routes: tuple[Route, ...], key: Key | None) -> tuple[Route, ...]:
        """The routes with the holder's first, unless its breaker is open. Only the asked model's own routes change
        places: a fallback that answered once is no better than the model that was asked for."""
        if key is None or len(routes) < 2 or (holder := self._holder(key)) is None:
            return routes
        for index, route in enumerate(routes):
            if route.model.id != routes[0].model.id:
                return routes
            if route.target.upstream.id == holder and not route.breaker.is_open:
                return (route, *routes[:index], *routes[index + 1 :]) if index else routes
        return routes

    def note(self, key: Key, upstream_id: str) -> None:
        """An answer of this upstream read from or wrote to a cache."""
        now = self._clock()
        holders = self._holders
        holders.pop(key, None)
        holders[key] = upstream_id, now + self._ttl_s
        # Kept in the order of their expiry: the first is the next to go.
        while (oldest := next(iter(holders))) != key and (holders[oldest][1] <= now or len(holders) > self._max_keys):
            del holders[oldest]

    def _holder(self, key: Key) -> str | None:
        known = self._holders.get(key)
        return known[0] if known is not None and known[1] > self._clock() else None
