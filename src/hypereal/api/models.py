"""The models that this server serves, as clients ask for them.

One list for OpenAI's clients and Anthropic's, whose shapes do not get in each other's way, with prices and limits
added; Gemini's clients, told by their headers, get theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from hypereal.api.deps import DOCUMENTED, ModelsRead, Served
from hypereal.api.paging import position
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
UNKNOWN_TIME = "1970-01-01T00:00:00Z"
MOST_MODELS = 1000  # on a page, as at Anthropic and Google


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
    """A model as the lists of OpenAI (`id`, `object`, `created`, `owned_by`) and Anthropic (`type`, `id`,
    `display_name`, `created_at`) have it, and what else there is to know."""

    id: str = Field(examples=["gpt-5"])
    object: Literal["model"] = "model"
    created: int = Field(default=UNKNOWN_DATE, description="Always 0: the catalogue has no release dates")
    owned_by: str = Field(examples=["openai"])
    type: Literal["model"] = "model"
    display_name: str = Field(examples=["GPT-5"])
    created_at: str = UNKNOWN_TIME
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
    """A list, and Anthropic's fields for paging through it."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None


class GeminiModel(BaseModel):
    """A model as Google's `models.list` has it."""

    name: str = Field(examples=["models/gemini-2.5-pro"])
    displayName: str  # noqa: N815 - Google's spelling
    inputTokenLimit: int  # noqa: N815
    outputTokenLimit: int  # noqa: N815
    supportedGenerationMethods: list[str]  # noqa: N815


class GeminiModelList(BaseModel):
    models: list[GeminiModel]
    nextPageToken: str = Field(default="", description="`pageToken` of the next page; empty on the last one")  # noqa: N815


class Paging(BaseModel):
    """Anthropic's way through a list."""

    limit: int = Field(default=MOST_MODELS, ge=1, le=MOST_MODELS, description="How many to show")
    after_id: str | None = Field(default=None, description="Show those that follow this id")
    before_id: str | None = Field(default=None, description="Show those before this id")


class GeminiPaging(BaseModel):
    """Google's way through a list. A `pageToken` is the id of the last model that was shown."""

    pageSize: int = Field(default=0, ge=0, description="How many to show; 0, and anything over 1000, means 1000")  # noqa: N815
    pageToken: str = Field(default="", description="`nextPageToken` of the page before")  # noqa: N815


GOOGLE = "x-goog-api-client"
"""A header that only Google's clients send."""

router = APIRouter(tags=["Models"], dependencies=DOCUMENTED, responses=dict(OPENAI_REFUSALS))
public = APIRouter(tags=["Models"])


@router.get("/v1/models", summary="List models")
async def list_models(
    request: Request,
    services: Served,
    principal: ModelsRead,
    paging: Annotated[Paging, Query()],
    google: Annotated[GeminiPaging, Query()],
) -> ModelList | GeminiModelList:
    """Every model that can be called here and now, with its price; only those that the key may use.

    A client of Google's, which sends `x-goog-api-client`, gets Google's list.
    """
    if GOOGLE in request.headers:
        return _gemini_listing(services, principal, google)
    return _page(_listing(services, principal, ENDPOINTS).data, paging)


@router.get("/v1beta/models", summary="List models as Gemini's clients do")
async def list_gemini_models(
    services: Served, principal: ModelsRead, paging: Annotated[GeminiPaging, Query()]
) -> GeminiModelList:
    """The models that the native Gemini paths accept."""
    return _gemini_listing(services, principal, paging)


@router.get("/v1beta/models/{model_id:path}", summary="Look up a model as Gemini's clients do")
async def get_gemini_model(model_id: str, services: Served, principal: ModelsRead) -> GeminiModel:
    """One model by its id or by an alias."""
    return _gemini_entry(_find(services, principal, model_id))


@router.get("/v1/models/{model_id:path}", summary="Look up a model")
async def get_model(
    request: Request, model_id: str, services: Served, principal: ModelsRead
) -> ModelEntry | GeminiModel:
    """One model by its id or by an alias. Ids may contain slashes and colons."""
    entry = _find(services, principal, model_id)
    return _gemini_entry(entry) if GOOGLE in request.headers else entry


@router.get("/v1/chat/completions", summary="List the models of Chat Completions")
@router.get("/v1/messages", summary="List the models of Messages")
@router.get("/v1/gemini", summary="List the models of Gemini's endpoint")
async def list_endpoint_models(request: Request, services: Served, principal: ModelsRead) -> ModelList:
    """The models that `POST` on the same path accepts, with their prices."""
    return _listing(services, principal, _at(request.url.path))


