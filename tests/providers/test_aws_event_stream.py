"""Binary frames become server-sent events, wherever reads cut them; what is not sound is garbage."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.providers.aws_event_stream import EventStream
from hypereal.wire.base import Garbage
from tests.providers.event_stream import chunk, event, exception, header, message

START = {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 3}}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "안녕 🌱\n"}}
STOP = {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}}
FRAMES = chunk(START) + chunk(DELTA) + chunk(STOP)
EVENTS = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":3}}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
    b'{"type":"text_delta","text":"\\uc548\\ub155 \\ud83c\\udf31\\n"}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3}}\n\n'
)


def test_each_chunk_is_an_event_named_by_its_type() -> None:
    assert EventStream().feed(FRAMES) == EVENTS


@given(st.lists(st.integers(min_value=0, max_value=len(FRAMES))))
def test_reads_may_cut_the_stream_anywhere(cuts: list[int]) -> None:
    stream = EventStream()
    places = [0, *sorted(cuts), len(FRAMES)]
    assert b"".join(stream.feed(FRAMES[start:end]) for start, end in pairwise(places)) == EVENTS


def test_every_single_byte_may_come_alone() -> None:
    stream = EventStream()
    assert b"".join(stream.feed(FRAMES[at : at + 1]) for at in range(len(FRAMES))) == EVENTS


def test_line_breaks_between_the_parts_of_json_do_not_break_the_event() -> None:
    fed = EventStream().feed(chunk(b'{\r\n "type": "ping"\n}'))
    assert fed == b'event: ping\ndata: {   "type": "ping" }\n\n'


def test_headers_of_every_type_are_passed_over() -> None:
    others = b"".join(
        bytes([1]) + b"x" + kind + value
        for kind, value in (
            (b"\x00", b""),
            (b"\x01", b""),
            (b"\x02", b"1"),
            (b"\x03", b"12"),
            (b"\x04", b"1234"),
            (b"\x05", b"12345678"),
            (b"\x06", b"\x00\x03abc"),
            (b"\x08", b"12345678"),
            (b"\x09", b"0123456789abcdef"),
        )
    )
    headers = others + header(":message-type", "event") + header(":event-type", "chunk")
    payload = b'{"bytes":"eyJ0eXBlIjoicGluZyJ9"}'
    assert EventStream().feed(message(headers, payload)) == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_an_event_of_another_type_says_nothing() -> None:
    assert EventStream().feed(event(b"{}", kind="metadata")) == b""


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("throttlingException", b"rate_limit_error"),
        ("validationException", b"invalid_request_error"),
        ("modelTimeoutException", b"timeout_error"),
        ("serviceUnavailableException", b"overloaded_error"),
        ("internalServerException", b"api_error"),
        ("modelStreamErrorException", b"api_error"),
        ("somethingNewException", b"api_error"),
    ],
)
def test_an_exception_is_anthropics_error_event(kind: str, expected: bytes) -> None:
    fed = EventStream().feed(chunk(START) + exception(kind, 'slow "down"'))
    error = b'{"type":"error","error":{"type":"%b","message":"slow \\"down\\""}}' % expected
    assert fed.endswith(b"event: error\ndata: " + error + b"\n\n")


def test_an_error_without_a_shape_is_told_by_its_headers() -> None:
    headers = header(":message-type", "error") + header(":error-code", "InternalError")
    assert b'"message":"InternalError"' in EventStream().feed(message(headers, b""))
    assert b'"message":"oh"' in EventStream().feed(message(headers + header(":error-message", "oh"), b""))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


@pytest.mark.parametrize("at", range(len(chunk(STOP))))
def test_a_flipped_bit_anywhere_is_garbage(at: int) -> None:
    stream = EventStream()
    with pytest.raises(Garbage):
        stream.feed(flipped(chunk(STOP), at))


def prelude(total: int, headers: int) -> bytes:
    lengths = struct.pack(">II", total, headers)
    return lengths + struct.pack(">I", zlib.crc32(lengths))


@pytest.mark.parametrize(("total", "headers"), [(0, 0), (15, 0), (100, 85), (2**32 - 1, 0), (25 * 1024 * 1024, 0)])
def test_an_impossible_length_is_garbage_before_the_message_is_waited_for(total: int, headers: int) -> None:
    with pytest.raises(Garbage, match="impossible length"):
        EventStream().feed(prelude(total, headers))


@pytest.mark.parametrize(
    "frame",
    [
        b'{"detail":"an ordinary answer"}',
        message(b"", b"{}"),
        message(header(":message-type", "news"), b"{}"),
        message(b"\xff:message-type", b"{}"),
        message(b"\x01x\x2a", b"{}"),
        message(b"\x01x\x07\x00", b"{}"),
        message(b"\x01\xff\x07\x00\x00", b"{}"),
        event(b"not json"),
        event(b"[" * 100_000),
        event(b'{"p":' + b"[" * 100_000),
        event(b'{"bytes":"***"}'),
        event(b"{}"),
        chunk(b"not json"),
        chunk({"kind": "no type"}),
    ],
)
def test_what_is_not_a_sound_frame_is_garbage(frame: bytes) -> None:
    with pytest.raises(Garbage):
        EventStream().feed(frame)
