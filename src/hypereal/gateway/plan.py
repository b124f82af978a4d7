"""Planning: what a request asks for, made into what will be done about it, or the refusal to answer with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from hypereal.billing import pricing
from hypereal.catalog.resolve import Catalogue
from hypereal.catalog.types import Model
from hypereal.errors import Forbidden, HyperealError, InvalidRequest, NoUpstream, UnknownModel, WrongEndpoint
from hypereal.gateway.affinity import Affinity, Key, affinity_key
from hypereal.gateway.routes import Route, Routes, Ways
from hypereal.identity.principal import Principal
from hypereal.kit.money import ZERO, Micro
from hypereal.wire import DIALECTS
from hypereal.wire.base import BARE, Context, Endpoint, Envelope, Kind, Usage
from hypereal.wire.fields import likely_input

SCOPE = "inference"
NAME_CHARACTERS = 100  # of a name that we do not know: it is somebody else's text, repeated to them and logged


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a request will do: ask `routes` in order. `hold` covers the dearest of them; `tokens` is for the token
    window. `affinity_key` says whose cache may be found where, if there is a choice."""

    envelope: Envelope
    model: Model
    routes: tuple[Route, ...]
    hold: Micro
    tokens: int
    affinity_key: Key | None = None

    def likely_usage(self, output: int) -> Usage:
        """Usage that nobody counted: the input by the size of the request, and `output` tokens."""
        return Usage(input=likely_input(self.envelope.input_estimate), output=output)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is not served, and the model that it asked for, for the log."""

    error: HyperealError
    model: str = ""


class Planner:
    """Plans requests against the catalogue in use."""

    def __init__(
        self,
        catalogue: Callable[[], Catalogue],
        routes: Routes,
        affinity: Affinity,
        *,
        default_chat_model: str,
        cross_format: bool,
    ) -> None:
        self._catalogue = catalogue
        self._routes = routes
        self.affinity = affinity
        self._default_chat_model = default_chat_model
        self._cross_format = cross_format
        self._revision: str | None = None
        self._known: dict[tuple[str | None, str, str], tuple[Model, Ways]] = {}

    def plan(self, principal: Principal, endpoint: Endpoint, body: bytes, context: Context = BARE) -> Plan | Refusal:
        """The plan for a body on an endpoint; malformed, unknown, misplaced or forbidden is a refusal."""
        if not principal.may(SCOPE):
            return Refusal(error=Forbidden("This key's scopes do not allow inference"))
        envelope = DIALECTS[endpoint.dialect].parse(endpoint, body, context)
        if isinstance(envelope, HyperealError):
            return Refusal(error=envelope)
        served = self._serve(principal, envelope)
        if isinstance(served, Refusal):
            return served
        model, ways = served
        if not principal.may_call(model.id, model.aliases):
            error = Forbidden(f"This key may not use the model '{model.id}'", param="model")
            return Refusal(error=error, model=model.id)
        return self._price(envelope, model, ways)

    def _serve(self, principal: Principal, envelope: Envelope) -> tuple[Model, Ways] | Refusal:
        """The model that was asked for and the ways to serve it, found once for each name and catalogue."""
        catalogue = self._catalogue()
        if catalogue.revision != self._revision:
            self._known.clear()
            self._revision = catalogue.revision
        endpoint = envelope.endpoint
        known = self._known.get((envelope.model, endpoint.path, endpoint.dialect))
        if known is not None and envelope.model:
            return known
        model = self._model(catalogue, principal, envelope)
        if isinstance(model, HyperealError):
            return Refusal(error=model, model=(envelope.model or "")[:NAME_CHARACTERS])
        ways = self._routes.find(catalogue, model, endpoint.kind, endpoint.dialect)
        if not ways.routes and endpoint.kind is not Kind.COUNT:
            error = NoUpstream(f"No provider of the model '{model.id}' is configured here")
            return Refusal(error=error, model=model.id)
        self._known[envelope.model, endpoint.path, endpoint.dialect] = model, ways
        return model, ways

    def _price(self, envelope: Envelope, model: Model, ways: Ways) -> Plan:
        routes = ways.routes
        if envelope.endpoint.kind is Kind.COUNT:
            return Plan(envelope=envelope, model=model, routes=routes, hold=ZERO, tokens=0)
        key = affinity_key(model.id, envelope) if len(routes) > 1 else None
        output = min(envelope.max_output_tokens or model.default_output_tokens, model.max_output_tokens)
        hold = pricing.estimate(ways.prices[0], envelope.input_estimate, output, choices=envelope.choices)
        for price in ways.prices[1:]:
            hold = max(hold, pricing.estimate(price, envelope.input_estimate, output, choices=envelope.choices))
        return Plan(
            envelope=envelope,
            model=model,
            routes=self.affinity.prefer(routes, key) if key is not None else routes,
            hold=hold,
            tokens=envelope.input_estimate + output * envelope.choices,
            affinity_key=key,
        )

    def _model(self, catalogue: Catalogue, principal: Principal, envelope: Envelope) -> Model | HyperealError:
        """The model by its name, which always wins, else by intent, else the default of native chat."""
        endpoint = envelope.endpoint
        name = envelope.model
        if not name and envelope.intent:
            return self._by_intent(catalogue, principal, envelope, envelope.intent)
        if not name:
            name = self._default_chat_model
        model = catalogue.resolve(name)
        if model is None:
            nearest = catalogue.nearest(name, endpoint.dialect, endpoint.kind, cross_format=self._cross_format)
            available = [
                known.id
                for known in map(catalogue.resolve, nearest)
                if known and principal.may_call(known.id, known.aliases)
            ]
            shown = name if len(name) <= NAME_CHARACTERS else f"{name[:NAME_CHARACTERS]}…"
            return UnknownModel(f"Unknown model '{shown}'", param="model", available_models=available)
        hint = catalogue.wrong_endpoint(model, endpoint.kind, endpoint.dialect, cross_format=self._cross_format)
        return WrongEndpoint(hint, param="model") if hint else model

    def _by_intent(
        self, catalogue: Catalogue, principal: Principal, envelope: Envelope, intent: str
    ) -> Model | HyperealError:
        endpoint = envelope.endpoint
        if intent not in catalogue.intents:
            return InvalidRequest(
                f"Unknown intent '{intent[:NAME_CHARACTERS]}'",
                param="intent",
                available_intents=sorted(catalogue.intents),
            )
        model = catalogue.by_intent(
            intent,
            endpoint.kind,
            endpoint.dialect,
            suits=lambda m: (
                principal.may_call(m.id, m.aliases)
                and self._routes.find(catalogue, m, endpoint.kind, endpoint.dialect).is_healthy()
            ),
            cross_format=self._cross_format,
        )
        return model or NoUpstream(f"No model of the intent '{intent}' is available on this endpoint")