@public.get("/v1/responses", summary="List the models of Responses")
async def list_responses_models(request: Request, services: Served) -> ModelList:
    """The models that `POST` on the same path accepts. Needs no key: Codex CLI asks to see whether it is connected."""
    return _listing(services, None, _at(request.url.path))


def _at(path: str) -> list[Endpoint]:
    return [point for point in ENDPOINTS if point.path == path]


def _listing(services: Services, principal: Principal | None, endpoints: Sequence[Endpoint]) -> ModelList:
    entries = [_entry(services, principal, endpoints, model) for model in services.catalogue().models]
    return ModelList(data=[entry for entry in entries if entry is not None])


def _page(entries: list[ModelEntry], paging: Paging) -> ModelList:
    """One page of a list: what follows one id, or what leads up to another."""
    if paging.before_id is not None:
        before = entries[: position(_ids(entries), paging.before_id, "before_id")]
        shown, has_more = before[-paging.limit :], len(before) > paging.limit
    else:
        start = 0 if paging.after_id is None else position(_ids(entries), paging.after_id, "after_id") + 1
        shown, has_more = entries[start : start + paging.limit], len(entries) > start + paging.limit
    return ModelList(
        data=shown,
        has_more=has_more,
        first_id=shown[0].id if shown else None,
        last_id=shown[-1].id if shown else None,
    )


def _ids(entries: list[ModelEntry]) -> list[str]:
    return [entry.id for entry in entries]


def _find(services: Services, principal: Principal, model_id: str) -> ModelEntry:
    model = services.catalogue().resolve(model_id)
    entry = _entry(services, principal, ENDPOINTS, model) if model else None
    if entry is None:
        raise NotFound(f"The model '{model_id}' does not exist or is not served here", code="model_not_found")
    return entry


def _gemini_listing(services: Services, principal: Principal, paging: GeminiPaging) -> GeminiModelList:
    serving = [point for point in ENDPOINTS if point.path.startswith("/v1beta/models/")]
    entries = _listing(services, principal, serving).data
    start = position(_ids(entries), paging.pageToken, "pageToken") + 1 if paging.pageToken else 0
    shown = entries[start : start + min(paging.pageSize or MOST_MODELS, MOST_MODELS)]
    is_last = start + len(shown) == len(entries)
    return GeminiModelList(
        models=[_gemini_entry(entry) for entry in shown], nextPageToken="" if is_last else shown[-1].id
    )


def _gemini_entry(entry: ModelEntry) -> GeminiModel:
    verbs = {path.partition("}:")[2] for path in entry.endpoints if "}:" in path}
    return GeminiModel(
        name=f"models/{entry.id}",
        displayName=entry.name,
        inputTokenLimit=entry.context_length,
        outputTokenLimit=entry.max_output_tokens,
        supportedGenerationMethods=sorted(verbs),
    )


def _entry(
    services: Services, principal: Principal | None, wanted: Sequence[Endpoint], model: Model
) -> ModelEntry | None:
    """The model as lists show it; None when none of the `wanted` endpoints serves it or the key may not use it."""
    if principal is not None and not principal.may_call(model.id, model.aliases):
        return None
    catalogue, cross_format = services.catalogue(), services.cross_format
    serving = [point for point in ENDPOINTS if _serves(catalogue, point, model, cross_format=cross_format)]
    if not any(point in wanted for point in serving):
        return None
    ways = [way for point in serving for way in catalogue.plan_targets(model, point.kind, point.dialect)]
    return ModelEntry(
        id=model.id,
        owned_by=model.owner,
        display_name=model.name or model.id,
        name=model.name or model.id,
        aliases=list(model.aliases),
        kinds=sorted(model.kinds),
        endpoints=[point.path for point in serving],
        capabilities=sorted(model.capabilities),
        context_length=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        pricing=_pricing(model.price),
        providers=list(dict.fromkeys(way.target.upstream.id for way in ways if way.model.id == model.id)),
    )


def _serves(catalogue: Catalogue, point: Endpoint, model: Model, *, cross_format: bool) -> bool:
    is_taken = accepts(model, point.kind, point.dialect, cross_format=cross_format)
    return is_taken and catalogue.reaches(model, point.kind, point.dialect)


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
