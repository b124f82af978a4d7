"""The relay over streams that do not end with `[DONE]`: Anthropic's, OpenAI's Responses, Google's, AWS's frames."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from hypereal.gateway.relay import KEPT_BYTES, LINGER_S, PING_AFTER_S, Streamed
from hypereal.providers.aws_event_stream import EventStream
from hypereal.providers.base import Failure, FailureKind
from hypereal.wire import CODECS, DIALECTS, ENDPOINTS
from hypereal.wire.anthropic.native_stream import MessagesStream
from hypereal.wire.base import Context, Envelope, StreamDialect, Usage
from hypereal.wire.gemini.stream import GeminiStream
from hypereal.wire.openai_chat.stream import ChatStream
from hypereal.wire.openai_responses.native_stream import ResponsesStream
from hypereal.wire.translate import Translation
from tests.gateway.wiring import LAST, UNTIL_CLOSED, Scene, framed
from tests.providers import event_stream as frames
from tests.support import anthropic_format, gemini_format, openai_format, responses_format
from tests.support.openai_format import TEXT, WORDS
from tests.support.speakers import SPEAKERS
from tests.wire.asking import endpoint_of

COMPLETE = Streamed(ending="complete")
USAGE = Usage(input=100, cache_read=20, output=30, reasoning=10)
NAMES = (
    "message_stop",
    "response.completed",
    '"response"',
    "finishReason",
    "[DONE]",
    "}\n\n",
    'data: {"type":"message_stop"}',
)
"""Words in which a careless reader would see the end."""


def responses_stream() -> ResponsesStream:
    endpoint = endpoint_of("/v1/responses")
    envelope = DIALECTS[endpoint.dialect].parse(endpoint, b'{"model":"m","input":"Hi","stream":true}')
    assert isinstance(envelope, Envelope)
    return ResponsesStream(envelope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format's stream, whole, and what reads it. `begins_at` counts the events before the first real one."""

    name: str
    dialect: Callable[[], StreamDialect]
    events: Callable[..., list[bytes]]
    begins_at: int
    has_terminal: bool = True


FORMATS = (
    Format(name="anthropic", dialect=MessagesStream, events=anthropic_format.events, begins_at=2),
    Format(name="responses", dialect=responses_stream, events=responses_format.events, begins_at=2),
    Format(name="gemini", dialect=GeminiStream, events=gemini_format.events, begins_at=0, has_terminal=False),
)
CHAT = Format(name="chat", dialect=ChatStream, events=openai_format.events, begins_at=0)
EACH_FORMAT = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
WITH_TERMINAL = pytest.mark.parametrize("form", FORMATS[:2], ids=lambda form: form.name)
EITHER_WAY = pytest.mark.parametrize("takes_chunks", [True, False])


def new_scene(form: Format, *, takes_chunks: bool = True, **fields: Any) -> Scene:
    return Scene(takes_chunks=takes_chunks, dialect=form.dialect(), **fields)


def closed(scene: Scene) -> bytes:
    """All that the client has seen once the stream is closed as the pipeline does it."""
    answer = scene.relay.read()
    assert answer.usage is not None
    tail = scene.relay.dialect.close(scene.relay.tail_payload(), answer, answer.usage, 0)  # type: ignore[arg-type]
    return lf(scene.client.payload + tail)


def lf(*payload: bytes) -> bytes:
    """With LF for CRLF: which of them a stream has depends on where its reads were cut."""
    return b"".join(payload).replace(b"\r\n", b"\n")


@EACH_FORMAT
@EITHER_WAY
async def test_a_stream_may_be_cut_at_any_byte(form: Format, takes_chunks: bool) -> None:
    events = form.events("/", "m")
    data = b"".join(map(framed, events)) + LAST
    for at in range(1, len(data)):
        scene = new_scene(form, takes_chunks=takes_chunks)
        scene.read(data[:at], data[at:])
        assert scene.outcome == COMPLETE, at
        assert scene.relay.read().usage == USAGE, at
        assert closed(scene) == lf(*events), at


