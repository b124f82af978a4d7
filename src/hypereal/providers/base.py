"""What an upstream needs said in its own way: where to send, how to sign, what a failure means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from hypereal.catalog.types import Target
from hypereal.wire.base import Kind


class FailureKind(StrEnum):
    """Why an attempt failed; decides what happens next.

    `CREDENTIALS` is anything between this server and the provider: a bad key, an unpaid account, a region that is not
    served. `MISSING` is a model or deployment that the provider does not have.
    """

    CONNECT = "connect"
    TIMEOUT = "timeout"
    RESET = "reset"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    GARBAGE = "garbage"
    EMPTY = "empty"
    CREDENTIALS = "credentials"
    MISSING = "missing"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failed attempt.

    `retry_same` allows another try on the same target, `try_next` the next target; a `REJECTED` request is the
    client's own fault and ends at once with `status` and `message`. `message` is for the client: clean text, never an
    upstream's page. `detail` is what the provider said, cut and without secrets, for the operator's log only.
    `retry_after_s` is how long the provider asks to be left alone.
    """

    kind: FailureKind
    message: str
    status: int = 502
    retry_same: bool = False
    try_next: bool = True
    retry_after_s: float | None = None
    code: str | None = None
    param: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a target's requests go: parsed once, used for every request. `headers` are ready for the socket,
    with the upstream's credentials in them, so an address is never printed."""

    scheme: str
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"Address({self.scheme}://{self.host}:{self.port}{self.path})"


class Adapter(Protocol):
    """Speaks to one kind of upstream; stateless."""

    def address(self, target: Target, kind: Kind) -> Address:
        """Where requests of `kind` for this target go, and with which headers."""
        ...

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """What an answer other than 2xx means. `headers` have lower-case names."""
        ...
