"""Streams passed through: where they begin, what they used wherever they are cut, how they end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hypereal.errors import UpstreamFailed
from hypereal.kit.money import Micro
from hypereal.wire.anthropic.native_stream import MESSAGE_STOP, MessagesStream
from hypereal.wire.base import Answer, Garbage, Usage
from tests.wire.anthropic.asking import (
    NATIVE,
    STOP,
    accepted,
    block,
    body_of,
    compact,
    end,
    event,
    payload,
    start,
    text_block,
)
from tests.wire.test_parsing import nested
from tests.wire.test_streams import in_two_chunks

PING = {"type": "ping"}
FULL = {"input_tokens": 20, "cache_read_input_tokens": 5, "output_tokens": 13}
SAYINGS = ('"message_delta"', '{"type":"message_stop"}', 'data: {"type":"message_delta","usage":{}}\n\n', '"usage"')
WHOLE = payload(start(), PING, *text_block(0, "Hel", "lo"), end(), STOP)
CORPUS = {
    "usage in two places": (WHOLE, Usage(input=20, output=13), 5),
    "all usage at the end": (
        payload(start(usage={"input_tokens": 0, "output_tokens": 0}), *text_block(0, "Hello"), end(FULL), STOP),
        Usage(input=20, cache_read=5, output=13),
        5,
    ),
    "two message_delta": (
        payload(start(), *text_block(0, "Hello"), end({"output_tokens": 4}, None), end(), STOP),
        Usage(input=20, output=13),
        5,
    ),
    "ping at the end": (payload(start(), *text_block(0, "Hello"), end(), PING, STOP), Usage(input=20, output=13), 5),
    "padded stop": (
        payload(start(), *text_block(0, "Hello"), end()) + b'event: message_stop\ndata: {"type":"message_stop"   }\n\n',
        Usage(input=20, output=13),
        5,
    ),
    "CRLF": (WHOLE.replace(b"\n", b"\r\n"), Usage(input=20, output=13), 5),
    "text that looks like the format": (
        payload(start(), *text_block(0, *SAYINGS), end(), STOP),
        Usage(input=20, output=13),
        len("".join(SAYINGS)),
    ),
    "thinking and a call": (
        payload(
            start(),
            *block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "hmm"}),
            *block(1, {"type": "tool_use", "id": "t", "name": "f"}, {"type": "input_json_delta", "partial_json": "{}"}),
            end(),
            STOP,
        ),
        Usage(input=20, output=13),
        5,
    ),
    "uncounted": (payload(start(usage={}), *text_block(0, "Hello"), end({}), STOP), None, 5),
    "input only": (payload(start(), *text_block(0, "Hello"), end({}), STOP), None, 5),
    "output only": (payload(start(usage={}), *text_block(0, "Hello"), end(), STOP), None, 5),
}
EACH = pytest.mark.parametrize(("stream", "usage", "size"), CORPUS.values(), ids=CORPUS.keys())


def opened(stream: bytes) -> MessagesStream:
    """A dialect that has seen the stream begin, as a relay lets it."""
    dialect = MessagesStream()
    assert dialect.opening(stream) == ""
    return dialect


@EACH
def test_a_whole_stream_is_read(stream: bytes, usage: Usage | None, size: int) -> None:
    for dialect in (opened(stream), MessagesStream()):
        answer = dialect.read(stream, len(stream))
        assert answer == Answer(usage=usage, output_bytes=size, is_complete=True)


@EACH
def test_the_end_alone_tells_the_usage_once_the_start_was_seen(stream: bytes, usage: Usage | None, size: int) -> None:
    tail = stream[stream.replace(b"\r\n", b"\n\n").rfind(b"event: message_delta") :]
    assert opened(stream).read(tail, len(stream)).usage == usage
    assert opened(stream).find_usage(tail) in (usage, None)


def test_the_usual_end_is_found_without_folding() -> None:
    tail = payload(end(), STOP)
    assert opened(WHOLE).find_usage(tail) == Usage(input=20, output=13)
    assert MessagesStream().find_usage(WHOLE) == Usage(input=20, output=13)
    assert MessagesStream().find_usage(payload(end(FULL), STOP)) == Usage(input=20, cache_read=5, output=13)
    assert MessagesStream().find_usage(tail) is None
    assert opened(WHOLE).find_usage(payload(end("odd"), STOP)) is None
    assert opened(WHOLE).find_usage(payload(STOP)) is None
    assert opened(WHOLE).find_usage(event({"type": "other", "is": "message_delta"})) is None


@EACH
def test_no_framing_makes_a_usage_that_was_not_the_last(stream: bytes, usage: Usage | None, size: int) -> None:
    dialect = opened(stream)
    for at in range(len(stream) + 1):
        assert dialect.find_usage(in_two_chunks(stream, at)) in (None, usage), at
        assert dialect.find_usage(stream[at:]) in (None, usage), at


@EACH
def test_of_a_stream_cut_short_only_what_came_is_read(stream: bytes, usage: Usage | None, size: int) -> None:
    for at in range(1, len(stream), 7):
        answer = MessagesStream().read(stream[:at], at)
        assert answer.output_bytes <= size
        if not answer.is_complete and answer.usage is not None:
            assert answer.usage.output_total in (0, 4)


def test_what_is_no_longer_kept_is_estimated_in_proportion() -> None:
    stream = payload(*text_block(0, *["word"] * 500))
    kept = stream[len(stream) // 2 :]
    estimate = MessagesStream().read(kept, len(stream)).output_bytes
    assert abs(estimate - 2000) <= 40


@pytest.mark.parametrize(
    ("stream", "verdict"),
    [
        (b"", None),
        (b": hello\n\n", None),
        (payload(start()), None),
        (payload(start(), PING), None),
        (event(start())[:-1], None),
        (payload({"type": "brand_new"}), None),
        (payload({"type": "message_start"}), None),
        (payload(start(), *text_block(0, "x")), ""),
        (payload(end()), ""),
        (payload({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}), "Overloaded"),
        (payload(start(), {"type": "error", "error": {"type": "overloaded_error"}}), "overloaded_error"),
        (b'data: {"error": {"message": "no such model"}}\n\n', "no such model"),
    ],
)
def test_a_stream_begins_with_its_first_block_and_an_error_before_it_is_no_beginning(
    stream: bytes, verdict: str | None
) -> None:
    assert MessagesStream().opening(stream) == verdict


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b"{}",
        b'{"choices": []}',
        b'{"type": "message_start", "message": 5}',
        b'{"type": "ping", "x": %b}' % nested(100_000),
    ],
)
def test_another_format_is_garbage(data: bytes) -> None:
    with pytest.raises(Garbage):
        MessagesStream().opening(b"data: " + data + b"\n\n")


def test_events_that_can_not_be_read_count_nothing() -> None:
    assert MessagesStream().read(b"data: <html>\n\ndata: {}\n\n", 24) == Answer(is_empty=True)


def test_an_error_within_a_stream_is_told_and_the_stream_is_not_complete() -> None:
    stream = payload(start(), *text_block(0, "x"), {"type": "error", "error": {"message": "Overloaded"}})
    answer = MessagesStream().read(stream, len(stream))
    assert answer.error == "Overloaded"
    assert not answer.is_complete


def test_a_block_without_text_is_not_nothing() -> None:
    stream = payload(start(), *block(0, {"type": "redacted_thinking", "data": "x"}))
    assert not MessagesStream().read(stream, len(stream)).is_empty
    assert MessagesStream().read(payload(start()), 10).is_empty


@pytest.mark.parametrize(
    ("data", "is_terminal"),
    [
        (b'{"type":"message_stop"}', True),
        (b'{ "type": "message_stop"    }', True),
        (compact({"type": "content_block_delta", "delta": {"text": '{"type":"message_stop"}'}}), False),
        (b"message_stop", False),
    ],
)
def test_only_the_event_itself_is_the_end(data: bytes, is_terminal: bool) -> None:
    assert MessagesStream.terminal in data
    assert MessagesStream().is_terminal(data) is is_terminal


def test_a_stream_ends_as_the_upstream_ended_it() -> None:
    for stop in (payload(STOP), b'event: message_stop\r\ndata: {"type":"message_stop"   }\r\n\r\n'):
        tail = payload(end()) + stop
        assert MessagesStream().close(tail, Answer(), Usage(), Micro(0)) == tail


def test_the_terminal_event_is_added_where_it_did_not_come() -> None:
    close = MessagesStream().close
    assert close(b"", Answer(), Usage(), Micro(0)) == MESSAGE_STOP
    assert close(payload(end()), Answer(), Usage(), Micro(0)) == payload(end()) + MESSAGE_STOP
    assert close(payload(end())[:-1], Answer(), Usage(), Micro(0)) == payload(end()) + MESSAGE_STOP
    assert close(payload(STOP)[:-2], Answer(), Usage(), Micro(0)) == payload(STOP)


def test_a_broken_stream_ends_with_one_error_of_the_format() -> None:
    broken = MessagesStream().break_off(UpstreamFailed("The provider's stream broke"), "req_1")
    name, data = broken.rstrip().split(b"\n")
    assert name == b"event: error"
    told: dict[str, Any] = json.loads(data.removeprefix(b"data: "))
    assert told["type"] == "error"
    assert told["error"]["message"] == "The provider's stream broke"
    assert told["request_id"] == "req_1"


def test_events_pass_as_they_come() -> None:
    dialect = NATIVE.stream(accepted(body_of(stream=True)))
    assert not dialect.rewrites_events
    assert dialect.edit(event(STOP)) == event(STOP)
    assert dialect.ping == b'event: ping\ndata: {"type": "ping"}\n\n'
    assert dialect.content_type == b"text/event-stream; charset=utf-8"
