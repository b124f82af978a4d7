"""API keys over HTTP (api.md section 16). The secret is in one answer only: the one that made the key."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, status
from pydantic import Field, StrictBool

from hypereal.api.deps import DOCUMENTED, KeysRead, KeysWrite, Served
from hypereal.api.grants import UNRESTRICTED, check_grant
from hypereal.api.shapes import NATIVE_REFUSALS, Credits, Shape, Text
from hypereal.errors import InvalidRequest, NotFound
from hypereal.identity import keys
from hypereal.identity.fields import LARGEST_NUMBER
from hypereal.identity.principal import Principal
from hypereal.identity.scopes import Scope
from hypereal.kit.money import Micro, parse_credits

Ceiling = Annotated[int | None, Field(ge=1)]


class KeyLimits(Shape):
    """What a key may be limited to; null limits nothing."""

    spending_limit: Decimal | None = Field(
        None, gt=0, description="Credits for each calendar month (UTC)", examples=[50000]
    )
    auto_disable: StrictBool = Field(False, description="Switch the key off when it reaches its spending limit")
    expires_at: datetime | None = Field(None, examples=["2030-01-31T12:00:00Z"])
    scopes: list[Scope] | None = Field(None, description="What the key may do; null allows everything")
    allowed_models: list[Text] | None = Field(None, description="The models it may call; null allows every one")
    requests_per_hour: Ceiling = None
    requests_per_minute: Ceiling = None
    tokens_per_minute: Ceiling = None
    concurrency: Ceiling = None
    org_id: Text | None = Field(None, description="The organisation the key belongs to; null is the caller's own")

    def chosen(self) -> dict[str, Any]:
        """The fields that the client gave, as `identity.keys` takes them."""
        given = self.model_dump(exclude_unset=True, exclude={"org_id"})
        if given.get("spending_limit") is not None:
            given["spending_limit"] = _micro(given["spending_limit"])
        return given


class NewKey(KeyLimits):
    name: Text = Field(examples=["prod-eu"])


class KeyChange(KeyLimits):
    """Only what is given changes; null takes a limit away."""

    name: Text = Field("", examples=["prod-eu"])
    disabled: StrictBool = Field(False, description="Switch the key off, or on again")


class KeyView(Shape):
    """A key as its owner sees it: everything but the secret."""

    id: str = Field(examples=["key_3uA7Pq9xLmVb2Kq0TtRw"])
    name: str = Field(examples=["prod-eu"])
    preview: str = Field(description="The beginning and end of the secret", examples=["ck_3uA7…9xLm"])
    status: Literal["active", "disabled", "expired"]
    scopes: list[str] | None
    allowed_models: list[str] | None
    spending_limit: Credits | None = Field(description="Credits for each calendar month (UTC)", examples=[50000])
    auto_disable: bool
    expires_at: datetime | None
    requests_per_hour: int | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrency: int | None
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    last_used_at: datetime | None


class CreatedKey(KeyView):
    key: str = Field(description="The secret. It can't be shown again: keep it now", examples=["ck_3uA7Pq…"])


class KeyList(Shape):
    keys: list[KeyView]
    next_cursor: str | None


class DeletedKey(Shape):
    id: str
    deleted: Literal[True] = True


class Paging(Shape):
    limit: int = Field(50, ge=1, le=keys.LONGEST_PAGE)
    cursor: Text | None = Field(None, max_length=300, description="`nextCursor` of the page before")


router = APIRouter(prefix="/api/api-keys", tags=["API keys"], dependencies=DOCUMENTED, responses=dict(NATIVE_REFUSALS))


@router.get("", summary="List keys")
async def list_keys(services: Served, principal: KeysRead, paging: Annotated[Paging, Query()]) -> KeyList:
    """The account's keys, newest first."""
    async with services.engine.connect() as connection:
        page = await keys.list_page(connection, principal.account_id, limit=paging.limit, cursor=paging.cursor)
    return KeyList(keys=[KeyView(**_view(key)) for key in page.keys], next_cursor=page.next_cursor)


@router.post("", summary="Create a key", status_code=status.HTTP_201_CREATED)
async def create_key(body: NewKey, services: Served, principal: KeysWrite) -> CreatedKey:
    """A new key. Its secret is in this answer and never again; only a hash of it is stored.

    A restricted key can't make a less restricted one.
    """
    _check_organisation(principal, body.org_id)
    chosen = body.chosen()
    check_grant(principal, {**UNRESTRICTED, **chosen})
    async with services.engine.begin() as connection:
        key, secret = await keys.create(connection, principal.account_id, **chosen)
    return CreatedKey(**_view(key), key=secret)


@router.get("/{key_id}", summary="Look up a key")
async def get_key(key_id: str, services: Served, principal: KeysRead) -> KeyView:
    """One key of the account; somebody else's is not found."""
    async with services.engine.connect() as connection:
        return KeyView(**_view(await keys.get(connection, key_id, account_id=principal.account_id)))


@router.patch("/{key_id}", summary="Change a key")
async def change_key(key_id: str, body: KeyChange, services: Served, principal: KeysWrite) -> KeyView:
    """Set what is given and nothing else; every server process knows within a second."""
    _check_organisation(principal, body.org_id)
    chosen = body.chosen()
    check_grant(principal, chosen)
    async with services.engine.begin() as connection:
        return KeyView(**_view(await keys.change(connection, key_id, account_id=principal.account_id, **chosen)))


@router.delete("/{key_id}", summary="Revoke a key")
async def revoke_key(key_id: str, services: Served, principal: KeysWrite) -> DeletedKey:
    """Gone for good within a second; what it did stays in the request log and the ledger."""
    async with services.engine.begin() as connection:
        await keys.revoke(connection, key_id, account_id=principal.account_id)
    return DeletedKey(id=key_id)


def _check_organisation(principal: Principal, org_id: str | None) -> None:
    if org_id not in {None, principal.account_id}:
        raise NotFound("Organisation not found")


def _micro(amount: Decimal) -> Micro:
    if amount > LARGEST_NUMBER:
        raise InvalidRequest("spendingLimit is too large", param="spendingLimit")
    try:
        return parse_credits(str(amount))
    except ValueError as exc:
        raise InvalidRequest("spendingLimit is finer than a millionth of a credit", param="spendingLimit") from exc


def _view(key: keys.Key) -> dict[str, Any]:
    return {**asdict(key), **asdict(key.limits), "status": _status(key, datetime.now(UTC))}


def _status(key: keys.Key, now: datetime) -> str:
    if key.disabled_at is not None:
        return "disabled"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"
