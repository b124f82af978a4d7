"""What every format agrees on: endpoints, envelopes, usage, answers. Pure: no I/O, no clock, no price.

A *dialect* is one wire format as a client speaks it and an upstream answers it. When both sides speak the same one the
client's bytes are forwarded with only `model` changed, so nothing here models a whole body: an `Envelope` is the raw
bytes and the few fields that routing and money need.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from hypereal.errors import HyperealError
from hypereal.kit.money import Micro

Renames = tuple[tuple[str, str], ...]


class Family(StrEnum):
    """The shape of an error body (api.md section 3)."""

    NATIVE = "native"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


class Kind(StrEnum):
    """What a model is asked to do; a model serves the endpoints of its kinds."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One inference path: which format it speaks, what it asks of a model, how its errors look."""

    path: str
    kind: Kind
    dialect: str
    family: Family
    stream_default: bool = False


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens of one answer in disjoint kinds: their sum is the whole, and each has its own rate.

    `input` excludes cache reads and writes; `output` excludes `reasoning`.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def input_total(self) -> int:
        return self.input + self.cache_read + self.cache_write

    @property
    def output_total(self) -> int:
        return self.output + self.reasoning


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was learned from an upstream's answer, whole or as far as it came.

    `usage` is None when the upstream reported none, which is not the same as zero. `error` is an error object found in
    a body that claimed success. `output_bytes` is the size of the generated text and calls, to estimate from.
    `is_complete` says that the answer's own terminal event was seen.
    """

    usage: Usage | None = None
    is_empty: bool = False
    error: str | None = None
    output_bytes: int = 0
    is_complete: bool = False


class Garbage(Exception):
    """An upstream's body is not what its format promises; the attempt failed and another target may do better."""


class Envelope(msgspec.Struct, kw_only=True):
    """A parsed request: the client's bytes and what routing and money read from them.

    `max_output_tokens` is None when the client set no limit. `shows_usage` is false only when the client turned usage
    off aloud. `input_estimate` counts tokens generously (it sizes the hold; the charge comes from the upstream).
    """

    endpoint: Endpoint
    model: str | None
    stream: bool
    max_output_tokens: int | None
    choices: int
    shows_usage: bool
    input_estimate: int
    body: bytes
    fields: dict[str, msgspec.Raw]
    intent: str | None = None


class Dialect(Protocol):
    """A wire format. Implementations are stateless; all arguments are bytes or values."""

    def parse(self, endpoint: Endpoint, body: bytes) -> Envelope | HyperealError:
        """Read a client's body; a malformed one is a refusal naming the field."""
        ...

    def build(self, envelope: Envelope, model: str, *, drop: frozenset[str], rename: Renames) -> bytes:
        """The body for an upstream of this format: the client's fields, `model` replaced, usage asked for, and what
        the upstream refuses dropped or (given, taken) renamed."""
        ...

    def read_answer(self, body: bytes) -> Answer:
        """Fold a whole (non-stream) answer; raises `Garbage` when it is not one."""
        ...

    def render_answer(self, envelope: Envelope, body: bytes, answer: Answer, charged: Micro) -> bytes:
        """The body for the client, who is charged so much."""
        ...

    def stream(self, envelope: Envelope) -> StreamDialect:
        """The reading and writing of a stream for this request."""
        ...


class StreamDialect(Protocol):
    """A format's stream grammar, for one request. All payloads are server-sent events without HTTP framing."""

    terminal: bytes
    """What the data of the last event contains; nothing of the answer follows it."""

    rewrites_events: bool
    """Whether `edit` must see each event; false lets the bytes pass as they come."""

    def opening(self, payload: bytes) -> str | None:
        """Whether the stream has really begun: None while it has not, "" once a real event is there, else the error
        that came in its place. Raises `Garbage` for an event that is not of this format."""
        ...

    def find_usage(self, data: bytes) -> Usage | None:
        """The usage reported last in `data`, which may still carry HTTP chunk framing; None when there is none, or when
        the framing may cut through it: `read` on the payload then knows."""
        ...

    def edit(self, event: bytes) -> bytes:
        """One whole event (with its blank line) as the client shall see it; empty to withhold it."""
        ...

    def read(self, kept: bytes, total_bytes: int) -> Answer:
        """Fold what came. `kept` is the end of the stream (all of it, when short) and `total_bytes` the size of the
        whole, so that what is no longer kept can be estimated in proportion."""
        ...

    def closing(self, answer: Answer, usage: Usage, charged: Micro) -> bytes:
        """Events to send before the terminal one: usage when the upstream sent none, what the format adds of ours."""
        ...
