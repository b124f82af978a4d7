"""Relays: what receives an upstream's answer and passes it to the client.

One relay serves one attempt. Nothing of an answer goes to the client before it has really begun; from then on bytes
move by callback, and the request's coroutine sleeps until the stream has ended, one way or another. While every read
ends where an event ends, the upstream's own chunks are forwarded as they came; at the first that doesn't, the relay
goes over to whole events. So it always stands between two events and can end the stream cleanly whatever happens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from hypereal.catalog.types import Upstream
from hypereal.gateway.downstream import LAST_CHUNK, Downstream
from hypereal.kit.connection import Connection, UpstreamError
from hypereal.kit.drive import Cell
from hypereal.kit.framing import unframe
from hypereal.kit.sse import event_data, split_events
from hypereal.kit.watch import Watch
from hypereal.providers.base import Failure, FailureKind, Unframer
from hypereal.wire.base import Answer, Garbage, StreamDialect

PING_AFTER_S = 15.0  # api.md section 6; common proxies cut a stream after 30 to 60 s of silence
LINGER_S = 5.0
"""How long an upstream may take to end its body after the terminal event before its connection is given up."""
KEPT_BYTES = 131_072
"""How much of a stream's end is kept to read usage from, and to estimate from when there is none."""
MAX_EVENT_BYTES = 32 * 1024 * 1024
"""More than any image that comes inline in one event."""
EVENT_BYTES = 300
"""About the size of one chunk of OpenAI's stream: tells tokens apart in reads that carry many."""

_LINE_ENDS = (b"\n\n\r\n", b"\r\n\r\n\r\n")
_LAST_ENDS = tuple(end + LAST_CHUNK for end in _LINE_ENDS)
_ENDS = _LINE_ENDS + _LAST_ENDS
_EVENT_ENDS = tuple(b"}" + end for end in _LINE_ENDS)
"""How a read ends that ends with a whole event and its chunk. Every event of ours carries a JSON object, so one that
does not end like one is looked at more closely."""
_ODD_END = re.compile(rb"\n\n(?<=[^}]..)", re.DOTALL)
_ODD_CRLF_END = re.compile(rb"\r\n\r\n(?<=[^}\n]....)", re.DOTALL)
"""The end of an event that is none of an object's. Both begin with what they look for, so that a plain search finds
them: a third of the time that counting the two kinds of end takes."""
_NOWHERE = b"\0"
"""Is in no event: JSON escapes it. The marker of a format whose streams have no terminal event."""
_OBJECT_END = b"}\n\n"
_TOLD = "the upstream"

Ending = Literal["complete", "broken", "stalled", "gone"]


class Whole(msgspec.Struct, frozen=True, gc=False):
    """A whole answer, not yet judged."""

    status: int
    head: bytes
    body: bytes


