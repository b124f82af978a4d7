"""Bytes that are no text: an upstream's are garbage or passed over, in every format, and never a fault of ours."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest

from hypereal.wire import CODECS, DIALECTS
from hypereal.wire.base import Garbage
from tests.support import anthropic_format, gemini_format, openai_format, responses_format
from tests.wire.translate.meaning import NAMES, envelope_of

UPSTREAMS: dict[str, Any] = {
    "openai_chat": openai_format,
    "openai_responses": responses_format,
    "anthropic": anthropic_format,
    "gemini": gemini_format,
}
EACH_FORMAT = pytest.mark.parametrize("name", NAMES)
PATH = "/v1/chat/completions"


def spoiled(data: bytes) -> list[bytes]:
    """The same with a byte that no text has, in each of its strings in turn."""
    quotes = [at for at, byte in enumerate(data) if byte == b'"'[0]]
    return [data[: at + 1] + b"\xff" + data[at + 1 :] for at in quotes[::2]]


@EACH_FORMAT
def test_an_answer_with_bytes_that_are_no_text_is_garbage_or_read(name: str) -> None:
    body = msgspec.json.encode(UPSTREAMS[name].answer(PATH, "m"))
    for odd in spoiled(body):
        for read in (DIALECTS[name].read_answer, CODECS[name].read_reply):
            with suppress(Garbage):
                read(odd)


@EACH_FORMAT
def test_a_stream_with_bytes_that_are_no_text_is_garbage_or_read(name: str) -> None:
    payload = b"".join(UPSTREAMS[name].events(PATH, "m"))
    for odd in spoiled(payload):
        stream, reader = DIALECTS[name].stream(envelope_of(name)), CODECS[name].reader()
        with suppress(Garbage):
            stream.opening(odd)
        stream.read(odd, len(odd))
        stream.find_usage(odd)
        for event in odd.split(b"\n\n")[:-1]:
            with suppress(Garbage):
                reader.read(event + b"\n\n")


@pytest.mark.parametrize("kind", [["message"], {"a": 1}, 5, None])
def test_an_item_of_no_kind_is_no_fault(kind: object) -> None:
    body = msgspec.json.encode({**responses_format.answer(PATH, "m"), "output": [{"type": kind, "id": "x"}]})
    for read in (DIALECTS["openai_responses"].read_answer, CODECS["openai_responses"].read_reply):
        with suppress(Garbage):
            read(body)
