"""Routes: the targets of a catalogue made ready for requests, once for each revision of it.

A route holds everything about a target that does not change from one request to the next, down to the bytes of the
request's head. Breakers and connections outlive a change of the catalogue; routes do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hypereal import __version__
from hypereal.catalog.resolve import FORMATS, Catalogue
from hypereal.catalog.types import Model, Price, Target, Way
from hypereal.gateway.breaker import Breaker
from hypereal.kit.upstream import Origin, Pool, UpstreamClient
from hypereal.providers.base import Adapter
from hypereal.wire.base import Kind, Renames


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One target of one model for one kind of request. `head` is the request's head up to its own fields."""

    model: Model
    target: Target
    adapter: Adapter
    pool: Pool
    breaker: Breaker
    head: bytes
    fields: bytes
    drop: frozenset[str]
    rename: Renames


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
            spoken = FORMATS.get(dialect, dialect)
            plan = [way for way in catalogue.plan_targets(model, kind, dialect) if way.dialect == spoken]
            ways = self._ways[key] = Ways(
                routes=tuple(self._route(way, kind) for way in plan),
                prices=tuple({way.model.id: way.model.price for way in plan}.values()),
            )
        return ways

    def breakers(self) -> dict[tuple[str, str], Breaker]:
        """Breakers by upstream id and upstream model name, for gauges and for choosing healthy models."""
        return self._breakers

    def _route(self, way: Way, kind: Kind) -> Route:
        model, target = way.model, way.target
        upstream = target.upstream
        adapter = self._adapters[upstream.adapter]
        address = adapter.address(target, kind, dialect=way.dialect, stream=False)
        origin = Origin(
            scheme=address.scheme,
            host=address.host,
            port=address.port,
            connect_timeout_s=upstream.connect_timeout_s,
            max_connections=upstream.max_connections,
        )
        host = f"[{address.host}]" if ":" in address.host else address.host
        if address.port != (443 if address.scheme == "https" else 80):
            host = f"{host}:{address.port}"
        lines = [
            f"POST {address.path} HTTP/1.1",
            f"host: {host}",
            "content-type: application/json",
            "accept-encoding: identity",
            f"user-agent: hypereal/{__version__}",
            *(f"{name.lower()}: {value}" for name, value in (*address.headers, *address.defaults)),
        ]
        fields = f"x-hypereal-provider: {upstream.id}\r\nx-hypereal-model: {model.id}\r\n"
        return Route(
            model=model,
            target=target,
            adapter=adapter,
            pool=self._client.pool(origin),
            breaker=self._breakers.setdefault((upstream.id, target.model), Breaker()),
            head=("\r\n".join(lines) + "\r\n").encode("latin-1"),
            fields=fields.encode("latin-1", "replace"),
            drop=upstream.drop,
            rename=upstream.renames(way.dialect),
        )
