"""What the JSON of the management API has in common: camelCase names, credits as numbers, bounded text."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from hypereal.kit.money import CREDITS_PER_DOLLAR, MICRO_PER_CREDIT, credits_number

Number = int | float
"""A number as JSON shows it, made from an integer of micro-credits at the last moment."""

Credits = Annotated[Number, BeforeValidator(credits_number)]
"""Micro-credits on the way in, credits on the way out."""


def dollars_number(amount: int) -> Number:
    """Micro-credits as the JSON number of US dollars; whole amounts stay integers."""
    whole, fraction = divmod(amount, MICRO_PER_CREDIT * CREDITS_PER_DOLLAR)
    return amount / (MICRO_PER_CREDIT * CREDITS_PER_DOLLAR) if fraction else whole


UNSTORABLE = frozenset({"Cc", "Cs"})  # control characters, lone surrogates


def _storable(text: str) -> str:
    if any(unicodedata.category(character) in UNSTORABLE for character in text):
        raise ValueError("must not contain control characters")
    return text


Text = Annotated[str, AfterValidator(_storable)]
"""Text of a client that may go to the database: PostgreSQL takes no NUL, and people's eyes no control characters."""


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("must lie in the years 1 to 9999 of UTC") from exc


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A moment that says its zone, in UTC: what has no place there would be an error of the database's."""


class Shape(BaseModel):
    """The base of bodies and answers. Values may come from the attributes of a domain's own objects."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True, extra="ignore")


class NativeError(BaseModel):
    """How native and management routes refuse (api.md section 3). Some codes add fields of their own."""

    error: str = Field(examples=["Unauthorized. Please log in..."])
    message: str = Field(description="The same text", examples=["Unauthorized. Please log in..."])
    code: str = Field(examples=["unauthorized"])
    param: str | None = Field(default=None, description="The field at fault")


class OpenAIErrorDetail(BaseModel):
    type: str = Field(examples=["not_found_error"])
    message: str
    code: str = Field(examples=["model_not_found"])
    param: str | None


class OpenAIError(BaseModel):
    """How OpenAI-shaped routes refuse."""

    error: OpenAIErrorDetail


# Says in the OpenAPI document what refusals look like, and keeps the framework's own 422, which never happens, out.
NATIVE_REFUSALS: Mapping[int | str, dict[str, Any]] = MappingProxyType(
    {"4XX": {"model": NativeError, "description": "Refused; `message` says why"}}
)
OPENAI_REFUSALS: Mapping[int | str, dict[str, Any]] = MappingProxyType(
    {"4XX": {"model": OpenAIError, "description": "Refused; `error.message` says why"}}
)
