"""The balance and the ledger over HTTP (api.md sections 13 and 16). Nothing here moves money."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from hypereal.api.deps import DOCUMENTED, CreditsRead, Served
from hypereal.api.services import Services
from hypereal.api.shapes import NATIVE_REFUSALS, Credits, Moment, Number, Shape, dollars_number
from hypereal.billing import ledger, wallet
from hypereal.billing.wallet import Balance
from hypereal.identity.principal import Principal
from hypereal.kit.money import CREDITS_PER_DOLLAR, ZERO

MAX_ENTRIES = 1000
NOTHING = Balance(balance=ZERO, held=ZERO)


class BalanceView(Shape):
    """What the account owns, in credits: `balance` is settled, `held` is set aside for requests that are running or
    about to, and `available` is the rest."""

    balance: Credits = Field(examples=[10000])
    held: Credits = Field(examples=[120])
    available: Credits = Field(examples=[9880])


class CreditsView(BalanceView):
    currency: Literal["USD"] = "USD"
    credits_per_dollar: int = CREDITS_PER_DOLLAR
    balance_usd: Number = Field(examples=[100])
    available_usd: Number = Field(examples=[98.8])
    minimum_balance: Credits = Field(description="Endpoints billed by tokens want at least this much", examples=[200])


class OldBalance(BalanceView):
    """The balance as older client programs read it."""

    credits: Credits = Field(description="The same as `balance`", examples=[10000])


class EntryView(Shape):
    """One movement of credits. `amount` is signed: a charge is negative. Entries never change."""

    id: int
    created_at: datetime
    kind: ledger.EntryKind
    amount: Credits = Field(examples=[-0.0125])
    reference: str = Field(description="What moved it; unique", examples=["charge:req_5xVb2Kq0TtRw9LmN0000002a"])
    key_id: str | None


class LedgerPage(Shape):
    """Entries, newest first. `nextCursor` is null on the last page."""

    entries: list[EntryView]
    next_cursor: str | None


class LedgerFilters(Shape):
    """Which entries: of one kind, from one moment up to, not including, another."""

    kind: ledger.EntryKind | None = None
    since: Moment | None = Field(None, alias="from", description="Not before", examples=["2026-11-01T00:00:00Z"])
    until: Moment | None = Field(None, alias="to", description="Before", examples=["2026-12-01T00:00:00Z"])
    limit: int = Field(100, ge=1, le=MAX_ENTRIES)
    cursor: str | None = Field(None, pattern="^[0-9]{1,18}$", description="`nextCursor` of the page before")


router = APIRouter(tags=["Credits"], dependencies=DOCUMENTED, responses=dict(NATIVE_REFUSALS))


@router.get("/api/credits", summary="The balance")
async def get_credits(services: Served, principal: CreditsRead) -> CreditsView:
    """What the account owns, in credits and in US dollars."""
    balance = await _balance(services, principal)
    return CreditsView(
        balance=balance.balance,
        held=balance.held,
        available=balance.available,
        balance_usd=dollars_number(balance.balance),
        available_usd=dollars_number(balance.available),
        minimum_balance=services.minimum_balance,
    )


@router.get("/v1/account/balance", summary="The balance, for older clients")
@router.get("/v1/user", include_in_schema=False)
@router.get("/v1/user/info", include_in_schema=False)
async def get_old_balance(services: Served, principal: CreditsRead) -> OldBalance:
    """The same as `/api/credits`, with the names that older client programs read. Also `/v1/user`, `/v1/user/info`."""
    balance = await _balance(services, principal)
    return OldBalance(balance=balance.balance, held=balance.held, available=balance.available, credits=balance.balance)


@router.get("/api/credits/ledger", summary="The ledger")
async def get_ledger(
    services: Served, principal: CreditsRead, filters: Annotated[LedgerFilters, Query()]
) -> LedgerPage:
    """Every movement of the account's credits, newest first. The balance is the sum of all of them."""
    async with services.engine.connect() as connection:
        page = await ledger.list_entries(
            connection,
            principal.wallet_id,
            limit=filters.limit,
            cursor=filters.cursor,
            kind=filters.kind,
            since=filters.since,
            until=filters.until,
        )
    return LedgerPage(entries=[EntryView.model_validate(entry) for entry in page.entries], next_cursor=page.next_cursor)


async def _balance(services: Services, principal: Principal) -> Balance:
    async with services.engine.connect() as connection:
        return await wallet.find_balance(connection, principal.wallet_id) or NOTHING
