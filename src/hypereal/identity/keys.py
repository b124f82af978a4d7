"""API keys: made, listed, changed, switched off, revoked. Only a hash of the secret is ever stored.

Every function takes the caller's connection and leaves the commit to the caller; with the commit every process hears of
the change (`identity.changes`). A key of another account does not exist, as far as the caller can tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import Row, delete, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hypereal.errors import Conflict, InvalidRequest, NotFound
from hypereal.identity.accounts import CEILINGS
from hypereal.identity.changes import Change, notify
from hypereal.identity.fields import (
    build_cursor,
    check_ceiling,
    check_expiry,
    check_models,
    check_name,
    parse_cursor,
)
from hypereal.identity.principal import Limits
from hypereal.identity.scopes import parse_scopes
from hypereal.identity.tables import ApiKey
from hypereal.kit.ids import KEY_PREFIX, hash_key, is_plausible_id, new_id, new_key_secret
from hypereal.kit.money import Micro

SHORTEST_SECRET = len(KEY_PREFIX) + 40  # api.md section 2
LONGEST_PAGE = 100

_COLUMNS = tuple(column for column in ApiKey.__table__.columns if column.name != "digest")


class KeyFields(TypedDict, total=False):
    """What an owner may set on a key. `spending_limit` is micro-credits per calendar month (UTC).

    None takes a limit away; for `scopes` and `allowed_models` it allows all.
    """

    spending_limit: int | None
    auto_disable: bool
    expires_at: datetime | None
    scopes: Iterable[str] | None
    allowed_models: Iterable[str] | None
    requests_per_hour: int | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrency: int | None


class KeyChanges(KeyFields, total=False):
    """What an owner may change; `disabled` switches the key off and on again."""

    name: str
    disabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as lists show it, which is everything but its secret. `disabled_at` is None while it works."""

    id: str
    account_id: str
    name: str
    preview: str
    scopes: tuple[str, ...] | None
    allowed_models: tuple[str, ...] | None
    spending_limit: Micro | None
    auto_disable: bool
    limits: Limits
    expires_at: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPage:
    """One page of a list, newest first; `next_cursor` is None on the last."""

    keys: tuple[Key, ...]
    next_cursor: str | None


async def create(
    connection: AsyncConnection,
    account_id: str,
    *,
    name: str,
    secret: str | None = None,
    **fields: Unpack[KeyFields],
) -> tuple[Key, str]:
    """A new key and its secret, which is nowhere to be had again.

    `secret` brings one's own (`HYPEREAL_BOOTSTRAP_KEY`). Raises `InvalidRequest` naming the field, `Conflict` when that
    secret is in use, `NotFound` for an unknown account.
    """
    secret = new_key_secret() if secret is None else _checked_secret(secret)
    digest = hash_key(secret.encode())
    values = {
        "id": new_id("key"),
        "account_id": account_id,
        "name": check_name(name),
        "digest": digest,
        "preview": f"{secret[:7]}…{secret[-4:]}",
        **_checked(fields),
    }
    try:
        async with connection.begin_nested():
            result = await connection.execute(insert(ApiKey).values(values).returning(*_COLUMNS))
    except IntegrityError as exc:
        diagnosis = getattr(exc.orig, "diag", None)
        if getattr(diagnosis, "constraint_name", None) == "uq_api_keys_digest":
            raise Conflict("This key exists already") from None
        raise NotFound("Account not found") from None
    key = _key(result.one())
    await notify(connection, Change(kind="key", id=key.id, digest=digest.hex()))
    return key, secret


async def find_by_secret(connection: AsyncConnection, secret: str) -> Key | None:
    """The key with this secret, whatever its state; None when there is none."""
    statement = select(*_COLUMNS).where(ApiKey.digest == hash_key(secret.encode()))
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _key(row)


async def get(connection: AsyncConnection, key_id: str, *, account_id: str) -> Key:
    """Raises `NotFound`."""
    if is_plausible_id(key_id):
        statement = select(*_COLUMNS).where(ApiKey.id == key_id, ApiKey.account_id == account_id)
        row = (await connection.execute(statement)).one_or_none()
        if row is not None:
            return _key(row)
    raise NotFound("Key not found")


