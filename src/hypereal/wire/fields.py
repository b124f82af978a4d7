"""Reading the few fields of a JSON request that we act on, leaving the rest as it came.

A body is decoded once into its top-level fields, each still raw: malformed JSON anywhere is noticed, and 200 KB cost
about 0.1 ms. Every reader names the field it could not read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from hypereal.errors import InvalidRequest

Fields = dict[str, msgspec.Raw]
UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What reading JSON may raise: what was left raw may be nested too deeply, or not be UTF-8."""
NULL = msgspec.Raw(b"null")
"""A raw field that says nothing: also stands in for one that was not given, as msgspec has no optional raw fields."""

BYTES_PER_TOKEN = 3
"""For holds: generous for prose and code (about 4 bytes a token) and for Chinese or Korean (about 3)."""
LIKELY_BYTES_PER_TOKEN = 4
"""For charges that have to be estimated: the usual rule of thumb."""
IMAGE_TOKENS = 1600
"""For holds: about what providers count for a large image; its base64 text would suggest a hundred times that."""
LARGE_BODY_BYTES = IMAGE_TOKENS * BYTES_PER_TOKEN
"""Bodies up to this size are not searched for inline files: as text they count for no more than one image."""
_LOOK_BYTES = 256  # enough of a text to tell prose from base64
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=_\\-]|\\[^/]")


class InlineFiles(NamedTuple):
    """Where a format has files in base64: right behind what `opening` finds. `marker` is the part of it that no such
    file is without, and quickly looked for."""

    marker: bytes
    opening: re.Pattern[bytes]


DATA_URLS = InlineFiles(b";base64,", re.compile(rb";base64,"))
DATA_FIELDS = InlineFiles(b'"data"', re.compile(rb'"data"\s*:\s*"'))

_FIELDS = msgspec.json.Decoder(Fields)
_TEXT: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)
_INTEGER: msgspec.json.Decoder[int | None] = msgspec.json.Decoder(int | None)
_NUMBER: msgspec.json.Decoder[float | None] = msgspec.json.Decoder(float | None)
_FLAG: msgspec.json.Decoder[bool | None] = msgspec.json.Decoder(bool | None)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def read_fields(body: bytes) -> Fields | InvalidRequest:
    """The top-level fields of a JSON object."""
    try:
        fields = _FIELDS.decode(body)
        if not body.isascii():
            body.decode()  # the decoder passes over invalid UTF-8 inside the values that it leaves raw
    except msgspec.ValidationError:
        return InvalidRequest("The request body must be a JSON object")
    except msgspec.DecodeError as exc:
        return InvalidRequest(f"The request body is not valid JSON: {exc}")
    except UnicodeDecodeError:
        return InvalidRequest("The request body is not valid UTF-8")
    except RecursionError:
        return InvalidRequest("The request body is nested too deeply")
    return fields


def read_text(fields: Fields, name: str) -> str | None:
    """A string field; None when absent or null."""
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return _TEXT.decode(raw)
    except msgspec.DecodeError as exc:
        raise InvalidRequest(f"{name} must be a string", param=name) from exc


def read_flag(fields: Fields, name: str) -> bool | None:
    """A boolean field; None when absent or null."""
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return _FLAG.decode(raw)
    except msgspec.DecodeError as exc:
        raise InvalidRequest(f"{name} must be true or false", param=name) from exc


def read_integer(fields: Fields, name: str, least: int, most: int | None = None) -> int | None:
    """An integer field of at least `least` and at most `most`; None when absent or null."""
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        value = _INTEGER.decode(raw)
    except msgspec.DecodeError as exc:
        raise InvalidRequest(f"{name} must be an integer", param=name) from exc
    if value is not None and (value < least or (most is not None and value > most)):
        span = f"at least {least}" if most is None else f"between {least} and {most}"
        raise InvalidRequest(f"{name} must be {span}", param=name)
    return value


def read_number(fields: Fields, name: str, least: float, most: float) -> float | None:
    """A number field between `least` and `most`; None when absent or null."""
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        value = _NUMBER.decode(raw)
    except msgspec.DecodeError as exc:
        raise InvalidRequest(f"{name} must be a number", param=name) from exc
    if value is not None and not least <= value <= most:
        raise InvalidRequest(f"{name} must be between {least} and {most}", param=name)
    return value


def read_list(fields: Fields, name: str) -> list[msgspec.Raw]:
    """A required, non-empty array field, its items raw."""
    raw = fields.get(name)
    try:
        items = _LIST.decode(raw) if raw is not None else []
    except UNREADABLE as exc:
        raise InvalidRequest(f"{name} must be an array", param=name) from exc
    if not items:
        raise InvalidRequest(f"{name} must be a non-empty array", param=name)
    return items


def likely_input(estimate: int) -> int:
    """The likely number of input tokens behind a generous estimate: what is charged when the upstream did not count."""
    return -(-estimate * BYTES_PER_TOKEN // LIKELY_BYTES_PER_TOKEN)


def estimate_input(body: bytes, kind: InlineFiles = DATA_URLS) -> int:
    """Input tokens for sizing a hold: from the body's size, no inline file of this kind counted for more than an image.

    A field that could hold a file but begins with prose is text.
    """
    size = len(body)
    if size <= LARGE_BODY_BYTES or kind.marker not in body:
        return size // BYTES_PER_TOKEN + 1
    spared = 0
    found = kind.opening.search(body)
    while found:
        start = found.end()
        end = body.find(b'"', start)
        end = size if end < 0 else end
        if not _NOT_BASE64.search(body, start, min(end, start + _LOOK_BYTES)):
            spared += max(0, end - start - LARGE_BODY_BYTES)
        found = kind.opening.search(body, end)
    return (size - spared) // BYTES_PER_TOKEN + 1
