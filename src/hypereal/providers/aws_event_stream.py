"""AWS's binary event stream, turned into the server-sent events of Anthropic's Messages.

A message is a prelude (its length, the length of its headers, their CRC), headers, a payload and the CRC of it all.
Reference: AWS SDK reference, "Event stream encoding"; Amazon Bedrock API reference, "InvokeModelWithResponseStream".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from zlib import crc32

import msgspec

from hypereal.wire.base import Garbage

PRELUDE_BYTES = 12
CRC_BYTES = 4
MAX_MESSAGE_BYTES = 24 * 1024 * 1024
"""The longest payload that AWS's own SDKs take."""

ERROR_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "throttlingexception": "rate_limit_error",
        "validationexception": "invalid_request_error",
        "modeltimeoutexception": "timeout_error",
        "serviceunavailableexception": "overloaded_error",
    }
)
"""What an exception in the midst of a stream is called by Anthropic; the others are "api_error"."""

UNSOUND = (struct.error, KeyError, IndexError, UnicodeDecodeError, RecursionError, msgspec.MsgspecError)

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_STRING = 7
_FIXED: Mapping[int, int] = MappingProxyType({0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16})
_WITH_LENGTH = (6, _STRING)


class _Part(msgspec.Struct, rename={"event": "bytes"}, gc=False):
    """The payload of a chunk: the event in base64, which msgspec reads into `bytes`."""

    event: bytes


class _Event(msgspec.Struct, gc=False):
    type: str


class _Exception(msgspec.Struct, gc=False):
    message: str = ""


_PART = msgspec.json.Decoder(_Part)
_EVENT = msgspec.json.Decoder(_Event)
_EXCEPTION = msgspec.json.Decoder(_Exception)


class EventStream:
    """Implements `Unframer` for one answer of Bedrock."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> bytes:
        self._kept += data
        events: list[bytes] = []
        start = 0
        try:
            while (end := self._message_end(start)) is not None:
                events.append(_event(memoryview(bytes(self._kept[start:end]))))
                start = end
        except UNSOUND as exc:
            raise Garbage("a frame of the event stream is malformed") from exc
        del self._kept[:start]
        return b"".join(events)

    def _message_end(self, start: int) -> int | None:
        """Where the message at `start` ends, or None while it is not all there."""
        if len(self._kept) - start < PRELUDE_BYTES:
            return None
        total, headers, crc = _PRELUDE.unpack_from(self._kept, start)
        if crc32(self._kept[start : start + PRELUDE_BYTES - CRC_BYTES]) != crc:
            raise Garbage("the prelude of a frame does not match its checksum")
        if not PRELUDE_BYTES + headers + CRC_BYTES <= total <= MAX_MESSAGE_BYTES:
            raise Garbage("a frame has an impossible length")
        return start + total if len(self._kept) - start >= total else None


def _event(message: memoryview) -> bytes:
    _, headers_length, _ = _PRELUDE.unpack_from(message)
    if crc32(message[:-CRC_BYTES]) != _CRC.unpack_from(message, len(message) - CRC_BYTES)[0]:
        raise Garbage("a frame does not match its checksum")
    payload_start = PRELUDE_BYTES + headers_length
    headers = _headers(message[PRELUDE_BYTES:payload_start])
    payload = message[payload_start:-CRC_BYTES]
    match headers.get(":message-type"):
        case "event":
            return _chunk(payload) if headers.get(":event-type") == "chunk" else b""
        case "exception":
            return _error(headers.get(":exception-type", ""), _EXCEPTION.decode(payload).message)
        case "error":
            return _error(headers.get(":error-code", ""), headers.get(":error-message", ""))
    raise Garbage("a frame says neither event nor exception")


def _headers(data: memoryview) -> dict[str, str]:
    """The headers that are text."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name, kind = str(data[at + 1 : name_end], "utf-8"), data[name_end]
        at = name_end + 1
        if kind in _WITH_LENGTH:
            length = _LENGTH.unpack_from(data, at)[0]
            at += _LENGTH.size
        else:
            length = _FIXED[kind]
        if kind == _STRING:
            found[name] = str(data[at : at + length], "utf-8")
        at += length
    return found


def _chunk(payload: memoryview) -> bytes:
    data = _PART.decode(payload).event
    kind = _EVENT.decode(data).type.encode()
    # A line break in JSON is white space between its parts, and would end the line of an event.
    return b"event: %b\ndata: %b\n\n" % (kind, data.replace(b"\r", b" ").replace(b"\n", b" "))


def _error(code: str, message: str) -> bytes:
    kind = ERROR_TYPES.get(code.lower(), "api_error")
    error = {"type": "error", "error": {"type": kind, "message": message or code}}
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(error)
