"""AWS's binary event stream as a sender makes it, from the SDK reference's description."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any


def header(name: str, value: str) -> bytes:
    data = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(data)) + data


def message(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return head + struct.pack(">I", zlib.crc32(head))


def event(payload: bytes, kind: str = "chunk") -> bytes:
    headers = (
        header(":event-type", kind) + header(":content-type", "application/json") + header(":message-type", "event")
    )
    return message(headers, payload)


def chunk(content: dict[str, Any] | bytes) -> bytes:
    data = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return event(json.dumps({"bytes": base64.b64encode(data).decode(), "p": "abcdefghij"}).encode())


def exception(kind: str, text: str) -> bytes:
    headers = header(":exception-type", kind) + header(":message-type", "exception")
    return message(headers, json.dumps({"message": text}).encode())
