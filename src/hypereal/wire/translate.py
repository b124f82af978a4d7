"""Translation: a client of one format served by an upstream of another.

Both sides stay what they are when they speak to their own kind: the client's dialect parses its request and shows it
the answer, the upstream's dialect reads what the upstream sent for routing and money. Between them stand the two codecs
and the canonical conversation.
"""

from __future__ import annotations

from functools import partial

import msgspec

from hypereal.errors import HyperealError, UpstreamFailed
from hypereal.kit.money import ZERO, Micro
from hypereal.kit.sse import split_events
from hypereal.wire.base import (
    BARE,
    Answer,
    Context,
    Dialect,
    Endpoint,
    Envelope,
    Garbage,
    Renames,
    StreamDialect,
    Usage,
)
from hypereal.wire.codec import Codec, EventReader, EventWriter
from hypereal.wire.conversation import Aim
from hypereal.wire.custom_tools import CustomCalls, as_functions, custom_names, restore
from hypereal.wire.events import Delta, Event, Failed, Finished, fold, unfold
from hypereal.wire.repeats import Repeats

BROKEN = "The provider broke off; the answer is incomplete"
_replace = msgspec.structs.replace
_encode = msgspec.json.encode


class Translation:
    """The dialect of a client as a route of another format serves it. Stateless; one for each pair and route.

    `max_output_tokens` and `default_output_tokens` are the model's: its ceiling, and what it is given when the client
    set no limit and the upstream's format demands one. `takes_custom_tools` says that the upstream knows custom tools
    itself, which hardly any but OpenAI's own do, and `thinks_adaptively` that a model of Anthropic's decides by itself
    how much to think.
    """

    def __init__(
        self,
        *,
        client: Dialect,
        client_codec: Codec,
        upstream: Dialect,
        upstream_codec: Codec,
        max_output_tokens: int,
        default_output_tokens: int,
        takes_custom_tools: bool = False,
        thinks_adaptively: bool = False,
    ) -> None:
        self.client = client
        self.client_codec = client_codec
        self.upstream = upstream
        self.upstream_codec = upstream_codec
        self.max_output_tokens = max_output_tokens
        self.default_output_tokens = default_output_tokens
        self.takes_custom_tools = takes_custom_tools
        self.thinks_adaptively = thinks_adaptively

    def parse(self, endpoint: Endpoint, body: bytes, context: Context = BARE) -> Envelope | HyperealError:
        return self.client.parse(endpoint, body, context)

    def build(self, envelope: Envelope, model: str, *, drop: frozenset[str], rename: Renames) -> bytes:
        """The body for the upstream; `envelope` then names what it does not say, and the custom tools for `stream` and
        `render_answer`.

        `drop` and `rename` are fields of the upstream's format. Raises `InvalidRequest` for what the client's dialect
        let pass and translation must understand.
        """
        conversation = self.client_codec.read_request(envelope.fields)
        conversation.stream = envelope.stream
        envelope.custom_tools = custom_names(conversation)
        if envelope.custom_tools and not self.takes_custom_tools:
            conversation = as_functions(conversation)
        written = self.upstream_codec.write_request(conversation, self._aim(model))
        fields = written.fields
        for given, taken in rename:
            value = fields.pop(given, None)
            if value is not None and fields.get(taken) is None:
                fields[taken] = value
        for name in drop & fields.keys():
            del fields[name]
        envelope.dropped = tuple(sorted({*conversation.dropped, *written.dropped}))
        return _encode(fields)

    def _aim(self, model: str) -> Aim:
        return Aim(
            model=model,
            max_output_tokens=self.max_output_tokens,
            default_output_tokens=self.default_output_tokens,
            thinks_adaptively=self.thinks_adaptively,
        )

    def read_answer(self, body: bytes) -> Answer:
        answer = self.upstream.read_answer(body)
        if answer.error is None and not answer.is_empty:
            self.upstream_codec.read_reply(body)  # what cannot be translated fails now, while another target may answer
        return answer

    def render_answer(self, envelope: Envelope, body: bytes, usage: Usage, charged: Micro) -> bytes:
        reply = restore(self.upstream_codec.read_reply(body), envelope.custom_tools)
        written = self.client_codec.write_reply(reply, envelope, usage)
        return self.client.render_answer(envelope, written, usage, charged)

    def stream(self, envelope: Envelope) -> StreamDialect:
        return TranslatedStream(
            request_id=envelope.request_id,
            client=self.client.stream(envelope),
            upstream=self.upstream.stream(envelope),
            reader=self.upstream_codec.reader(),
            writer=self.client_codec.writer(envelope),
            custom=envelope.custom_tools,
        )


