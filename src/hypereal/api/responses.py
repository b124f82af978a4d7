"""Stored responses: to look at, to list the input of, to delete (api.md section 7)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from hypereal.api.deps import DOCUMENTED, Inferring, Served
from hypereal.api.services import Services
from hypereal.api.shapes import OPENAI_REFUSALS
from hypereal.errors import NotFound
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

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None


router = APIRouter(tags=["Responses"], dependencies=DOCUMENTED, responses=dict(OPENAI_REFUSALS))


@router.get("/v1/responses/{response_id}", summary="Look at a stored response")
async def get_response(response_id: str, services: Served, principal: Inferring) -> Response:
    """The response object, as it was answered."""
    return Response((await _find(services, principal, response_id)).answer, media_type="application/json")


@router.get("/v1/responses/{response_id}/input_items", summary="List what led to a response")
async def list_input_items(
    response_id: str, services: Served, principal: Inferring, page: Annotated[Page, Query()]
) -> InputItems:
    """The items of its input, those of the responses that it goes on from included."""
    kept = await _find(services, principal, response_id)
    items = [{"id": f"item_{number}", **item} for number, item in enumerate(msgspec.json.decode(kept.input))]
    if page.order == "desc":
        items.reverse()
    ids = [item["id"] for item in items]
    start = ids.index(page.after) + 1 if page.after in ids else 0
    limit = min(max(page.limit, 1), 100)
    shown = items[start : start + limit]
    return InputItems(
        data=shown,
        first_id=shown[0]["id"] if shown else None,
        last_id=shown[-1]["id"] if shown else None,
        has_more=start + limit < len(items),
    )


@router.delete("/v1/responses/{response_id}", summary="Delete a stored response")
async def delete_response(response_id: str, services: Served, principal: Inferring) -> Deleted:
    """Nothing can go on from it afterwards."""
    if not await services.history.delete(principal.account_id, response_id):
        raise _not_found(response_id)
    return Deleted(id=response_id)


async def _find(services: Services, principal: Principal, response_id: str) -> Kept:
    kept = await services.history.find(principal.account_id, response_id)
    if kept is None:
        raise _not_found(response_id)
    return kept


def _not_found(response_id: str) -> NotFound:
    return NotFound(f"Response with id '{response_id}' not found", code="response_not_found")