class Streamed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The end of a stream that the client has seen begin. `detail` says what broke it, for the log."""

    ending: Ending
    detail: str = ""


Outcome = Whole | Streamed | Failure


def timeout_failure(message: str) -> Failure:
    return Failure(kind=FailureKind.TIMEOUT, message=message, status=504, retry_same=False)


def lost_failure(error: UpstreamError) -> Failure:
    return Failure(kind=FailureKind.RESET, message=f"the connection to {_TOLD} broke: {error}", retry_same=True)


def _holds_objects(data: bytes, end: int) -> bool:
    """Whether each event of a read that ends before `end` ends like one of ours; when in doubt, not."""
    odd = _ODD_END if data.find(b"\n\n") >= 0 else _ODD_CRLF_END
    return odd.search(data, 0, end) is None


def _last_event(data: bytes) -> bytes:
    """The last event of a read, and what frames its chunk."""
    blank = b"\n\n" if b"\n\n" in data else b"\r\n\r\n"
    end = data.rfind(blank)
    if blank == b"\r\n\r\n" and data.endswith(LAST_CHUNK):
        end = data.rfind(blank, 0, end)
    start = data.rfind(blank, 0, end)
    return data[start + len(blank) if start >= 0 else 0 : end + len(blank)]


GONE = Failure(kind=FailureKind.REJECTED, message="the client closed the connection", status=499, try_next=False)


class Relay:
    """Receives an answer that comes whole."""

    wants_chunks = False

    def __init__(self, upstream: Upstream, watch: Watch, connection: Connection, *, drains: bool = False) -> None:
        self._drains = drains
        self.outcome: Cell[Outcome] = Cell()
        self._watch = watch
        self._connection = connection
        self.deadline = watch.time() + upstream.first_byte_timeout_s
        watch.add(self)

    def finish(self, outcome: Outcome) -> None:
        """Tell the coroutine, once; what the upstream says afterwards changes nothing."""
        self._watch.discard(self)
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def answered(self, status: int, head: bytes, body: bytes) -> None:
        self.finish(Whole(status, head, body))

    def lost(self, error: UpstreamError) -> None:
        self.finish(lost_failure(error))

    def expired(self) -> None:
        self._connection.abort()
        self.finish(timeout_failure("no answer in time"))

    def gone(self) -> None:
        """The client left before there was anything to give it."""
        if not self._drains and not self.outcome.done():
            self._connection.abort()
            self.finish(GONE)

    def opened(self, head: bytes) -> None:
        """Only asked-for streams open."""

    def chunks(self, data: bytes, is_last: bool) -> None:
        """Only asked-for streams have chunks."""

    def payload(self, data: bytes) -> None:
        """Only asked-for streams have payload."""

    def ended(self) -> None:
        """Only asked-for streams end."""


class StreamRelay(Relay):
    """Receives a stream and passes it on.

    `commit` is called when the stream has really begun, and opens the client's side. Before that, `reassure` is called
    whenever the client has heard nothing for `PING_AFTER_S`, first of all since `quiet_since`. `tail` is what is kept
    back at the end until the charge is settled: the terminal event and what came with it, framed if `tail_is_framed`.
    """

    def __init__(
        self,
        upstream: Upstream,
        watch: Watch,
        connection: Connection,
        *,
        downstream: Downstream,
        dialect: StreamDialect,
        commit: Callable[[], None],
        reassure: Callable[[], None],
        quiet_since: float,
        drain_s: float | None,
        unframer: Unframer | None = None,
    ) -> None:
        super().__init__(upstream, watch, connection)
        self._unframer = unframer
        self.wants_chunks = downstream.takes_chunks and not dialect.rewrites_events and unframer is None
        self._silence_s = upstream.silence_timeout_s
        self._downstream = downstream
        self.dialect = dialect
        self._commit = commit
        self._reassure = reassure
        self._first_byte_by = self.deadline
        self.deadline = min(self.deadline, quiet_since + PING_AFTER_S)
        self._drain_s = drain_s
        self._marker = dialect.terminal or _NOWHERE
        self._sure_ends = tuple(self._marker + end for end in _ENDS)
        self._last_read = 0.0
        self._pending = b""
        self._uncut_bytes = 0
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._kept_is_framed = False
        self.total_bytes = 0
        self.reads = 0
        self.has_begun = False
        self.saw_terminal = False
        self.is_draining = False
        self.tail = b""
        self.tail_is_framed = False

    def chunks(self, data: bytes, is_last: bool) -> None:
        if not self.has_begun:
            self._begin_with_chunks(data, is_last)
            return
        if self.saw_terminal:
            return
        self._note(data)
        if is_last or self._marker in data:
            is_whole = self._ends_with_terminal(data)
            if is_last or is_whole or self._has_terminal(data):
                self._end_with_chunks(data, is_last, is_whole)
                return
        if data.endswith(_EVENT_ENDS) and _holds_objects(data, len(data)):
            if not self.is_draining:
                self._downstream.send_chunks(data)
        else:
            self._leave_framing(data)

    def _has_terminal(self, data: bytes) -> bool:
        """Whether a read in which the marker was found has the terminal event, or may have a part of it."""
        events, rest = split_events(unframe(data))
        return bool(rest) or any(self._is_terminal(event_data(event)) for event in events)

    def _ends_with_terminal(self, data: bytes) -> bool:
        if data.endswith(self._sure_ends):
            return True
        return data.endswith(_ENDS) and self._is_terminal(event_data(_last_event(data)))

    def _is_terminal(self, data: bytes | None) -> bool:
        return data is not None and self._marker in data and self.dialect.is_terminal(data)

    def _end_with_chunks(self, data: bytes, is_last: bool, is_whole: bool) -> None:
        """The last read of an answer; one that the terminal event does not end is cut into events after all."""
        is_bare = data.endswith(self._sure_ends)
        end = data.rfind(self._marker) if is_bare else len(data) - len(LAST_CHUNK)
        if not (is_whole or is_last) or not _holds_objects(data, end):
            self._leave_framing(data)
            return
        self.tail, self.tail_is_framed = data, True
        self.saw_terminal = is_whole or (self._marker in data and self._has_terminal(data))
        self.finish(Streamed(ending="complete"))
        if not is_last:
            self._await_end()

    def _begin_with_chunks(self, data: bytes, is_last: bool) -> None:
        self._pending += data
        pending = self._pending
        if not self._opens(pending, framed=True):
            return
        self._kept_is_framed = True
        self._pending = b""
        self.chunks(pending, is_last)

    def _leave_framing(self, data: bytes) -> None:
        """A read that does not end between two events: from here on, whole events are cut from the payload."""
        self._forget_last(data)
        self._unframe_kept()
        self._connection.unframe(data)

    def _unframe_kept(self) -> None:
        """Make what is kept payload, and count the whole as if it had always been."""
        framed = b"".join(self._kept)
        payload = unframe(framed)
        dropped_bytes = (self.total_bytes - len(framed)) * len(payload) // max(len(framed), 1)
        self._kept, self._kept_bytes = [payload], len(payload)
        self.total_bytes = dropped_bytes + len(payload)
        self._kept_is_framed = False

    def _forget_last(self, data: bytes) -> None:
        self._kept.pop()
        self._kept_bytes -= len(data)
        self.total_bytes -= len(data)

    def _forget_end(self, size: int) -> None:
        """The end of what was read is none of the answer: it came after the event that broke it."""
        kept = b"".join(self._kept)
        kept = kept[: len(kept) - size]
        self.total_bytes -= self._kept_bytes - len(kept)
        self._kept, self._kept_bytes = [kept], len(kept)

    def payload(self, data: bytes) -> None:
        if self._unframer is not None:
            try:
                data = self._unframer.feed(data)
            except Garbage as exc:
                self._give_up(str(exc))
                return
        if not self.has_begun:
            self._pending += data
            pending = self._pending
            if not self._opens(pending, framed=False):
                return
            self._pending = b""
            data = pending
        if self.saw_terminal:
            return
        self._note(data)
        self._pass_on(self._pending + data)
        if len(self._pending) > MAX_EVENT_BYTES and not self.outcome.done():
            self._give_up("an event without an end")

    def _give_up(self, detail: str) -> None:
        """The upstream sends what is no stream of events."""
        self._connection.abort()
        if self.has_begun:
            self.finish(Streamed(ending="broken", detail=detail))
        else:
            self.finish(Failure(kind=FailureKind.GARBAGE, message=f"{_TOLD} sent: {detail}", retry_same=True))

    def _cut(self, data: bytes, passed: list[bytes]) -> Iterator[bytes]:
        """The whole events in `data`, which is LF throughout. Those that the dialect edits at once go to `passed`."""
        self._pending = b""
        edit_run = self.dialect.edit_run
        position = 0
        while (end := data.find(b"\n\n", position) + 2) >= 2:
            event = data[position:end]
            position = end
            self._uncut_bytes = len(data) - end
            if event != b"\n\n":
                yield event
            if edit_run is not None:
                edited, position = edit_run(data, position)
                passed.append(edited)
        self._pending = data[position:]

    def _pass_on(self, data: bytes) -> None:
        passed: list[bytes] = []
        ending: Streamed | None = None
        marker, dialect = self._marker, self.dialect
        for event in self._cut(data.replace(b"\r\n", b"\n") if b"\r" in data else data, passed):
            if marker in event or not event.endswith(_OBJECT_END):
                said = event_data(event)
                said = said.strip() if said is not None else None
                if self._is_terminal(said):
                    self.saw_terminal = True
                    self.tail = event
                    ending = Streamed(ending="complete")
                    break
                if said is not None and not said.endswith(b"}"):
                    ending = Streamed(ending="broken", detail="malformed event")
                    break
            passed.append(dialect.edit(event) if dialect.rewrites_events else event)
            if dialect.has_failed:
                ending = Streamed(ending="broken", detail="the upstream gave up")
                break
        if ending is not None and not self.saw_terminal:
            self._connection.abort()
            self._forget_end(self._uncut_bytes)
        payload = b"".join(passed)
        if payload and not self.is_draining:
            self._downstream.send(payload)
        if ending is not None:
            self.finish(ending)
            if self.saw_terminal:
                self._await_end()

    def _await_end(self) -> None:
        """The answer is whole and its HTTP body all but: wait a little, for the connection to be free again."""
        self._connection.resume_reading()
        self.deadline = self._watch.time() + LINGER_S
        self._watch.add(self)

    def _opens(self, pending: bytes, *, framed: bool) -> bool:
        """Whether the answer has begun; fails the attempt when something else came in its place."""
        verdict = self._verdict(pending)
        if framed and verdict != "":
            verdict = self._verdict(unframe(pending))  # framing may have cut an event in two, or hidden it
        if verdict is None:
            return False
        if verdict:
            self._connection.abort()
            garbage = verdict == "malformed"
            kind = FailureKind.GARBAGE if garbage else FailureKind.SERVER_ERROR
            self.finish(Failure(kind=kind, message=f"{_TOLD} sent: {verdict}", retry_same=True))
            return False
        self.has_begun = True
        self._last_read = self._watch.time()
        if not self.is_draining:
            self.deadline = self._last_read + min(PING_AFTER_S, self._silence_s)
        self._commit()
        return True

    def _verdict(self, pending: bytes) -> str | None:
        try:
            return self.dialect.opening(pending)
        except Garbage:
            return "malformed"

    def _note(self, data: bytes) -> None:
        self._last_read = self._watch.time()
        self.reads += 1
        self.total_bytes += len(data)
        self._kept.append(data)
        self._kept_bytes += len(data)
        if self._kept_bytes > KEPT_BYTES:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        # The first read stays: some formats count the input there and nowhere else.
        half = len(self._kept) // 2
        if half > 1:
            self._kept_bytes -= sum(map(len, self._kept[1:half]))
            del self._kept[1:half]

    def ended(self) -> None:
        if self.has_begun:
            if self._pending.strip() and not self.saw_terminal:
                self._pass_on(self._pending.rstrip() + b"\n\n")  # the last event came without its blank line
            self.finish(Streamed(ending="complete"))
            return
        self.finish(Failure(kind=FailureKind.EMPTY, message=f"{_TOLD} sent an empty answer", retry_same=True))

    def lost(self, error: UpstreamError) -> None:
        if self.has_begun:
            self.finish(Streamed(ending="broken", detail=str(error)))
        else:
            super().lost(error)

    def expired(self) -> None:
        now = self._watch.time()
        if self.saw_terminal:
            self._watch.discard(self)
            self._connection.abort()
        elif not self.has_begun:
            self._wait_on(now)
        elif self.is_draining:
            self._connection.abort()
            self.finish(Streamed(ending="gone", detail="drained for as long as allowed"))
        elif self._connection.paused:
            self._last_read = now
            self.deadline = now + PING_AFTER_S
        elif now - self._last_read >= self._silence_s:
            self._connection.abort()
            self.finish(Streamed(ending="stalled", detail=f"silent for {self._silence_s:g} s"))
        else:
            self._ping(now)

    def _wait_on(self, now: float) -> None:
        """Nothing has come yet."""
        if self.is_draining or now >= self._first_byte_by:
            super().expired()
            return
        self._reassure()
        self.deadline = min(self._first_byte_by, now + PING_AFTER_S)

    def _ping(self, now: float) -> None:
        if now - self._last_read >= PING_AFTER_S:
            self._downstream.send(self.dialect.ping)
            ping_at = now + PING_AFTER_S
        else:
            ping_at = self._last_read + PING_AFTER_S
        self.deadline = min(ping_at, self._last_read + self._silence_s)

    def gone(self) -> None:
        if self.outcome.done():
            return  # the connection may be somebody else's by now
        if self._drain_s is not None:
            self.is_draining = True
            self._connection.resume_reading()
            self.deadline = self._watch.time() + self._drain_s
            return
        self._connection.abort()
        self.finish(Streamed(ending="gone") if self.has_begun else GONE)

    def read(self) -> Answer:
        """What the stream amounted to, as far as it came."""
        if self.saw_terminal:
            usage = self.dialect.find_usage(self.tail)
            if usage is None and not (self.tail_is_framed and len(self._kept) == 1):
                usage = self.dialect.find_usage(b"".join(self._kept))
            if usage is not None:
                return Answer(usage=usage, is_complete=True)
        if self._kept_is_framed:
            self._unframe_kept()
        return self.dialect.read(b"".join(self._kept), self.total_bytes)

    def tokens_so_far(self) -> int:
        """Roughly how many tokens have come: an event carries one, sometimes a few."""
        return max(self.reads, self.total_bytes // EVENT_BYTES)

    def tail_payload(self) -> bytes:
        """The kept-back end, without framing."""
        events, rest = split_events(unframe(self.tail) if self.tail_is_framed else self.tail)
        if rest.strip():
            events.append(rest.rstrip() + b"\n\n")
        return b"".join(events)

    def edited_tail(self) -> bytes:
        """The kept-back end as the client shall see it before an error of ours: without a terminal event."""
        events = [event for event in split_events(self.tail_payload())[0] if not self._is_terminal(event_data(event))]
        return b"".join(map(self.dialect.edit, events)) if self.dialect.rewrites_events else b"".join(events)

    def framed_end(self) -> bytes | None:
        """How the client's body ends if the tail is forwarded in its own chunks; None if it can't be."""
        if not (self.tail_is_framed and self.saw_terminal) or self.dialect.rewrites_events:
            return None
        if self.tail.endswith(_LINE_ENDS):
            return self.tail + LAST_CHUNK
        return self.tail if self.tail.endswith(_LAST_ENDS) else None