@pytest.mark.parametrize("form", [*FORMATS, CHAT], ids=lambda form: form.name)
@pytest.mark.parametrize("size", [777, 4097])
async def test_what_came_of_a_long_stream_is_counted_wherever_its_reads_were_cut(form: Format, size: int) -> None:
    """Of more than is kept whole reads are dropped, so what is left may be cut through a character."""
    payload = b"".join(form.events("/", "m", words=("这是一个很长的回答" * 20,) * 900))
    payload = payload[: len(payload) // 4]
    assert len(payload) > KEPT_BYTES
    scene = new_scene(form, head=UNTIL_CLOSED)
    for start in range(0, len(payload), size):
        scene.read(payload[start : start + size])
    scene.connection.connection_lost(ConnectionResetError("reset"))
    answer = scene.relay.read()
    assert not answer.is_complete
    assert answer.output_bytes == pytest.approx(len(payload), rel=0.6)


@EACH_FORMAT
async def test_names_of_the_end_in_a_text_are_no_end(form: Format) -> None:
    events = form.events("/", "m", words=NAMES)
    scene = new_scene(form)
    for event in events[:-1]:
        scene.read(framed(event))
        assert scene.outcome is None, event
    scene.read(framed(events[-1]) + LAST)
    assert scene.outcome == COMPLETE
    assert closed(scene) == lf(*events)


@WITH_TERMINAL
@EITHER_WAY
async def test_the_terminal_event_is_kept_back(form: Format, takes_chunks: bool) -> None:
    events = form.events("/", "m")
    scene = new_scene(form, takes_chunks=takes_chunks)
    scene.read(*map(framed, events[:-1]))
    assert (scene.outcome, scene.relay.saw_terminal) == (None, False)
    scene.read(framed(events[-1]))
    assert (scene.outcome, scene.relay.saw_terminal) == (COMPLETE, True)
    assert scene.client.payload == b"".join(events[:-1])
    assert scene.relay.tail_payload() == events[-1]
    assert scene.relay.edited_tail() == b""
    scene.watch.pass_time(LINGER_S + 1)
    assert scene.transport.is_aborted


@WITH_TERMINAL
async def test_a_kept_back_end_in_chunks_is_forwarded_in_them(form: Format) -> None:
    events = form.events("/", "m")
    for last in (LAST, b""):
        scene = new_scene(form)
        end = framed(events[-2], events[-1]) + last
        scene.read(*map(framed, events[:-2]), end)
        assert scene.relay.framed_end() == framed(events[-2], events[-1]) + LAST


@WITH_TERMINAL
async def test_what_comes_with_the_terminal_event_is_kept_back_with_it(form: Format) -> None:
    events = form.events("/", "m")
    scene = new_scene(form)
    scene.read(*map(framed, events[:-2]), framed(events[-2]) + framed(events[-1]))
    assert scene.client.payload == b"".join(events[:-2])
    assert scene.relay.tail_payload() == events[-2] + events[-1]
    assert scene.relay.read().usage == USAGE


@WITH_TERMINAL
@EITHER_WAY
async def test_nothing_after_the_end_reaches_the_client(form: Format, takes_chunks: bool) -> None:
    events = form.events("/", "m")
    scene = new_scene(form, takes_chunks=takes_chunks)
    scene.read(*map(framed, events), framed(events[0]), LAST)
    assert closed(scene) == lf(*events)


@EACH_FORMAT
@EITHER_WAY
async def test_an_end_by_closing_needs_no_chunks(form: Format, takes_chunks: bool) -> None:
    events = form.events("/", "m")
    scene = new_scene(form, takes_chunks=takes_chunks, head=UNTIL_CLOSED)
    scene.read(b"".join(events))
    scene.connection.connection_lost(None)
    assert scene.outcome == COMPLETE
    assert closed(scene) == lf(*events)


@EACH_FORMAT
@EITHER_WAY
async def test_a_stream_that_ends_in_the_middle_is_not_whole(form: Format, takes_chunks: bool) -> None:
    events = form.events("/", "m")
    scene = new_scene(form, takes_chunks=takes_chunks)
    scene.read(*map(framed, events[: len(events) // 2]), LAST)
    assert scene.outcome == COMPLETE
    assert not scene.relay.read().is_complete
    assert scene.relay.read().output_bytes > 0


@WITH_TERMINAL
async def test_what_announces_an_answer_is_no_beginning(form: Format) -> None:
    events = form.events("/", "m")
    scene = new_scene(form)
    scene.read(*map(framed, events[: form.begins_at]))
    assert (scene.commits, scene.client.writes) == (0, [])
    scene.read(framed(events[form.begins_at]))
    assert scene.commits == 1
    assert scene.client.payload == b"".join(events[: form.begins_at + 1])


ERRORS: Mapping[str, bytes] = {
    "anthropic": b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n',
    "responses": b'event: error\ndata: {"type":"error","message":"busy","code":"server_error","param":null}\n\n',
    "gemini": b'data: {"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}\n\n',
}


@EACH_FORMAT
@EITHER_WAY
async def test_an_error_in_place_of_the_first_output_fails_the_attempt(form: Format, takes_chunks: bool) -> None:
    early = form.events("/", "m")[: form.begins_at]
    scene = new_scene(form, takes_chunks=takes_chunks)
    scene.read(*map(framed, early), framed(ERRORS[form.name]))
    assert isinstance(scene.outcome, Failure)
    assert scene.outcome.kind is FailureKind.SERVER_ERROR
    assert "busy" in scene.outcome.message
    assert (scene.commits, scene.client.writes) == (0, [])


@EACH_FORMAT
async def test_a_malformed_event_breaks_the_stream(form: Format) -> None:
    events = form.events("/", "m")
    scene = new_scene(form)
    middle = len(events) // 2
    scene.read(*map(framed, events[:middle]), framed(b'data: {"type": "con\n\n'), *map(framed, events[middle:]))
    assert scene.outcome == Streamed(ending="broken", detail="malformed event")
    assert lf(scene.client.payload) == lf(*events[:middle])


@EACH_FORMAT
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
async def test_a_malformed_event_is_found_among_others_of_its_read(form: Format, end: bytes) -> None:
    events = [lf(event).removesuffix(b"\n\n") + end for event in form.events("/", "m")]
    scene = new_scene(form)
    middle = len(events) // 2
    scene.read(*map(framed, events[:middle]))
    scene.read(framed(events[middle]) + framed(b'data: {"type": "con' + end) + framed(events[middle + 1]))
    assert scene.outcome == Streamed(ending="broken", detail="malformed event")
    assert lf(scene.client.payload) == lf(*events[: middle + 1])


@EACH_FORMAT
async def test_a_ping_is_legal_where_it_stands(form: Format) -> None:
    events = form.events("/", "m")
    scene = new_scene(form)
    middle = len(events) // 2
    scene.read(*map(framed, events[:middle]))
    scene.watch.pass_time(PING_AFTER_S)
    ping = scene.relay.dialect.ping
    assert scene.client.payload == b"".join(events[:middle]) + ping
    if form.name == "anthropic":
        assert json.loads(ping.partition(b"data: ")[2]) == {"type": "ping"}
    else:
        assert not any(line.partition(b":")[0] for line in ping.split(b"\n")), "a ping has no field"
    scene.read(*map(framed, events[middle:]), LAST)
    assert closed(scene).replace(ping, b"", 1) == b"".join(events) or form.name == "gemini"


PINGS: Mapping[str, bytes] = {
    "openai_chat": b": ping\n\n",
    "anthropic": b'event: ping\ndata: {"type": "ping"}\n\n',
    "openai_responses": b": ping\n\n",
    "gemini": b"\n",
}


@pytest.mark.parametrize("client", [name for name in PINGS if name != "openai_chat"])
async def test_a_translated_stream_is_pinged_in_the_clients_words(client: str) -> None:
    upstream = "openai_chat" if client == "anthropic" else "anthropic"
    translation = Translation(
        client=DIALECTS[client],
        client_codec=CODECS[client],
        upstream=DIALECTS[upstream],
        upstream_codec=CODECS[upstream],
        max_output_tokens=1000,
        default_output_tokens=100,
    )
    speaker = SPEAKERS[client]
    endpoint = next(point for point in ENDPOINTS if point.dialect == client)
    asked = json.dumps(speaker.body("m", "Hi", True)).encode()
    envelope = translation.parse(endpoint, asked, Context(model="m", query=b"alt=sse"))
    assert isinstance(envelope, Envelope)
    events = (openai_format if upstream == "openai_chat" else anthropic_format).events("/chat/completions", "m")
    scene = Scene(dialect=translation.stream(envelope))
    scene.read(*map(framed, events[:6]))
    before = scene.client.payload
    scene.watch.pass_time(PING_AFTER_S)
    assert scene.client.payload == before + PINGS[client]
    scene.read(*map(framed, events[6:]), LAST)
    assert scene.outcome == COMPLETE
    whole = closed(scene).decode()
    assert "".join(speaker.text(json.loads(line[6:])) for line in whole.split("\n") if line[:6] == "data: ") == TEXT


def bedrock_frames() -> list[bytes]:
    """Anthropic's events as Bedrock sends them."""
    datas = [event.partition(b"data: ")[2].strip() for event in anthropic_format.events("/", "m")]
    return [frames.chunk(data) for data in datas]


def bedrock_scene() -> Scene:
    return Scene(dialect=MessagesStream(), unframer=EventStream())


async def test_frames_become_events_wherever_they_are_cut() -> None:
    data = framed(b"".join(bedrock_frames())) + LAST
    for at in range(1, len(data), 3):
        scene = bedrock_scene()
        scene.read(data[:at], data[at:])
        assert scene.outcome == COMPLETE, at
        assert scene.relay.read().usage == USAGE, at
        assert closed(scene).count(b"content_block_delta") == 2 * len(WORDS), at


async def test_an_unsound_frame_before_the_beginning_fails_the_attempt() -> None:
    scene = bedrock_scene()
    scene.read(framed(b"\x00" * 40))
    assert isinstance(scene.outcome, Failure)
    assert scene.outcome.kind is FailureKind.GARBAGE
    assert scene.transport.is_aborted


async def test_an_unsound_frame_in_the_middle_breaks_the_stream() -> None:
    scene = bedrock_scene()
    sound = bedrock_frames()
    scene.read(framed(b"".join(sound[:4])), framed(b"\x00" * 40), framed(b"".join(sound[4:])))
    assert isinstance(scene.outcome, Streamed)
    assert scene.outcome.ending == "broken"
    assert scene.transport.is_aborted


async def test_an_exception_in_place_of_the_answer_fails_the_attempt() -> None:
    scene = bedrock_scene()
    scene.read(framed(frames.exception("ThrottlingException", "Too many requests")))
    assert isinstance(scene.outcome, Failure)
    assert "Too many requests" in scene.outcome.message
