"""Stored responses: to look at, to list the input of, to delete (api.md section 7)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from hypereal.api.deps import DOCUMENTED, Inferring, Served
from hypereal.api.paging import position
from hypereal.api.services import Services
from hypereal.api.shapes import OPENAI_REFUSALS
from hypereal.errors import InvalidRequest, NotFound
from hypereal.history import Kept
from hypereal.identity.principal import Principal


class Deleted(BaseModel):
    id: str
    object: Literal["response.deleted"] = "response.deleted"
    deleted: Literal[True] = True


class InputItems(BaseModel):
    """A page of what led to a response, newest first unless asked otherwise."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Page(BaseModel):
    """How much to show and from where."""

    limit: int = Field(default=20, ge=1, le=100, description="How many to show")
    order: Literal["asc", "desc"] = "desc"
    after: str | None = Field(default=None, description="Show those that follow this id")


router = APIRouter(tags=["Responses"], dependencies=DOCUMENTED, responses=dict(OPENAI_REFUSALS))


@router.get("/v1/responses/{response_id}", summary="Look at a stored response")
async def get_response(
    response_id: str,
    services: Served,
    principal: Inferring,
    stream: Annotated[bool, Query(description="Not served: a stored response is whole")] = False,
) -> Response:
    """The response object, as it was answered."""
    if stream:
        raise InvalidRequest("Stored responses are not streamed", param="stream")
    return Response((await _find(services, principal, response_id)).answer, media_type="application/json")


@router.get("/v1/responses/{response_id}/input_items", summary="List what led to a response")
async def list_input_items(
    response_id: str, services: Served, principal: Inferring, page: Annotated[Page, Query()]
) -> InputItems:
    """The items of its input, those of the responses that it goes on from included."""
    kept = await _find(services, principal, response_id)
    items = [_named(item, number) for number, item in enumerate(msgspec.json.decode(kept.input))]
    if page.order == "desc":
        items.reverse()
    start = 0 if page.after is None else position([item["id"] for item in items], page.after, "after") + 1
    shown = items[start : start + page.limit]
    return InputItems(
        data=shown,
        first_id=shown[0]["id"] if shown else None,
        last_id=shown[-1]["id"] if shown else None,
        has_more=start + page.limit < len(items),
    )


@router.delete("/v1/responses/{response_id}", summary="Delete a stored response")
async def delete_response(response_id: str, services: Served, principal: Inferring) -> Deleted:
    """Nothing can go on from it afterwards."""
    if not await services.history.delete(principal.account_id, response_id):
        raise _not_found(response_id)
    return Deleted(id=response_id)


def _named(item: dict[str, Any], number: int) -> dict[str, Any]:
    """The item under its own id, if it has one, else under one by its place."""
    own = item.get("id")
    return {**item, "id": own if isinstance(own, str) else f"item_{number}"}


async def _find(services: Services, principal: Principal, response_id: str) -> Kept:
    kept = await services.history.find(principal.account_id, response_id)
    if kept is None:
        raise _not_found(response_id)
    return kept


def _not_found(response_id: str) -> NotFound:
    return NotFound(f"Response with id '{response_id}' not found", code="response_not_found")
