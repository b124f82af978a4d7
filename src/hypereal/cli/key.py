"""`hypereal key`: API keys from the shell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hypereal.cli.database import in_database
from hypereal.cli.output import print_json, print_table
from hypereal.errors import NotFound
from hypereal.identity import accounts, keys
from hypereal.kit.money import credits_text, parse_credits
from hypereal.settings import load_settings

commands = typer.Typer(help="API keys.", no_args_is_help=True)

Account = Annotated[str | None, typer.Option(help="Account id; the first account if not given.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@commands.command()
def create(  # noqa: PLR0917 (typer reads them as options, never by position)
    name: Annotated[str, typer.Option(help="What lists call the key.")] = "key",
    account: Account = None,
    expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="End of its life, in UTC.")
    ] = None,
    limit: Annotated[str | None, typer.Option(help="Credits that it may spend in a calendar month (UTC).")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="A scope it has; repeatable; all if none is given.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model it may use; repeatable; all if none.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print its secret, which is shown only now."""
    fields: keys.KeyFields = {
        "expires_at": expires.replace(tzinfo=UTC) if expires else None,
        "spending_limit": parse_credits(limit) if limit else None,
        "scopes": scope or None,
        "allowed_models": model or None,
    }

    async def work(engine: AsyncEngine) -> tuple[keys.Key, str]:
        async with engine.begin() as connection:
            owner = await owner_of(connection, account)
            return await keys.create(connection, owner, name=name, **fields)

    made, secret = in_database(load_settings(), work)
    if as_json:
        print_json(_described(made) | {"key": secret})
    else:
        typer.echo(secret)


@commands.command("list")
def list_keys(account: Account = None, as_json: Json = False) -> None:
    """List an account's keys, newest first."""

    async def work(engine: AsyncEngine) -> list[keys.Key]:
        found: list[keys.Key] = []
        async with engine.connect() as connection:
            owner = await owner_of(connection, account)
            cursor: str | None = None
            while True:
                page = await keys.list_page(connection, owner, limit=keys.LONGEST_PAGE, cursor=cursor)
                found.extend(page.keys)
                cursor = page.next_cursor
                if cursor is None:
                    return found

    rows = [_described(found) for found in in_database(load_settings(), work)]
    if as_json:
        print_json(rows)
        return
    headings = ["id", "name", "preview", "spendingLimit", "expiresAt", "disabledAt", "lastUsedAt"]
    print_table(headings, [[row[heading] for heading in headings] for row in rows])


@commands.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id (`hypereal key list`).")], account: Account = None
) -> None:
    """Delete a key for good; servers refuse it within a second."""

    async def work(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            await keys.revoke(connection, key_id, account_id=await owner_of(connection, account))

    in_database(load_settings(), work)
    typer.echo(f"{key_id} is revoked")


async def owner_of(connection: AsyncConnection, account: str | None) -> str:
    """The id of the given account, or of the first one; raises `NotFound`."""
    if account is not None:
        return (await accounts.get(connection, account)).id
    first = await accounts.find_first(connection)
    if first is None:
        raise NotFound("There is no account yet: start the server once with `hypereal serve`")
    return first.id


def _described(key: keys.Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "account": key.account_id,
        "name": key.name,
        "preview": key.preview,
        "scopes": key.scopes,
        "allowedModels": key.allowed_models,
        "spendingLimit": None if key.spending_limit is None else credits_text(key.spending_limit),
        "expiresAt": key.expires_at,
        "disabledAt": key.disabled_at,
        "createdAt": key.created_at,
        "lastUsedAt": key.last_used_at,
    }