async def list_page(
    connection: AsyncConnection, account_id: str, *, limit: int = 50, cursor: str | None = None
) -> KeyPage:
    """The account's keys, newest first. Raises `InvalidRequest` for a limit or a cursor that cannot be."""
    if not 1 <= limit <= LONGEST_PAGE:
        raise InvalidRequest(f"limit must be between 1 and {LONGEST_PAGE}", param="limit")
    statement = select(*_COLUMNS).where(ApiKey.account_id == account_id)
    if cursor is not None:
        statement = statement.where(tuple_(ApiKey.created_at, ApiKey.id) < tuple_(*parse_cursor(cursor)))
    ordered = statement.order_by(ApiKey.created_at.desc(), ApiKey.id.desc()).limit(limit + 1)
    keys = tuple(_key(row) for row in await connection.execute(ordered))
    if len(keys) <= limit:
        return KeyPage(keys=keys, next_cursor=None)
    last = keys[limit - 1]
    return KeyPage(keys=keys[:limit], next_cursor=build_cursor(last.created_at, last.id))


async def change(connection: AsyncConnection, key_id: str, *, account_id: str, **changes: Unpack[KeyChanges]) -> Key:
    """Set what is given and nothing else. Raises `NotFound`, or `InvalidRequest` naming the field."""
    values = _checked(changes)
    if "name" in changes:
        values["name"] = check_name(changes["name"])
    disabled = values.pop("disabled", None)
    if disabled is not None:
        values["disabled_at"] = func.coalesce(ApiKey.disabled_at, func.now()) if disabled else None
        values["disabled_reason"] = func.coalesce(ApiKey.disabled_reason, "by its owner") if disabled else None
    if not values:
        return await get(connection, key_id, account_id=account_id)
    if not is_plausible_id(key_id):
        raise NotFound("Key not found")
    statement = update(ApiKey).where(ApiKey.id == key_id, ApiKey.account_id == account_id).values(values)
    row = (await connection.execute(statement.returning(*ApiKey.__table__.columns))).one_or_none()
    if row is None:
        raise NotFound("Key not found")
    await notify(connection, Change(kind="key", id=key_id, digest=row.digest.hex()))
    return _key(row)


async def revoke(connection: AsyncConnection, key_id: str, *, account_id: str) -> None:
    """Delete the key for good; what it did stays in the log and the ledger. Raises `NotFound`."""
    if not is_plausible_id(key_id):
        raise NotFound("Key not found")
    statement = delete(ApiKey).where(ApiKey.id == key_id, ApiKey.account_id == account_id).returning(ApiKey.digest)
    digest = (await connection.execute(statement)).scalar_one_or_none()
    if digest is None:
        raise NotFound("Key not found")
    await notify(connection, Change(kind="key", id=key_id, digest=digest.hex()))


async def disable(connection: AsyncConnection, key_id: str, *, reason: str, only_automatic: bool = False) -> bool:
    """Switch a key off on the system's behalf, whoever owns it; whether that changed anything.

    `only_automatic` spares the keys whose owner did not ask for it (`auto_disable`).
    """
    statement = update(ApiKey).where(ApiKey.id == key_id, ApiKey.disabled_at.is_(None))
    if only_automatic:
        statement = statement.where(ApiKey.auto_disable)
    statement = statement.values(disabled_at=func.now(), disabled_reason=reason)
    digest = (await connection.execute(statement.returning(ApiKey.digest))).scalar_one_or_none()
    if digest is None:
        return False
    await notify(connection, Change(kind="key", id=key_id, digest=digest.hex()))
    return True


def _checked_secret(secret: str) -> str:
    if not secret.startswith(KEY_PREFIX) or len(secret) < SHORTEST_SECRET or not secret.isascii() or " " in secret:
        raise InvalidRequest("a key's secret is ck_ and at least 40 more characters", param="secret")
    return secret


def _checked(fields: KeyFields | KeyChanges) -> dict[str, Any]:
    values: dict[str, Any] = dict(fields)
    if "spending_limit" in fields:
        values["spending_limit"] = check_ceiling(fields["spending_limit"], param="spendingLimit")
    if "expires_at" in fields:
        values["expires_at"] = check_expiry(fields["expires_at"])
    if "scopes" in fields:
        values["scopes"] = parse_scopes(fields["scopes"])
    if "allowed_models" in fields:
        values["allowed_models"] = check_models(fields["allowed_models"])
    for column, param in CEILINGS.items():
        if column in values:
            values[column] = check_ceiling(values[column], param=param)
    return values


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        preview=row.preview,
        scopes=None if row.scopes is None else tuple(row.scopes),
        allowed_models=None if row.allowed_models is None else tuple(row.allowed_models),
        spending_limit=row.spending_limit,
        auto_disable=row.auto_disable,
        limits=Limits(**{column: getattr(row, column) for column in CEILINGS}),
        expires_at=row.expires_at,
        disabled_at=row.disabled_at,
        disabled_reason=row.disabled_reason,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )
