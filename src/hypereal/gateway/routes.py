"""Routes: the targets of a catalogue made ready for requests, once for each revision of it.

A route holds everything about a target that does not change from one request to the next, down to the bytes of the
request's head. Breakers and connections outlive a change of the catalogue; routes do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from hypereal import __version__
from hypereal.catalog.resolve import FORMATS, Catalogue
from hypereal.catalog.types import Model, Price, Target, Way
from hypereal.gateway.breaker import Breaker
from hypereal.kit.upstream import Origin, Pool, UpstreamClient
from hypereal.providers.base import Adapter, Address, Failure, Headers
from hypereal.wire import CODECS, DIALECTS
from hypereal.wire.anthropic.breakpoints import insert_breakpoints, reads_cache_option
from hypereal.wire.base import Answer, Dialect, Envelope, Garbage, Kind, Renames, Usage
from hypereal.wire.codec import Codec
from hypereal.wire.fields import read_fields
from hypereal.wire.translate import Translation, fold_stream, unfold_answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One target of one model for one endpoint's requests.

    `dialect` is how the client's request becomes the target's, and the answer the client's. `addresses` and `heads`
    are for requests answered whole and for streams; a head ends before the fields that differ between requests.
    `fields` are those that an answer to the client carries. `codec` is that of the target's format, where it has one;
    `caches_from` the least prefix, in tokens, that the target caches where it is told to, zero where it is not.
    """

    model: Model
    target: Target
    adapter: Adapter
    dialect: Dialect
    is_translated: bool
    pool: Pool
    breaker: Breaker
    addresses: tuple[Address, Address]
    heads: tuple[bytes, bytes]
    fields: bytes
    drop: frozenset[str]
    rename: Renames
    codec: Codec | None = None
    caches_from: int = 0

    def request(self, envelope: Envelope) -> tuple[bytes, bytes] | Failure:
        """Head, up to what differs between requests, and body of a request, made from what the client sent."""
        body = self._cached(envelope) if self.caches_from else self._built(envelope)
        if not envelope.headers and not self.adapter.signs:
            return self.heads[envelope.stream], body
        address = self.addresses[envelope.stream]
        headers = _merged(address, () if self.is_translated else envelope.headers)
        if self.adapter.signs:
            prepared = self.adapter.prepare(self.target, path=address.path, headers=headers, body=body)
            if isinstance(prepared, Failure):
                return prepared
            headers, body = prepared.headers, prepared.body
        return _head(address, headers), body

    def _built(self, envelope: Envelope) -> bytes:
        envelope.dropped = ()  # what an attempt before this one left out, a body of another format may well say
        return self.dialect.build(envelope, self.target.model, drop=self.drop, rename=self.rename)

    def _cached(self, envelope: Envelope) -> bytes:
        """The body with cache breakpoints, where the client set none and did not say that it wants none."""
        if not reads_cache_option(envelope.fields):
            return self._built(envelope)
        if self.is_translated:
            body = self._built(envelope)
            fields = read_fields(body)
            marked = insert_breakpoints(fields, min_tokens=self.caches_from) if isinstance(fields, dict) else None
            return msgspec.json.encode(marked) if marked is not None else body
        marked = insert_breakpoints(envelope.fields, min_tokens=self.caches_from)
        if marked is None:
            return self._built(envelope)
        with_breakpoints = msgspec.structs.replace(envelope, fields=marked, body=msgspec.json.encode(marked))
        body = self._built(with_breakpoints)
        envelope.dropped = with_breakpoints.dropped
        return body

    def fold(self, envelope: Envelope, body: bytes) -> tuple[bytes, Answer]:
        """A stream that came where one object was asked for, as that object; raises `Garbage`."""
        if self.codec is None:
            raise Garbage("a stream")
        folded = fold_stream(self.codec, body, envelope)
        return folded, self.dialect.stream(envelope).read(body, len(body))

    def check_unfolds(self, body: bytes) -> None:
        """Raise `Garbage` unless `unfold` can take an answer."""
        if self.codec is None:
            raise Garbage("no stream")
        self.codec.read_reply(body)

    def unfold(self, envelope: Envelope, body: bytes, usage: Usage) -> bytes:
        """One object that came where a stream was asked for, as the stream that the target might have sent."""
        if self.codec is None:
            raise Garbage("no stream")
        return unfold_answer(self.codec, body, envelope, usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """The ways to serve a model on an endpoint, in order, and the prices that may come to be charged."""

    routes: tuple[Route, ...]
    prices: tuple[Price, ...]

    def is_healthy(self) -> bool:
        return any(not route.breaker.is_open for route in self.routes)


class Routes:
    """The routes of the current catalogue, by model and kind; made on first use."""

    def __init__(self, client: UpstreamClient, adapters: Mapping[str, Adapter]) -> None:
        self._client = client
        self._adapters = adapters
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._ways: dict[tuple[str, Kind, str], Ways] = {}
        self._revision: str | None = None

    def find(self, catalogue: Catalogue, model: Model, kind: Kind, dialect: str) -> Ways:
        """The ways to serve `model`: its own targets in order, then those of its fallbacks."""
        if catalogue.revision != self._revision:
            self._ways = {}
            self._revision = catalogue.revision
        key = (model.id, kind, dialect)
        ways = self._ways.get(key)
        if ways is None:
            plan = catalogue.plan_targets(model, kind, dialect)
            ways = self._ways[key] = Ways(
                routes=tuple(self._route(way, kind, dialect) for way in plan),
                prices=tuple({way.model.id: way.model.price for way in plan}.values()),
            )
        return ways

    def breakers(self) -> dict[tuple[str, str], Breaker]:
        """Breakers by upstream id and upstream model name, for gauges and for choosing healthy models."""
        return self._breakers

    def _route(self, way: Way, kind: Kind, dialect: str) -> Route:
        target, upstream = way.target, way.target.upstream
        adapter = self._adapters[upstream.adapter]
        whole, streamed = (
            adapter.address(target, kind, dialect=way.dialect, stream=stream) for stream in (False, True)
        )
        origin = Origin(
            scheme=whole.scheme,
            host=whole.host,
            port=whole.port,
            connect_timeout_s=upstream.connect_timeout_s,
            max_connections=upstream.max_connections,
        )
        fields = f"x-hypereal-provider: {upstream.id}\r\nx-hypereal-model: {way.model.id}\r\n"
        is_translated = kind is Kind.CHAT and FORMATS.get(dialect, dialect) != way.dialect
        return Route(
            model=way.model,
            target=target,
            adapter=adapter,
            dialect=_translation(way, dialect) if is_translated else DIALECTS[dialect],
            is_translated=is_translated,
            pool=self._client.pool(origin),
            breaker=self._breakers.setdefault((upstream.id, target.model), Breaker()),
            addresses=(whole, streamed),
            heads=(_head(whole, _merged(whole)), _head(streamed, _merged(streamed))),
            fields=fields.encode("latin-1", "replace"),
            drop=upstream.drop,
            rename=upstream.renames(way.dialect),
            codec=CODECS.get(way.dialect),
            caches_from=way.model.min_cache_tokens or 0 if way.dialect == "anthropic" else 0,
        )


def _translation(way: Way, dialect: str) -> Translation:
    return Translation(
        client=DIALECTS[dialect],
        client_codec=CODECS[FORMATS.get(dialect, dialect)],
        upstream=DIALECTS[way.dialect],
        upstream_codec=CODECS[way.dialect],
        max_output_tokens=way.model.max_output_tokens,
        default_output_tokens=way.model.default_output_tokens,
        thinks_adaptively="adaptive_thinking" in way.model.capabilities,
        takes_custom_tools=way.target.upstream.option("custom_tools") == "yes",
    )


def _merged(address: Address, given: Headers = ()) -> Headers:
    """The headers of an address and those given by a client, which win only over defaults."""
    return tuple({**dict(address.defaults), **dict(given), **dict(address.headers)}.items())


def _head(address: Address, headers: Headers) -> bytes:
    """The head of a request up to the fields that differ from one request to the next."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    if address.port != (443 if address.scheme == "https" else 80):
        host = f"{host}:{address.port}"
    lines = [
        f"POST {address.path} HTTP/1.1",
        f"host: {host}",
        "content-type: application/json",
        "accept-encoding: identity",
        f"user-agent: hypereal/{__version__}",
        *(f"{name.lower()}: {value}" for name, value in headers),
    ]
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")
