"""Checking what people may set on accounts and keys. Every fault names the field as the API spells it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.kit.ids import is_plausible_id

LONGEST_NAME = 200
MOST_MODELS = 1000
LARGEST_NUMBER = 2**63 - 1
LATEST_EXPIRY = datetime(3000, 1, 1, tzinfo=UTC)
"""Far enough for "never in practice", and well before the last moment that the database and Python can tell."""


def check_name(value: str, *, param: str = "name") -> str:
    """A name without surrounding blanks: 1 to 200 characters, none of them a control character."""
    name = value.strip()
    if not name or len(name) > LONGEST_NAME:
        raise InvalidRequest(f"{param} must have 1 to {LONGEST_NAME} characters", param=param)
    if any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF or ord(character) == 127 for character in name):
        raise InvalidRequest(f"{param} must not contain control characters", param=param)
    return name


def check_ceiling(value: int | None, *, param: str) -> int | None:
    """A positive whole number that fits the database, or None for no ceiling."""
    if value is not None and value < 1:
        raise InvalidRequest(f"{param} must be a positive number or null", param=param)
    if value is not None and value > LARGEST_NUMBER:
        raise InvalidRequest(f"{param} is too large", param=param)
    return value


def check_expiry(value: datetime | None, *, param: str = "expiresAt") -> datetime | None:
    """A moment in the future that says its zone, in UTC; None for never."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise InvalidRequest(f"{param} must say its time zone, like 2030-01-31T12:00:00Z", param=param)
    if value <= datetime.now(UTC):
        raise InvalidRequest(f"{param} must be in the future", param=param)
    if value >= LATEST_EXPIRY:
        raise InvalidRequest(f"{param} must be before the year {LATEST_EXPIRY.year}, or null for never", param=param)
    return value.astimezone(UTC)


def check_models(names: Iterable[str] | None, *, param: str = "allowedModels") -> list[str] | None:
    """Model ids without repeats; None allows every model. Whether the models exist is the catalogue's to say."""
    if names is None:
        return None
    models = list(dict.fromkeys(check_name(name, param=param) for name in names))
    if not 1 <= len(models) <= MOST_MODELS:
        raise InvalidRequest(f"{param} must name 1 to {MOST_MODELS} models, or be null for all of them", param=param)
    return models


def build_cursor(created_at: datetime, row_id: str) -> str:
    """An opaque mark of a row's place in a list ordered by time, then id."""
    packed = msgspec.json.encode((created_at, row_id))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def foreign_cursor(param: str = "cursor") -> InvalidRequest:
    """The refusal of a cursor that no list gave."""
    return InvalidRequest(f"{param} is not one that this list gave", param=param)


def parse_cursor(cursor: str, *, param: str = "cursor") -> tuple[datetime, str]:
    """What `build_cursor` made; raises `InvalidRequest` for anything else."""
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        created_at, row_id = msgspec.json.decode(packed, type=tuple[datetime, str])
    except (ValueError, binascii.Error, msgspec.MsgspecError) as exc:
        raise foreign_cursor(param) from exc
    if created_at.tzinfo is None or not is_plausible_id(row_id):
        raise foreign_cursor(param)
    return created_at, row_id
