"""The catalogue in use: a name to a model, a model to its targets, and hints for names and paths that are wrong."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hypereal.catalog.types import Intent, Model, Target, Upstream, Way
from hypereal.wire.base import Kind

Plan = tuple[Way, ...]
"""Ways to serve a request, in the order in which they are tried."""

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "native_chat": "openai_chat",
        "anthropic_count": "anthropic",
        "gemini_count": "gemini",
        "gemini_or_chat": "gemini",
        "gemini_chat": "openai_chat",
        "openai_responses_count": "openai_responses",
        "openai_responses_compact": "openai_responses",
    }
)
"""Dialects that are another one upstream."""

CHAT_FORMATS = ("openai_chat", "openai_responses", "anthropic", "gemini")
OPEN_FORMATS = frozenset({"anthropic", "gemini"})
"""Formats whose endpoints take every chat model; the others send a model of Anthropic's to its own endpoint."""

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
    """Whether an endpoint of this kind and dialect takes the model (api.md sections 5 to 8)."""
    if kind is Kind.COUNT:
        return Kind.CHAT in model.kinds
    if kind is Kind.COMPACT:
        return Kind.CHAT in model.kinds and _format(dialect) in model.dialects
    if kind is not Kind.CHAT or kind not in model.kinds:
        return kind in model.kinds
    is_open = dialect == "gemini_chat" or _format(dialect) in OPEN_FORMATS
    return cross_format or is_open or model.dialects != {"anthropic"}


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

        Only targets whose upstream serves the kind are ways. Chat is asked for in the endpoint's format where that is
        spoken, else in the upstream's first choice. Tokens are counted by the model's own targets alone, in the
        endpoint's format; without such a way they can only be estimated.
        """
        return self._plans.get((model.id, _format(dialect), kind), NO_TARGETS)

    def served(self, dialect: str, kind: Kind, *, cross_format: bool = False) -> tuple[Model, ...]:
        """The models that an endpoint takes and that can be reached now."""
        return tuple(
            model
            for model in self.models
            if accepts(model, kind, dialect, cross_format=cross_format) and self.reaches(model, kind, dialect)
        )

    def reaches(self, model: Model, kind: Kind, dialect: str) -> bool:
        """Whether `model` can be had now; its tokens can be counted, or estimated, wherever it can be talked to."""
        return bool(self.plan_targets(model, Kind.CHAT if kind is Kind.COUNT else kind, dialect))

    def nearest(self, name: str, dialect: str, kind: Kind, *, cross_format: bool = False) -> tuple[str, ...]:
        """The ids that an endpoint takes, those that look like `name` first: `available_models` of an error."""
        ids = sorted(model.id for model in self.served(dialect, kind, cross_format=cross_format))
        folded = {known.casefold(): known for known in ids}
        wanted = name[:LONGEST_COMPARED].casefold()
        alike = [folded[match] for match in difflib.get_close_matches(wanted, folded, n=10, cutoff=0.5)]
        return tuple(dict.fromkeys((*alike, *ids)))

    def by_intent(
        self, intent: str, kind: Kind, dialect: str, *, suits: Callable[[Model], bool], cross_format: bool = False
    ) -> Model | None:
        """The cheapest model of an intent that the endpoint takes, that can be reached, and that suits the caller."""
        bucket = self.intents.get(intent)
        for model_id in bucket.models if bucket else ():
            model = self._by_name[model_id]
            is_taken = accepts(model, kind, dialect, cross_format=cross_format)
            if is_taken and self.reaches(model, kind, dialect) and suits(model):
                return model
        return None

    def wrong_endpoint(self, model: Model, kind: Kind, dialect: str, *, cross_format: bool = False) -> str | None:
        """The sentence that sends a caller to the model's own paths, or None when this endpoint takes the model."""
        if accepts(model, kind, dialect, cross_format=cross_format):
            return None
        return f"The model '{model.id}' is not served on this endpoint; use {' or '.join(paths(model))}"


def paths(model: Model) -> tuple[str, ...]:
    """The paths that are a model's own: those of its kinds and of the formats it is served in."""
    names = [kind.value for kind in model.kinds if kind is not Kind.CHAT]
    if Kind.CHAT in model.kinds:
        names.extend(model.dialects)
    return tuple(path for name, path in PATHS.items() if name in names)


def _format(dialect: str) -> str:
    return FORMATS.get(dialect, dialect)


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
        chain = [(member, target) for member in _chain(model, by_id).values() for target in member.targets]
        for kind in model.kinds:
            ways = [(member, target) for member, target in chain if kind in member.kinds & target.upstream.kinds]
            for dialect in CHAT_FORMATS if kind is Kind.CHAT else (f"openai_{kind}",):
                plans[model.id, dialect, kind] = tuple(
                    Way(model=member, target=target, dialect=_asked(member, target, kind, dialect))
                    for member, target in ways
                )
    for model in by_id.values():
        for dialect in CHAT_FORMATS:
            spoken = plans.get((model.id, dialect, Kind.CHAT), NO_TARGETS)
            plans[model.id, dialect, Kind.COUNT] = tuple(_counting(model, spoken, dialect))
            plans[model.id, dialect, Kind.COMPACT] = tuple(
                way for way in spoken if way.dialect == dialect and way.target.upstream.compacts
            )
    return plans


def _asked(model: Model, target: Target, kind: Kind, dialect: str) -> str:
    """The format in which a client's request goes to a target.

    A model may be served in fewer formats than its upstream speaks (OpenAI's Codex models on Responses alone). One that
    is offered in none of them is served through an upstream that translates: it is asked as the upstream likes best.
    """
    if kind is not Kind.CHAT:
        return dialect
    spoken = [known for known in target.upstream.dialects if known in model.dialects] or target.upstream.dialects
    return dialect if dialect in spoken else spoken[0]


def _counting(model: Model, ways: Plan, dialect: str) -> Iterator[Way]:
    for way in ways:
        if way.model is model and way.dialect == dialect and dialect in way.target.upstream.counts:
            yield way