class TranslatedStream:
    """One stream: read as the upstream's, written as the client's.

    The writer makes the events that an upstream of the client's format would have sent, and the client's own stream
    dialect shows them as it shows those. An upstream that gives up in the middle makes the answer incomplete, and
    whatever way the stream is then ended, the client gets one error and no terminal event.
    """

    rewrites_events = True

    def __init__(
        self,
        *,
        request_id: str,
        client: StreamDialect,
        upstream: StreamDialect,
        reader: EventReader,
        writer: EventWriter,
        custom: frozenset[str],
    ) -> None:
        self._request_id = request_id
        self._client = client
        self._upstream = upstream
        self._reader = reader
        self._writer = writer
        self._custom = CustomCalls(custom) if custom else None
        self._is_plain = not custom and not client.rewrites_events
        repeats = reader.repeats if self._is_plain else None
        self.edit_run = partial(_edit_run, repeats, writer) if repeats is not None else None
        self.has_failed = False
        self._finished = False
        self.terminal = upstream.terminal
        self.content_type = client.content_type
        self.ping = client.ping
        self.is_terminal = upstream.is_terminal
        self.opening = upstream.opening
        self.find_usage = upstream.find_usage
        self.break_off = client.break_off

    def read(self, kept: bytes, total_bytes: int) -> Answer:
        answer = self._upstream.read(kept, total_bytes)
        return _replace(answer, is_complete=False) if self.has_failed else answer

    def edit(self, event: bytes) -> bytes:
        told = self._read(event)
        if len(told) == 1 and self._is_plain and type(told[0]) is Delta:
            return self._writer.write(told[0])
        return self._shown(self._write(told))

    def _read(self, event: bytes) -> list[Event]:
        try:
            return self._reader.read(event)
        except Garbage:
            self.has_failed = True
            return []

    def close(self, tail: bytes, answer: Answer, usage: Usage, charged: Micro) -> bytes:
        last = b"".join(self._write(self._read(event)) for event in _whole_events(tail))
        last = self._shown(last + self._write(self._reader.end()))
        if self.has_failed or not self._finished:
            return last + self.break_off(UpstreamFailed(BROKEN), self._request_id)
        ending = self._writer.end(usage, charged)
        return last + self._client.close(ending, _replace(answer, usage=usage), usage, charged)

    def _write(self, events: list[Event]) -> bytes:
        if self._custom is not None:
            events = self._custom.restore(events)
        written = []
        for event in events:
            if self.has_failed or self._finished:
                break  # nothing follows the end
            if type(event) is Failed:
                self.has_failed = True
                break
            self._finished = type(event) is Finished
            written.append(self._writer.write(event))
        return b"".join(written)

    def _shown(self, events: bytes) -> bytes:
        if not events or not self._client.rewrites_events:
            return events
        return b"".join(self._client.edit(event) for event in _whole_events(events))


def _edit_run(repeats: Repeats, writer: EventWriter, payload: bytes, start: int) -> tuple[bytes, int]:
    texts, end = repeats.read_run(payload, start)
    return writer.write_texts(repeats.index, texts) if any(texts) else b"", end


def _whole_events(payload: bytes) -> list[bytes]:
    """The events of a payload, the last one also when its blank line is missing."""
    events, rest = split_events(payload)
    return [*events, rest.rstrip(b"\n") + b"\n\n"] if rest.strip() else events


def fold_stream(codec: Codec, body: bytes, envelope: Envelope) -> bytes:
    """The object that an upstream ought to have sent in place of the event stream in `body`; raises `Garbage` when that
    is not whole.

    It is in the upstream's own format, so it is read and shown like any other answer, translated or not. Where the
    stream had no usage the object claims zeros: bill by what `StreamReading.read` finds in `body`.
    """
    reader = codec.reader()
    events = [told for event in _whole_events(body) for told in reader.read(event)]
    reply = fold([*events, *reader.end()])
    if isinstance(reply, Failed):
        raise Garbage(reply.message)
    return codec.write_reply(reply, envelope, reply.usage or Usage())


def unfold_answer(codec: Codec, body: bytes, envelope: Envelope, usage: Usage) -> bytes:
    """The event stream that an upstream ought to have sent in place of the object in `body`, in the upstream's own
    format; raises `Garbage` for what is no answer."""
    reply = codec.read_reply(body)
    writer = codec.writer(envelope)
    return b"".join(map(writer.write, unfold(reply))) + writer.end(usage, ZERO)
