"""Directives: how a request asks the sandbox to fail, or to answer in a particular shape.

`DIRECTIVES` is the one table of them; the parser, the documentation and its test all read it. A directive is given in a
message, `[[sandbox:status=503, retry-after=2]]`, or by a header, `x-sandbox-status: 503`; headers win.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from hypereal.sandbox.request import BadRequest

HEADER_PREFIX = "x-sandbox-"

_TRIGGER = re.compile(r"\[\[sandbox:([^\]]*)\]\]")

Form = Literal["flag", "integer", "seconds", "word"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """One row of the table. `default` is the value when none is written (None: one must be); bounds are inclusive.

    `is_failure` says whether `once` and `times` switch it off again.
    """

    name: str
    form: Form
    meaning: str
    default: str | None = None
    low: float = 0
    high: float = 0
    words: tuple[str, ...] = ()
    is_failure: bool = True

    @property
    def field(self) -> str:
        return self.name.replace("-", "_")

    def read(self, text: str) -> object:
        """The value of `text`; ValueError when it is not one."""
        if self.form == "flag":
            if text.lower() in ("", "1", "true", "yes", "on"):
                return True
            if text.lower() in ("0", "false", "no", "off"):
                return False
            raise ValueError("takes no value")
        if not text and self.default is not None:
            text = self.default
        if self.form == "word":
            if not text or (self.words and text not in self.words):
                raise ValueError(f"must be one of {', '.join(self.words)}" if self.words else "needs a value")
            return text
        value = float(text) if self.form == "seconds" else int(text)
        if not self.low <= value <= self.high:
            raise ValueError(f"must be from {self.low:g} to {self.high:g}")
        return value


def _flag(name: str, meaning: str) -> Directive:
    return Directive(name=name, form="flag", meaning=meaning)


def _seconds(name: str, meaning: str) -> Directive:
    return Directive(name=name, form="seconds", high=3600, meaning=meaning)


DIRECTIVES: tuple[Directive, ...] = (
    Directive(
        name="status", form="integer", low=200, high=599, meaning="answer with this HTTP status and an error object"
    ),
    Directive(
        name="code",
        form="word",
        meaning="the `code` of that error object (`insufficient_quota`); Anthropic's `type`, Google's `status`",
    ),
    Directive(
        name="retry-after",
        form="integer",
        high=86_400,
        meaning="send `Retry-After` with this many seconds (default 1)",
        default="1",
    ),
    _flag("html", "answer with a proxy's HTML error page; status 502 unless `status` says otherwise"),
    _flag("reset", "reset the connection before any byte of an answer"),
    _seconds("stall-before", "wait this many seconds before the first byte"),
    _seconds("stall", "wait this many seconds in the middle of the answer"),
    Directive(
        name="cut",
        form="integer",
        high=99,
        default="50",
        meaning="close the connection after this percentage of the answer (default 50)",
    ),
    Directive(
        name="garbage",
        form="word",
        default="json",
        words=("json", "chunk"),
        meaning="`json` (default): broken JSON midway; `chunk`: broken HTTP chunk framing midway, then a close",
    ),
    Directive(
        name="empty",
        form="word",
        default="body",
        words=("body", "choices"),
        meaning="`body` (default): a 200 without any body; `choices`: an answer without any (or `content`, `output`…)",
    ),
    _flag("error-event", "an error as an event midway through a 200 stream, which then ends; `code` names it"),
    _flag("no-done", "leave out what says that the stream is whole (`[DONE]`, `message_stop`, the last event)"),
    _flag("no-usage", "leave the usage out"),
    Directive(
        name="slow",
        form="seconds",
        low=0.01,
        high=100_000,
        is_failure=False,
        default="2",
        meaning="stream at this many chunks a second (default 2)",
    ),
    Directive(
        name="tokens",
        form="integer",
        low=1,
        high=200_000,
        is_failure=False,
        meaning="an answer of this many tokens, unless `max_tokens` is less",
    ),
    Directive(
        name="big",
        form="integer",
        low=1,
        high=16_777_216,
        default="1048576",
        is_failure=False,
        meaning="an answer of this many bytes in a single chunk (default 1048576)",
    ),
    Directive(
        name="comments",
        form="integer",
        low=1,
        high=1000,
        default="3",
        is_failure=False,
        meaning="this many SSE comments before the first event (default 3), at the stream's pace",
    ),
    Directive(name="crlf", form="flag", is_failure=False, meaning="end the lines of the stream with CR LF"),
    Directive(
        name="split",
        form="integer",
        low=1,
        high=4096,
        default="7",
        is_failure=False,
        meaning="write the answer in pieces of this many bytes (default 7), whatever they cut through",
    ),
    Directive(
        name="content-length",
        form="flag",
        is_failure=False,
        meaning="stream with a `Content-Length` instead of chunked framing",
    ),
    Directive(
        name="gzip", form="flag", is_failure=False, meaning="compress the answer, though nobody may have asked for it"
    ),
    Directive(name="scenario", form="word", is_failure=False, meaning="play the turns of the scenario with this name"),
    Directive(name="redacted", form="flag", is_failure=False, meaning="Anthropic: thinking comes redacted"),
    Directive(name="once", form="word", meaning="fail only the first request that carries this id"),
    Directive(
        name="times", form="integer", low=1, high=1_000_000, meaning="fail only this many requests with the same `id`"
    ),
    Directive(name="id", form="word", meaning="what `times` counts by; without it, the directives themselves"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The directives of one request, each in its own form; None or False where not given. Times are in seconds."""

    status: int | None = None
    code: str | None = None
    retry_after: int | None = None
    html: bool = False
    reset: bool = False
    stall_before: float | None = None
    stall: float | None = None
    cut: int | None = None
    garbage: str | None = None
    empty: str | None = None
    error_event: bool = False
    no_done: bool = False
    no_usage: bool = False
    slow: float | None = None
    tokens: int | None = None
    big: int | None = None
    comments: int | None = None
    crlf: bool = False
    split: int | None = None
    content_length: bool = False
    gzip: bool = False
    scenario: str | None = None
    redacted: bool = False
    once: str | None = None
    times: int | None = None
    id: str | None = None

    @property
    def refuses(self) -> bool:
        """Whether an error takes the place of the answer."""
        return self.html or (self.status is not None and self.status != 200)


