"""The rows of a catalogue file as they are written: which fields there are, and what a well-formed value is.

A row is checked on its own here; what rows say about one another is `links`' business, and the values that the rest
of the product uses are built by `load`.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hypereal.kit.money import parse_credits, parse_rate

KindName = Literal["chat", "completion", "embedding"]
DialectName = Literal["openai_chat", "openai_responses", "anthropic", "gemini"]
CHAT_FORMATS: tuple[DialectName, ...] = ("openai_chat", "openai_responses", "anthropic", "gemini")
ProvenanceName = Literal["contract", "public list", "operator"]

OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "user-agent",
    }
)
"""Headers of an outgoing request that a row cannot set."""


def _rate(text: str) -> str:
    if parse_rate(text) < 0:
        raise ValueError("a price cannot be negative")
    return text


def _credits(text: str) -> str:
    if parse_credits(text) < 0:
        raise ValueError("a price cannot be negative")
    return text


def _name(text: str) -> str:
    if not text or text != text.strip() or not text.isprintable():
        raise ValueError("must be a name without surrounding spaces or control characters")
    return text


def variables(text: str) -> tuple[str, ...]:
    """The environment variables that a text mentions as `${NAME}`; ValueError for a stray dollar sign."""
    template = string.Template(text)
    if not template.is_valid():
        raise ValueError("a dollar sign must introduce a variable, as in ${NAME}")
    return tuple(template.get_identifiers())


def check_url(text: str) -> str:
    """`text` without trailing slashes; ValueError when it is no absolute http(s) URL that a path can be added to."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password")
    if parts.query or parts.fragment:
        raise ValueError("must not hold a query or a fragment")
    if parts.port == 0:
        raise ValueError("port 0 cannot be connected to")
    return text.rstrip("/")


def _url(text: str) -> str:
    return text if variables(text) else check_url(text)


def _header_name(text: str) -> str:
    if text.lower() in OWN_HEADERS:
        raise ValueError(f"the header {text!r} is set by the server")
    return text


def _header_value(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ValueError("must be printable ASCII")
    return text


def _target(text: str) -> str:
    upstream, colon, model = text.partition(":")
    if not (upstream and colon and model):
        raise ValueError(f"{text!r} must read upstream:model")
    return text


Name = Annotated[str, AfterValidator(_name)]
RateText = Annotated[str, AfterValidator(_rate)]
CreditsText = Annotated[str, AfterValidator(_credits)]
Url = Annotated[str, AfterValidator(_url)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"), AfterValidator(_header_name)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
TargetText = Annotated[str, AfterValidator(_target)]
Tokens = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


R = TypeVar("R", bound=_Row)


class PriceRow(_Row):
    """US dollars for a million tokens as decimal text; `base` in credits. Kinds left out cost what their side does
    (`cache_write_1h`: see `load`)."""

    input: RateText
    output: RateText
    cache_read: RateText | None = None
    cache_write: RateText | None = None
    cache_write_1h: RateText | None = None
    reasoning: RateText | None = None
    base: CreditsText = "0"
    overrun: int = Field(default=4, ge=0)
    provenance: ProvenanceName = "public list"


class DiscoverRow(_Row):
    """What is assumed of a model that a local server has and no row describes."""

    price: PriceRow
    context_tokens: Tokens = 8192
    max_output_tokens: Tokens = 4096
    default_output_tokens: Tokens = 2048


class UpstreamRow(_Row):
    """`[[upstreams]]`; see `types.Upstream`."""

    id: Name
    name: str = ""
    base_url: Url
    adapter: str = "openai"
    key_env: str | None = None
    key_required: bool = True
    credentials: list[dict[str, str]] = []
    headers: dict[HeaderName, HeaderValue] = {}
    kinds: list[KindName] = ["chat"]
    dialects: list[DialectName] = Field(default=["openai_chat"], min_length=1)
    counts: list[DialectName] = []
    compacts: bool = False
    drop: list[str] = []
    rename: dict[str, str] = {}
    paths: dict[KindName | DialectName, str] = {}
    connect_timeout_s: Seconds = 5.0
    first_byte_timeout_s: Seconds = 120.0
    silence_timeout_s: Seconds = 60.0
    max_connections: int = Field(default=1000, gt=0)
    options: dict[str, str] = {}
    discover: DiscoverRow | None = None
    enabled: bool = True


class ModelRow(_Row):
    """`[[models]]`; see `types.Model`. A target reads `upstream:model name there`."""

    id: Name
    name: str = ""
    owner: Name = "operator"
    kinds: list[KindName] = Field(default=["chat"], min_length=1)
    dialects: list[DialectName] = Field(default=list(CHAT_FORMATS), min_length=1)
    price: PriceRow
    targets: list[TargetText] = Field(min_length=1)
    context_tokens: Tokens
    max_output_tokens: int = Field(ge=0)
    default_output_tokens: int | None = Field(default=None, ge=0)
    min_cache_tokens: int | None = Field(default=None, gt=0)
    capabilities: list[str] = []
    aliases: list[Name] = []
    fallbacks: list[str] = []
    disconnect: Literal["cancel", "drain"] = "cancel"
    drain_s: Seconds = 30.0
    enabled: bool = True


class IntentRow(_Row):
    """`[[intents]]`; see `types.Intent`."""

    id: Name
    description: str = ""
    models: list[str] = Field(min_length=1)
    enabled: bool = True


def _fault(error: Mapping[str, Any]) -> str:
    """One of pydantic's findings in our words."""
    place = ".".join(str(part) for part in error["loc"])
    match error["type"]:
        case "extra_forbidden":
            return f"unknown field {place!r}"
        case "missing":
            return f"{place!r} is missing"
        case _:
            return f"{place}: {str(error['msg']).removeprefix('Value error, ')}"


def read_row(shape: type[R], raw: Mapping[str, Any], label: str, *, faults: list[str]) -> R | None:
    """The row of this shape, or None after every fault of it was added to `faults` under `label`."""
    try:
        return shape.model_validate(raw)
    except ValidationError as problem:
        faults.extend(f"{label}: {_fault(error)}" for error in problem.errors(include_url=False, include_input=False))
        return None
