"""The catalogue in use: a name to a model, a model to its targets, and hints for names and paths that are wrong."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hypereal.catalog.types import Intent, Model, Target, Upstream
from hypereal.wire.base import Kind

Plan = tuple[tuple[Model, Target], ...]
"""Ways to serve a request, in the order in which they are tried: the model that serves it, and where."""

FORMATS: Mapping[str, str] = MappingProxyType({"native_chat": "openai_chat"})
"""Dialects that are another one upstream."""

PATHS: Mapping[str, str] = MappingProxyType(
    {
        "openai_chat": "/v1/chat/completions",
        "openai_responses": "/v1/responses",
        "anthropic": "/v1/messages",
        "gemini": "/v1/gemini",
        "completion": "/v1/completions",
        "embedding": "/v1/embeddings",
    }
)
"""Where a chat dialect, or another kind, is served (api.md section 1)."""

LONGEST_COMPARED = 100  # characters of a wrong name that are looked at: comparing is quadratic
NO_TARGETS: Plan = ()


def accepts(model: Model, kind: Kind, dialect: str, *, cross_format: bool = False) -> bool:
    """Whether an endpoint of this kind and dialect takes the model. Only chat comes in more than one format."""
    if kind not in model.kinds:
        return False
    return kind is not Kind.CHAT or cross_format or FORMATS.get(dialect, dialect) in model.dialects


def typical_cost(model: Model) -> tuple[int, str]:
    """What orders models by price: three tokens read for each one written, then the id."""
    return 3 * model.price.input + model.price.output, model.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Models, intents and the upstreams that are live here. Made by `load.assemble`.

    `dormant` says of each upstream that cannot be used why. `revision` is the same wherever the content is.
    """

    models: tuple[Model, ...]
    intents: Mapping[str, Intent]
    upstreams: tuple[Upstream, ...]
    dormant: Mapping[str, str]
    revision: str
    aliases: Mapping[str, str]
    _by_name: Mapping[str, Model] = field(repr=False)
    _plans: Mapping[tuple[str, str, Kind], Plan] = field(repr=False)

    @classmethod
    def build(
        cls,
        models: tuple[Model, ...],
        intents: tuple[Intent, ...] = (),
        *,
        upstreams: tuple[Upstream, ...] = (),
        dormant: Mapping[str, str] | None = None,
        revision: str = "",
    ) -> Catalogue:
        """A catalogue of values whose references are sound; sorts intents by price and plans every model's targets."""
        by_id = {model.id: model for model in models}
        aliases = {alias: model.id for model in models for alias in model.aliases}
        return cls(
            models=models,
            intents={intent.id: _by_price(intent, by_id) for intent in intents},
            upstreams=upstreams,
            dormant=dormant or {},
            revision=revision,
            aliases=aliases,
            _by_name={**{alias: by_id[name] for alias, name in aliases.items()}, **by_id},
            _plans=_plan_all(by_id),
        )

    def resolve(self, name: str) -> Model | None:
        """The model of this id or alias, exactly as written."""
        return self._by_name.get(name)

    def plan_targets(self, model: Model, kind: Kind, dialect: str) -> Plan:
        """Ways to serve `model` to an endpoint of this kind and dialect: its own targets in order, then its fallbacks'.

        Only targets whose upstream serves the kind, and for chat speaks the dialect, are ways.
        """
        return self._plans.get((model.id, _format(kind, dialect), kind), NO_TARGETS)

    def served(self, dialect: str, kind: Kind, *, cross_format: bool = False) -> tuple[Model, ...]:
        """The models that an endpoint takes and that can be reached now."""
        return tuple(
            model
            for model in self.models
            if accepts(model, kind, dialect, cross_format=cross_format) and self.plan_targets(model, kind, dialect)
        )

    def nearest(self, name: str, dialect: str, kind: Kind, *, cross_format: bool = False) -> tuple[str, ...]:
        """The ids that an endpoint takes, those that look like `name` first: `available_models` of an error."""
        ids = sorted(model.id for model in self.served(dialect, kind, cross_format=cross_format))
        folded = {known.casefold(): known for known in ids}
        wanted = name[:LONGEST_COMPARED].casefold()
        alike = [folded[match] for match in difflib.get_close_matches(wanted, folded, n=10, cutoff=0.5)]
        return tuple(dict.fromkeys((*alike, *ids)))

    def by_intent(
        self, intent: str, kind: Kind, dialect: str, *, healthy: Callable[[Model], bool], cross_format: bool = False
    ) -> Model | None:
        """The cheapest model of an intent that the endpoint takes, that can be reached, and that is healthy."""
        bucket = self.intents.get(intent)
        for model_id in bucket.models if bucket else ():
            model = self._by_name[model_id]
            is_taken = accepts(model, kind, dialect, cross_format=cross_format)
            if is_taken and self.plan_targets(model, kind, dialect) and healthy(model):
                return model
        return None

    def wrong_endpoint(self, model: Model, kind: Kind, dialect: str, *, cross_format: bool = False) -> str | None:
        """The sentence that sends a caller to the model's own paths, or None when this endpoint takes the model."""
        if accepts(model, kind, dialect, cross_format=cross_format):
            return None
        return f"The model '{model.id}' is not served on this endpoint; use {' or '.join(paths(model))}"


def paths(model: Model) -> tuple[str, ...]:
    """The paths on which a model is served."""
    names = [kind.value for kind in model.kinds if kind is not Kind.CHAT]
    if Kind.CHAT in model.kinds:
        names.extend(model.dialects)
    return tuple(path for name, path in PATHS.items() if name in names)


def _format(kind: Kind, dialect: str) -> str:
    return FORMATS.get(dialect, dialect) if kind is Kind.CHAT else ""


def _by_price(intent: Intent, by_id: Mapping[str, Model]) -> Intent:
    members = sorted((by_id[name] for name in intent.models), key=typical_cost)
    return Intent(id=intent.id, description=intent.description, models=tuple(model.id for model in members))


def _chain(model: Model, by_id: Mapping[str, Model]) -> dict[str, Model]:
    """The model and everything it falls back to, in order, each once."""
    chain = {model.id: model}
    for name in model.fallbacks:
        if name in by_id and name not in chain:
            chain.update(_chain(by_id[name], by_id))
    return chain


def _plan_all(by_id: Mapping[str, Model]) -> dict[tuple[str, str, Kind], Plan]:
    plans: dict[tuple[str, str, Kind], Plan] = {}
    for model in by_id.values():
        ways = [(member, target) for member in _chain(model, by_id).values() for target in member.targets]
        for kind in model.kinds:
            suited = [(m, t) for m, t in ways if kind in m.kinds and kind in t.upstream.kinds]
            for spoken in _formats(kind, suited):
                plans[model.id, spoken, kind] = tuple(
                    (m, t) for m, t in suited if kind is not Kind.CHAT or spoken in t.upstream.dialects
                )
    return plans


def _formats(kind: Kind, ways: list[tuple[Model, Target]]) -> frozenset[str]:
    if kind is not Kind.CHAT:
        return frozenset({""})
    return frozenset[str]().union(*(target.upstream.dialects for _, target in ways))