def strip_directives(text: str) -> str:
    """`text` without directives and without the space around them."""
    return _TRIGGER.sub("", text).strip() if "[[sandbox:" in text else text


def read_faults(text: str, headers: Iterable[tuple[str, str]]) -> Faults:
    """The directives in `text` and in `headers` (lower-case names). Raises `BadRequest` for one that is not known."""
    given: dict[str, str] = {}
    for match in _TRIGGER.finditer(text):
        for item in re.split(r"[,;]", match[1]):
            name, _, value = item.partition("=")
            if name.strip():
                given[name.strip().lower()] = value.strip()
    for name, value in headers:
        if name.startswith(HEADER_PREFIX):
            given[name.removeprefix(HEADER_PREFIX)] = value.strip()
    return Faults(**_values(given)) if given else Faults()


def _values(given: dict[str, str]) -> dict[str, Any]:
    table = {directive.name: directive for directive in DIRECTIVES}
    values: dict[str, Any] = {}
    for name, text in given.items():
        directive = table.get(name)
        if directive is None:
            raise BadRequest(f"Unknown sandbox directive '{name}'.", code="unknown_directive")
        try:
            values[directive.field] = directive.read(text)
        except ValueError as exc:
            raise BadRequest(f"Sandbox directive '{name}': {exc}.", code="invalid_directive") from exc
    return values


def directive_table() -> str:
    """The table of directives as Markdown; `docs/sandbox.md` carries it."""
    rows = ["| directive | value | what it does |", "|---|---|---|"]
    for row in DIRECTIVES:
        values = {"flag": "", "integer": f"{row.low:g} to {row.high:g}", "seconds": f"{row.low:g} to {row.high:g}"}
        shown = " or ".join(row.words) if row.words else values.get(row.form, "a word")
        rows.append(f"| `{row.name}` | {shown} | {row.meaning} |")
    return "\n".join(rows)


class FaultMemory:
    """How often a counted fault has fired, for `once` and `times`. Remembers the latest `capacity` ids."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._fired: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._fired)

    def admit(self, faults: Faults) -> Faults:
        """The directives that apply this time: without the failures once the count is used up."""
        if faults.once is None and faults.times is None:
            return faults
        allowed = faults.times or 1
        key = faults.once or faults.id or repr(faults)
        fired = self._fired.pop(key, 0) + 1
        self._fired[key] = fired
        if len(self._fired) > self._capacity:
            self._fired.popitem(last=False)
        return faults if fired <= allowed else without_failures(faults)


def without_failures(faults: Faults) -> Faults:
    """Only the directives that shape an answer."""
    return Faults(**{row.field: getattr(faults, row.field) for row in DIRECTIVES if not row.is_failure})
