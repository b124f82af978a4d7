"""Planning: what a request asks for, made into what will be done about it, or the refusal to answer with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypereal.billing import pricing
from hypereal.catalog.resolve import Catalogue
from hypereal.catalog.types import Model
from hypereal.errors import Forbidden, HyperealError, InvalidRequest, NoUpstream, UnknownModel, WrongEndpoint
from hypereal.gateway.routes import Routes, Ways
from hypereal.identity.principal import Principal
from hypereal.kit.money import Micro
from hypereal.wire import DIALECTS
from hypereal.wire.base import Dialect, Endpoint, Envelope, Usage
from hypereal.wire.fields import likely_input

SCOPE = "inference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a request will do: `hold` covers the dearest way of serving it; `tokens` is for the token window."""

    envelope: Envelope
    dialect: Dialect
    model: Model
    ways: Ways
    hold: Micro
    tokens: int

    def likely_usage(self, output: int) -> Usage:
        """Usage that nobody counted: the input by the size of the request, and `output` tokens."""
        return Usage(input=likely_input(self.envelope.input_estimate), output=output)


class Planner:
    """Plans requests against the catalogue in use."""

    def __init__(
        self,
        catalogue: Callable[[], Catalogue],
        routes: Routes,
        *,
        default_chat_model: str,
        cross_format: bool,
    ) -> None:
        self._catalogue = catalogue
        self._routes = routes
        self._default_chat_model = default_chat_model
        self._cross_format = cross_format

    def plan(self, principal: Principal, endpoint: Endpoint, body: bytes) -> Plan | HyperealError:
        """The plan for a body on an endpoint; malformed, unknown, misplaced or forbidden is a refusal."""
        if not principal.may(SCOPE):
            return Forbidden("This key's scopes do not allow inference")
        dialect = DIALECTS[endpoint.dialect]
        envelope = dialect.parse(endpoint, body)
        if isinstance(envelope, HyperealError):
            return envelope
        model = self._model(envelope)
        if isinstance(model, HyperealError):
            return model
        allowed = principal.allowed_models
        if allowed is not None and model.id not in allowed and envelope.model not in allowed:
            return Forbidden(f"This key may not use the model '{model.id}'", param="model")
        ways = self._routes.find(self._catalogue(), model, endpoint.kind, endpoint.dialect)
        if not ways.routes:
            return NoUpstream(f"No provider of the model '{model.id}' is configured here")
        return self._price(envelope, dialect, model, ways)

    def _price(self, envelope: Envelope, dialect: Dialect, model: Model, ways: Ways) -> Plan:
        output = envelope.max_output_tokens or model.default_output_tokens
        holds = [
            pricing.estimate(price, envelope.input_estimate, output, choices=envelope.choices) for price in ways.prices
        ]
        return Plan(
            envelope=envelope,
            dialect=dialect,
            model=model,
            ways=ways,
            hold=holds[0] if len(holds) == 1 else max(holds),
            tokens=envelope.input_estimate + output * envelope.choices,
        )

    def _model(self, envelope: Envelope) -> Model | HyperealError:
        """The model by its name, which always wins, else by intent, else the default of native chat."""
        endpoint, catalogue = envelope.endpoint, self._catalogue()
        name = envelope.model
        if not name and envelope.intent:
            return self._by_intent(catalogue, envelope, envelope.intent)
        if not name:
            name = self._default_chat_model
        model = catalogue.resolve(name)
        if model is None:
            available = catalogue.nearest(name, endpoint.dialect, endpoint.kind, cross_format=self._cross_format)
            shown = name if len(name) <= 100 else f"{name[:100]}…"
            return UnknownModel(f"Unknown model '{shown}'", param="model", available_models=list(available))
        hint = catalogue.wrong_endpoint(model, endpoint.kind, endpoint.dialect, cross_format=self._cross_format)
        return WrongEndpoint(hint, param="model") if hint else model

    def _by_intent(self, catalogue: Catalogue, envelope: Envelope, intent: str) -> Model | HyperealError:
        endpoint = envelope.endpoint
        if intent not in catalogue.intents:
            return InvalidRequest(
                f"Unknown intent '{intent[:100]}'", param="intent", available_intents=sorted(catalogue.intents)
            )
        model = catalogue.by_intent(
            intent,
            endpoint.kind,
            endpoint.dialect,
            healthy=lambda m: self._routes.find(catalogue, m, endpoint.kind, endpoint.dialect).is_healthy(),
            cross_format=self._cross_format,
        )
        return model or NoUpstream(f"No model of the intent '{intent}' is available on this endpoint")
