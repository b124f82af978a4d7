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
    from the environment variable `key_env`; it is never printed (`repr=False`). Deadlines are in seconds.
    `kinds` is what it can be asked for and `dialects` the chat formats that it speaks. `drop` lists request fields that
    it refuses and `rename` fields of chat requests that it knows by another name (given, taken). `paths` overrides the
    path of a kind.
    """

    id: str
    name: str
    base_url: str
    adapter: str = "openai"
    key_env: str | None = None
    secret: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    kinds: frozenset[Kind] = frozenset(Kind)
    dialects: frozenset[str] = frozenset({"openai_chat"})
    drop: frozenset[str] = frozenset()
    rename: tuple[tuple[str, str], ...] = ()
    paths: tuple[tuple[Kind, str], ...] = ()
    connect_timeout_s: float = 5.0
    first_byte_timeout_s: float = 120.0
    silence_timeout_s: float = 60.0
    max_connections: int = 1000
    options: tuple[tuple[str, str], ...] = ()

    def option(self, name: str) -> str | None:
        """A setting that only this upstream's adapter knows (`api_version` for Azure), or None."""
        return dict(self.options).get(name)

    def renames(self, kind: Kind) -> tuple[tuple[str, str], ...]:
        """What to rename in a request of this kind: OpenAI's Completions keep the `max_tokens` its chat dropped."""
        return self.rename if kind is Kind.CHAT else ()

    def path(self, kind: Kind) -> str | None:
        """The path below `base_url` where this upstream alone serves `kind`, or None for the adapter's own."""
        return dict(self.paths).get(kind)


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
    `dialects` are the chat formats that it is offered in. Token counts are the published limits, except
    `default_output_tokens`: what is held for when the client sets no limit.
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
    name: str = ""
    capabilities: frozenset[str] = frozenset()
    fallbacks: tuple[str, ...] = ()
    disconnect: DisconnectRule = "cancel"
    drain_s: float = 30.0
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A capability bucket (`chat-fast`): the ids of the models that qualify, cheapest first."""

    id: str
    description: str
    models: tuple[str, ...]
