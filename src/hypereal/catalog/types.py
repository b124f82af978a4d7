"""The nouns of the catalogue: upstream, target, price, model, intent. Frozen values, filled by `load`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hypereal.kit.money import ZERO, Micro, Rate
from hypereal.wire.base import Kind

Provenance = Literal["contract", "public list", "operator"]
DisconnectRule = Literal["cancel", "drain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs: rates in micro-credits for a million tokens of each kind, and a minimum per request.

    `cache_write_1h` is for what a provider keeps for an hour instead of some minutes.
    `overrun` is how far a charge may pass its hold, as a multiple of the hold (4 allows five holds in all): output
    that the client put no limit on can exceed the default that was held for it.
    `provenance` says where the numbers come from.
    """

    input: Rate
    output: Rate
    cache_read: Rate
    cache_write: Rate
    cache_write_1h: Rate
    reasoning: Rate
    base: Micro = ZERO
    overrun: int = 4
    provenance: Provenance = "public list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A provider's API, or a server of one's own: where it is, which formats it speaks, how it is signed for.

    `adapter` names the member of `providers.ADAPTERS` that speaks to it. `secret` is the provider's key, already read
    from the environment variable `key_env`; it is never printed (`repr=False`). `credentials` stand in for a key where
    one takes more than that (AWS access keys), by the names that the adapter knows. Deadlines are in seconds.
    `kinds` is what it can be asked for. `dialects` are the chat formats that it speaks, the one to translate into
    first, and `counts` those in which it counts tokens; `compacts` says that it has the endpoint of Responses that
    shortens a history. `drop` lists request fields that it refuses and `rename` fields of Chat Completions that it
    knows by another name (given, taken). `paths` overrides the path of a kind or a format.
    """

    id: str
    name: str
    base_url: str
    adapter: str = "openai"
    key_env: str | None = None
    secret: str | None = field(default=None, repr=False)
    credentials: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    kinds: frozenset[Kind] = frozenset(Kind)
    dialects: tuple[str, ...] = ("openai_chat",)
    counts: frozenset[str] = frozenset()
    compacts: bool = False
    drop: frozenset[str] = frozenset()
    rename: tuple[tuple[str, str], ...] = ()
    paths: tuple[tuple[str, str], ...] = ()
    connect_timeout_s: float = 5.0
    first_byte_timeout_s: float = 120.0
    silence_timeout_s: float = 60.0
    max_connections: int = 1000
    options: tuple[tuple[str, str], ...] = ()

    def option(self, name: str) -> str | None:
        """A setting that only this upstream's adapter knows (`api_version` for Azure), or None."""
        return dict(self.options).get(name)

    def credential(self, name: str) -> str | None:
        """One part of what stands in for a key (`access_key` for Bedrock), or None."""
        return dict(self.credentials).get(name)

    def renames(self, dialect: str) -> tuple[tuple[str, str], ...]:
        """What to rename in a request of this format: OpenAI's Completions keep the `max_tokens` its chat dropped."""
        return self.rename if dialect == "openai_chat" else ()

    def path(self, kind: Kind, dialect: str) -> str | None:
        """The path below `base_url` where this upstream alone serves `kind` in a format, or None for the adapter's own.

        One that is given for the format goes before one for the kind.
        """
        given = dict(self.paths)
        return given.get(dialect, given.get(kind)) if kind is not Kind.COUNT else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One way to serve a model: an upstream and the name it knows the model by."""

    upstream: Upstream
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that clients ask for by `id`.

    `targets` are tried in order; `fallbacks` are ids of other models tried after them. `disconnect` is what happens to
    the upstream's answer when the client leaves mid-stream: cancelled, or read on for at most `drain_s` seconds.
    `dialects` are the chat formats that it is served in, as far as its upstreams speak them; it is translated for
    clients of others. Token counts are the published limits, except `default_output_tokens`: what is held for when the
    client sets no limit. A prompt shorter than `min_cache_tokens` is never cached by its provider.
    """

    id: str
    owner: str
    kinds: frozenset[Kind]
    dialects: frozenset[str]
    price: Price
    targets: tuple[Target, ...]
    context_tokens: int
    max_output_tokens: int
    default_output_tokens: int
    min_cache_tokens: int | None = None
    name: str = ""
    capabilities: frozenset[str] = frozenset()
    fallbacks: tuple[str, ...] = ()
    disconnect: DisconnectRule = "cancel"
    drain_s: float = 30.0
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to answer a request: the model that serves it, where, and in which format it is asked there."""

    model: Model
    target: Target
    dialect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A capability bucket (`chat-fast`): the ids of the models that qualify, cheapest first."""

    id: str
    description: str
    models: tuple[str, ...]
