"""What every format agrees on: endpoints, envelopes, usage, answers. Pure: no I/O, no clock, no price.

A *dialect* is one wire format as a client speaks it and an upstream answers it. When both sides speak the same one the
client's bytes are forwarded with only `model` changed, so nothing here models a whole body: an `Envelope` is the raw
bytes and the few fields that routing and money need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from hypereal.errors import HyperealError
from hypereal.kit.money import Micro

Renames = tuple[tuple[str, str], ...]

EVENT_STREAM = b"text/event-stream; charset=utf-8"
"""The content type of a stream of server-sent events."""


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
    COUNT = "count"
    """Counting the tokens of a chat request: free, and served by every chat model."""
    COMPACT = "compact"
    """Making a shorter history of a Responses conversation: only its own provider's models do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One inference path: which format it speaks, what it asks of a model, how its errors look.

    A path may hold `{model}`, which then names the model in place of the body. `headers` are those of the request that
    its dialect reads, in lower case. `goes_on` says that a request may go on from a stored response, `has_socket` that
    the endpoint is served over WebSocket as well.
    """

    path: str
    kind: Kind
    dialect: str
    family: Family
    stream_default: bool = False
    headers: tuple[bytes, ...] = ()
    goes_on: bool = False
    has_socket: bool = False


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says outside its body: the model in its path, its query, the headers its endpoint asks for.

    `went_on_from` is the response that a request goes on from, once all that led to it has been written into the body.
    """

    model: str | None = None
    query: bytes = b""
    headers: Mapping[bytes, bytes] = {}
    went_on_from: str | None = None


BARE = Context()
"""The context of a request that says everything in its body."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens of one answer in disjoint kinds: their sum is the whole, and each has its own rate.

    `input` excludes cache reads and writes; `cache_write` excludes `cache_write_1h`, what is kept for an hour;
    `output` excludes `reasoning`.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def input_total(self) -> int:
        return self.input + self.cache_read + self.cache_write + self.cache_write_1h

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
    `headers` go to an upstream of the same format. `session` tells the requests of one session from those of others;
    they are best served by the upstream that holds their cache. `request_id` and `at` (seconds since the epoch) are
    for answers that must name themselves and their time; `went_on_from` is that of the `Context`. `dropped` names what
    the last body that was built left out, `custom_tools` the tools in it that the client declared as custom ones.
    `as_array` says that a stream is wanted as one JSON array of chunks, which Gemini's clients get unless they ask for
    events.
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
    headers: tuple[tuple[str, str], ...] = ()
    session: str | None = None
    request_id: str = ""
    at: int = 0
    went_on_from: str | None = None
    dropped: tuple[str, ...] = ()
    custom_tools: frozenset[str] = frozenset()
    as_array: bool = False


class Dialect(Protocol):
    """A wire format as both sides speak it, or a pair of formats (`translate`). Implementations are stateless."""

    def parse(self, endpoint: Endpoint, body: bytes, context: Context = BARE) -> Envelope | HyperealError:
        """Read a client's body; a malformed one is a refusal naming the field."""
        ...

    def build(self, envelope: Envelope, model: str, *, drop: frozenset[str], rename: Renames) -> bytes:
        """The body for an upstream of this format: the client's fields, `model` replaced, usage asked for, and what
        the upstream refuses dropped or (given, taken) renamed."""
        ...

    def read_answer(self, body: bytes) -> Answer:
        """Fold a whole (non-stream) answer; raises `Garbage` when it is not one."""
        ...

    def render_answer(self, envelope: Envelope, body: bytes, usage: Usage, charged: Micro) -> bytes:
        """The body for the client, who has used and is charged so much."""
        ...

    def stream(self, envelope: Envelope) -> StreamDialect:
        """The reading and writing of a stream for this request."""
        ...


class Counter(Dialect, Protocol):
    """The dialect of an endpoint that counts tokens."""

    def render_count(self, tokens: int) -> bytes:
        """The answer for a count of our own, where no upstream can count."""
        ...


class StreamReading(Protocol):
    """How the stream of an upstream is understood. All payloads are server-sent events without HTTP framing."""

    terminal: bytes
    """What the data of the last event contains; nothing of the answer follows it. Empty where the end of the body is
    the end of the answer."""

    def is_terminal(self, data: bytes) -> bool:
        """Whether this event, whose data contains `terminal`, is the last one."""
        ...

    def opening(self, payload: bytes) -> str | None:
        """Whether the stream has really begun: None while it has not, "" once a real event is there, else the error
        that came in its place. Raises `Garbage` for an event that is not of this format."""
        ...

    def find_usage(self, data: bytes) -> Usage | None:
        """The usage reported last in `data`, which may still carry HTTP chunk framing; None when there is none, or when
        the framing may cut through it: `read` on the payload then knows."""
        ...

    def read(self, kept: bytes, total_bytes: int) -> Answer:
        """Fold what came. `kept` is the end of the stream (all of it, when short) and `total_bytes` the size of the
        whole, so that what is no longer kept can be estimated in proportion."""
        ...


class StreamWriting(Protocol):
    """How the stream becomes the client's."""

    rewrites_events: bool
    """Whether `edit` must see each event; false lets the bytes pass as they come."""

    has_failed: bool
    """Whether `edit` has found an event that cannot be read, or that says that the upstream gave up."""

    content_type: bytes

    ping: bytes
    """What keeps a silent stream alive, legal in its format at any moment."""

    def edit(self, event: bytes) -> bytes:
        """One whole event of the upstream (with its blank line) as the client shall see it; empty to withhold it."""
        ...

    @property
    def edit_run(self) -> Callable[[bytes, int], tuple[bytes, int]] | None:
        """Edits as many events as it can at once: given a payload and where to begin, what they become and where to go
        on with `edit`. None where each event has to be edited by itself."""
        ...

    def close(self, tail: bytes, answer: Answer, usage: Usage, charged: Micro) -> bytes:
        """The end of a whole stream. `tail` are the events that were kept back, the upstream's terminal one last."""
        ...

    def break_off(self, error: HyperealError, request_id: str) -> bytes:
        """The end of a stream that broke: the client must not take what it got for a success."""
        ...


class StreamDialect(StreamReading, StreamWriting, Protocol):
    """Both sides of a stream, for one request."""
