"""`hypereal credits`: what an account has, and giving it more."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from hypereal.billing import ledger, wallet
from hypereal.cli.database import in_database
from hypereal.cli.key import Account, Json, owner_of
from hypereal.cli.output import print_json
from hypereal.kit.ids import new_id
from hypereal.kit.money import ZERO, Micro, credits_text, parse_credits
from hypereal.settings import load_settings

commands = typer.Typer(help="Credits: 100 of them are one US dollar.", no_args_is_help=True)


@commands.command()
def grant(
    amount: Annotated[str, typer.Argument(help="Credits, such as 500 or 0.25.")],
    account: Account = None,
    reference: Annotated[
        str | None, typer.Option(help="Name of this grant; the same name again grants nothing.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="Kept with the ledger entry.")] = None,
) -> None:
    """Give an account credits."""
    micro = parse_credits(amount)
    if micro <= 0:
        raise ValueError("the amount must be more than nothing")
    name = f"grant:{reference or new_id('cli')}"

    async def work(engine: AsyncEngine) -> tuple[bool, wallet.Balance]:
        async with engine.connect() as connection:
            owner = await owner_of(connection, account)
        detail = {"note": note} if note else None
        is_new = await ledger.grant(engine, owner, amount=micro, reference=name, detail=detail)
        return is_new, await _balance(engine, owner)

    is_new, after = in_database(load_settings(), work)
    done = f"granted {credits_text(micro)} credits" if is_new else f"nothing granted: {name} was applied before"
    typer.echo(f"{done}; the balance is {credits_text(after.balance)}")


@commands.command()
def balance(account: Account = None, as_json: Json = False) -> None:
    """Show an account's balance, what of it is set aside, and what is available."""

    async def work(engine: AsyncEngine) -> tuple[str, wallet.Balance]:
        async with engine.connect() as connection:
            owner = await owner_of(connection, account)
        return owner, await _balance(engine, owner)

    owner, found = in_database(load_settings(), work)
    amounts = {
        "balance": credits_text(found.balance),
        "held": credits_text(found.held),
        "available": credits_text(found.available),
    }
    if as_json:
        print_json({"account": owner, **amounts})
    else:
        typer.echo("\n".join(f"{name:<10}{amount:>20}" for name, amount in amounts.items()))


async def _balance(engine: AsyncEngine, wallet_id: str) -> wallet.Balance:
    async with engine.connect() as connection:
        found = await wallet.find_balance(connection, wallet_id)
    return found or wallet.Balance(balance=Micro(ZERO), held=Micro(ZERO))
