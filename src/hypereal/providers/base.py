"""What an upstream needs said in its own way: where to send, how to sign, what a failure means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from hypereal.catalog.types import Target
from hypereal.wire.base import Kind

Headers = tuple[tuple[str, str], ...]


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
class Prepared:
    """One request as it is sent: its headers, credentials among them, and its body."""

    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)


class Unframer(Protocol):
    """Turns a stream in another framing into server-sent events. One for each stream."""

    def feed(self, data: bytes) -> bytes:
        """The events that `data`, wherever it was cut, completes; raises `Garbage` for a frame that is not sound."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a target's requests go: parsed once, used for every request. `headers` are ready for the socket,
    with the upstream's credentials in them, so an address is never printed. `defaults` are headers that a client's own
    of the same name replaces."""

    scheme: str
    host: str
    port: int
    path: str
    headers: Headers
    defaults: Headers = ()

    def __repr__(self) -> str:
        return f"Address({self.scheme}://{self.host}:{self.port}{self.path})"


class Adapter(Protocol):
    """Speaks to one kind of upstream."""

    signs: bool
    """Whether `prepare` must see each request: what it needs depends on its body, or on the time."""

    def address(self, target: Target, kind: Kind, *, dialect: str, stream: bool) -> Address:
        """Where requests of `kind` in a format go for this target, and with which headers."""
        ...

    def prepare(self, target: Target, *, path: str, headers: Headers, body: bytes) -> Prepared | Failure:
        """A request made ready for this upstream; never waits.

        `headers` are the address's and those that go with this request, in lower case; what is returned replaces them.
        A failure says why it cannot be asked now.
        """
        ...

    def unframer(self) -> Unframer | None:
        """For one stream that is not made of server-sent events; None where streams are."""
        ...

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """What an answer other than 2xx means. `headers` have lower-case names."""
        ...
