"""The models that this server serves, as clients ask for them: OpenAI's list shape with prices and limits added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from hypereal.api.deps import DOCUMENTED, ModelsRead, Served
from hypereal.api.services import Services
from hypereal.api.shapes import OPENAI_REFUSALS, Number, dollars_number
from hypereal.catalog.resolve import Catalogue, accepts
from hypereal.catalog.types import Model, Price
from hypereal.errors import NotFound
from hypereal.identity.principal import Principal
from hypereal.kit.money import credits_number
from hypereal.wire import ENDPOINTS, Endpoint

# OpenAI's clients require `created`, and the catalogue has no dates: the epoch says "unknown" in their type.
UNKNOWN_DATE = 0


class TokenPrices(BaseModel):
    """Prices of a million tokens of each kind."""

    input: Number = Field(examples=[0.5])
    output: Number = Field(examples=[4])
    cache_read: Number = Field(examples=[0.05])
    cache_write: Number = Field(examples=[0.5])
    cache_write_1h: Number = Field(description="Kept for an hour", examples=[0.5])
    reasoning: Number = Field(examples=[4])


class Pricing(BaseModel):
    """What the model costs, in US dollars and in credits (100 credits are a dollar)."""

    usd_per_million_tokens: TokenPrices
    credits_per_million_tokens: TokenPrices
    minimum_credits: Number = Field(description="The least that a request costs", examples=[0])
    provenance: str = Field(description="Where the prices come from", examples=["contract"])


class ModelEntry(BaseModel):
    """A model as OpenAI's list has it (`id`, `object`, `created`, `owned_by`) and what else there is to know."""

    id: str = Field(examples=["gpt-5"])
    object: Literal["model"] = "model"
    created: int = Field(default=UNKNOWN_DATE, description="Always 0: the catalogue has no release dates")
    owned_by: str = Field(examples=["openai"])
    name: str = Field(examples=["GPT-5"])
    aliases: list[str] = Field(description="Other ids that mean this model")
    kinds: list[str] = Field(examples=[["chat"]])
    endpoints: list[str] = Field(examples=[["/v1/chat/completions", "/v1/chat"]])
    capabilities: list[str] = Field(examples=[["streaming", "tools", "vision"]])
    context_length: int = Field(description="Tokens of input and output together", examples=[400000])
    max_output_tokens: int = Field(examples=[128000])
    pricing: Pricing
    providers: list[str] = Field(description="Ids of the providers that serve it here, first choice first")


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelEntry]


router = APIRouter(tags=["Models"], dependencies=DOCUMENTED, responses=dict(OPENAI_REFUSALS))


@router.get("/v1/models", summary="List models")
async def list_models(services: Served, principal: ModelsRead) -> ModelList:
    """Every model that can be called here and now, with its price; only those that the key may use."""
    return _listing(services, principal, ENDPOINTS)


@router.get("/v1/models/{model_id:path}", summary="Look up a model")
async def get_model(model_id: str, services: Served, principal: ModelsRead) -> ModelEntry:
    """One model by its id or by an alias. Ids may contain slashes and colons."""
    model = services.catalogue().resolve(model_id)
    entry = _entry(services, principal, ENDPOINTS, model) if model else None
    if entry is None:
        raise NotFound(f"The model '{model_id}' does not exist or is not served here", code="model_not_found")
    return entry


@router.get("/v1/chat/completions", summary="List the models of chat completions")
async def list_chat_models(services: Served, principal: ModelsRead) -> ModelList:
    """The models that `POST` on the same path accepts, with their prices."""
    return _listing(services, principal, [point for point in ENDPOINTS if point.path == "/v1/chat/completions"])


def _listing(services: Services, principal: Principal, endpoints: Sequence[Endpoint]) -> ModelList:
    entries = [_entry(services, principal, endpoints, model) for model in services.catalogue().models]
    return ModelList(data=[entry for entry in entries if entry is not None])


def _entry(services: Services, principal: Principal, wanted: Sequence[Endpoint], model: Model) -> ModelEntry | None:
    """The model as lists show it; None when none of the `wanted` endpoints serves it or the key may not use it."""
    if not may_use(principal, model):
        return None
    catalogue, cross_format = services.catalogue(), services.cross_format
    serving = [point for point in ENDPOINTS if _serves(catalogue, point, model, cross_format=cross_format)]
    if not any(point in wanted for point in serving):
        return None
    targets = [way for point in serving for way in catalogue.plan_targets(model, point.kind, point.dialect)]
    return ModelEntry(
        id=model.id,
        owned_by=model.owner,
        name=model.name or model.id,
        aliases=list(model.aliases),
        kinds=sorted(model.kinds),
        endpoints=[point.path for point in serving],
        capabilities=sorted(model.capabilities),
        context_length=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        pricing=_pricing(model.price),
        providers=list(dict.fromkeys(target.upstream.id for served, target in targets if served.id == model.id)),
    )


def may_use(principal: Principal, model: Model) -> bool:
    """Whether the key's list of models, if it has one, names this one by its id or by an alias."""
    allowed = principal.allowed_models
    return allowed is None or not allowed.isdisjoint((model.id, *model.aliases))


def _serves(catalogue: Catalogue, point: Endpoint, model: Model, *, cross_format: bool) -> bool:
    is_taken = accepts(model, point.kind, point.dialect, cross_format=cross_format)
    return is_taken and bool(catalogue.plan_targets(model, point.kind, point.dialect))


def _pricing(price: Price) -> Pricing:
    rates = {
        "input": price.input,
        "output": price.output,
        "cache_read": price.cache_read,
        "cache_write": price.cache_write,
        "cache_write_1h": price.cache_write_1h,
        "reasoning": price.reasoning,
    }
    return Pricing(
        usd_per_million_tokens=TokenPrices(**{kind: dollars_number(rate) for kind, rate in rates.items()}),
        credits_per_million_tokens=TokenPrices(**{kind: credits_number(rate) for kind, rate in rates.items()}),
        minimum_credits=credits_number(price.base),
        provenance=price.provenance,
    )
