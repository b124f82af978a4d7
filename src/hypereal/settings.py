"""What an operator can set: environment variables over the `[server]` table of hypereal.toml over the defaults.

`load_settings` is called once in a process, by its entry point, and the result is handed on; nothing imports a global.
The other tables of hypereal.toml are the catalogue's (docs/catalogue.md).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
)

from hypereal.db.engine import open_sync_engine
from hypereal.kit.ids import KEY_PREFIX
from hypereal.kit.money import Micro, credits_text, parse_credits

PREFIX = "HYPEREAL_"
DEFAULT_FILE = Path("hypereal.toml")
KEY = re.compile(KEY_PREFIX + r"[A-Za-z0-9_-]{40,200}")  # api.md section 2
FIRST_START_ONLY = frozenset({"bootstrap_key", "bootstrap_credits"})
"""What only the process that prepares the database needs; it is not handed to its children."""


class SettingsError(Exception):
    """The settings cannot be used; `faults` says everything that is wrong, a sentence each, no secret in any."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def _credits(value: object) -> object:
    """Credits as a whole number or as decimal text; TOML's fractions are binary and would not be exact."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('credits are a whole number or decimal text such as "0.5"')
    amount = parse_credits(str(value))
    if amount < 0:
        raise ValueError("credits cannot be negative here")
    return amount


def _key(value: SecretStr) -> SecretStr:
    if not KEY.fullmatch(value.get_secret_value()):
        raise ValueError("a key is ck_ and at least 40 more letters, digits, _ or -")
    return value


def _database(value: SecretStr) -> SecretStr:
    try:
        open_sync_engine(value.get_secret_value()).dispose()
    except ValueError as exc:
        raise ValueError(str(exc)) from None
    except Exception:  # noqa: BLE001 - SQLAlchemy's own errors quote the address, password and all
        raise ValueError("not the address of a PostgreSQL database (postgresql://user:password@host/name)") from None
    return value


def _public_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an address such as https://ai.example.com")
    return value.rstrip("/")


def _level(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Credits = Annotated[Micro, BeforeValidator(_credits), PlainSerializer(credits_text)]
Ceiling = Annotated[int, Field(ge=1)] | None
Seconds = Annotated[float, Field(gt=0, le=86_400 * 365, allow_inf_nan=False)]
Secret = SecretStr | None


class Settings(BaseModel):
    """One attribute for each setting; `home` and `config` are absolute. Amounts are micro-credits, secrets are hidden.

    The environment variable of a setting is its name in capitals after `HYPEREAL_`; `database_url` is `DATABASE_URL`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path = Field(
        default=Path(".hypereal"), description="Directory of the data, the journals and the embedded database"
    )
    config: Path | None = Field(
        default=None,
        description="The operator's TOML file; `./hypereal.toml` is used when there is one. Only a variable",
    )
    database_url: Annotated[SecretStr, AfterValidator(_database)] | None = Field(
        default=None,
        description="PostgreSQL 15 or newer (`postgresql://user:password@host/name`); unset: the embedded one",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on; `0.0.0.0` for all")
    port: int = Field(
        default=8080, ge=1, le=65_535, description="Port to listen on; unset: 8080, or the next that is free"
    )
    public_url: Annotated[str, AfterValidator(_public_url)] | None = Field(
        default=None, description="Address at which clients reach this server, when it is behind a proxy"
    )
    workers: int = Field(
        default=1, ge=1, le=256, description="Processes that answer HTTP; one per core is a good choice"
    )
    hot_lane: bool = Field(default=True, description="Serve inference beside ASGI, at about twice its rate")
    bootstrap_key: Annotated[SecretStr, AfterValidator(_key)] | None = Field(
        default=None, description="API key of the first account; unset: one is made and printed at the first start"
    )
    bootstrap_credits: Credits = Field(
        default=Micro(10_000_000_000), description="Credits granted to the first account"
    )
    sandbox: Literal["auto", "on", "off"] = Field(
        default="auto", description="Built-in upstream that invents answers: `auto` while no real one is configured"
    )
    default_chat_model: str = Field(
        default="dolphin", min_length=1, description="Model of `/v1/chat` when none is named"
    )
    minimum_balance: Credits = Field(
        default=Micro(200_000_000), description="Credits an account must have available for a request billed by tokens"
    )
    body_limit_bytes: ByteSize = Field(
        default=ByteSize(64 * 1024**2), ge=1024, description="Largest request body; `64MiB` may be written as well"
    )
    requests_per_hour: Annotated[int, Field(ge=1)] = Field(
        default=1000, description="Requests an account may make in any hour, unless it has a limit of its own"
    )
    requests_per_minute: Ceiling = Field(default=None, description="The same for any minute; unset: no limit")
    tokens_per_minute: Ceiling = Field(
        default=None, description="Tokens an account may use in any minute; unset: no limit"
    )
    concurrency: Ceiling = Field(default=None, description="Requests of an account in flight at once; unset: no limit")
    response_retention_days: int = Field(
        default=30, ge=1, le=36_500, description="Days that answers of the Responses API are kept for later requests"
    )
    usage_retention_days: int = Field(default=90, ge=1, le=36_500, description="Days that the request log is kept")
    cross_format: bool = Field(
        default=False, description="Serve any language model on any language endpoint by translation"
    )
    keep_alive_s: Seconds = Field(default=75, description="Seconds an idle client connection is kept open")
    shutdown_grace_s: Seconds = Field(
        default=30, description="Seconds that answers in progress have to finish at a stop"
    )
    lease_ttl_s: Annotated[float, Field(ge=10)] = Field(
        default=3600, description="Seconds after which credits set aside by a host that vanished are given back"
    )
    journal_limit_bytes: ByteSize = Field(
        default=ByteSize(4 * 1024**3),
        ge=64 * 1024**2,
        description="Settlements kept on disk while the database is away; beyond it requests are refused",
    )
    metrics_token: Secret = Field(
        default=None, min_length=8, description="Bearer token that `/metrics` asks for; unset: none"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_level)] = Field(
        default="info", description="Least severity that is logged"
    )
    log_format: Literal["console", "json"] = Field(default="console", description="Form of the log, on standard error")

    @property
    def port_given(self) -> bool:
        """Whether the operator chose the port, so that no other will do."""
        return "port" in self.model_fields_set

    def environment(self) -> dict[str, str]:
        """The variables from which a child process reads these same settings."""
        values: dict[str, str] = {}
        for name, value in self.model_dump(exclude_none=True, exclude=set(FIRST_START_ONLY)).items():
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            values[variable_of(name)] = str(int(plain) if isinstance(plain, bool) else plain)
        return values


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return "DATABASE_URL" if name == "database_url" else PREFIX + name.upper()


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The settings of this process; raises `SettingsError` with every fault.

    `overrides` come from the command line and win; those that are None count as not given.
    """
    environment = os.environ if environment is None else environment
    faults: list[str] = []
    file = _file(environment, faults)
    values = _server_table(file, faults) if file else {}
    sources = dict.fromkeys(values, str(file))
    for name in Settings.model_fields:
        if (text := environment.get(variable_of(name), "")) != "":
            values[name], sources[name] = text, ""
    values |= {name: value for name, value in overrides.items() if value is not None}
    values["home"] = Path(values.get("home", ".hypereal")).expanduser().absolute()
    values["config"] = file
    try:
        settings = Settings.model_validate(values)
    except ValidationError as problem:
        faults += [_sentence(fault, sources) for fault in problem.errors(include_input=False, include_url=False)]
    if faults:
        raise SettingsError(list(dict.fromkeys(faults)))
    return settings


def _file(environment: Mapping[str, str], faults: list[str]) -> Path | None:
    given = environment.get(PREFIX + "CONFIG", "")
    path = Path(given).expanduser() if given else DEFAULT_FILE
    if path.is_file():
        return path.absolute()
    if given:
        faults.append(f"{PREFIX}CONFIG: there is no file {given}")
    return None


def _server_table(file: Path, faults: list[str]) -> dict[str, Any]:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")).get("server", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        faults.append(f"{file}: {exc}")
        return {}
    if not isinstance(table, dict):
        faults.append(f"{file}: server must be a table")
        return {}
    if "config" in table:
        faults.append(f"{file}: [server] config: only the variable {PREFIX}CONFIG names the file")
    return {name: value for name, value in table.items() if name != "config"}


def _sentence(fault: Any, sources: Mapping[str, str]) -> str:
    """One fault in the operator's terms: where it was written, and what is wrong; values are not repeated."""
    name = str(fault["loc"][0]) if fault["loc"] else "settings"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "there is no such setting"
    file = sources.get(name)
    return f"{file}: [server] {name}: {message}" if file else f"{variable_of(name)}: {message}"
